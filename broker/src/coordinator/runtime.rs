//! The coordinators' runtime: one shard a partition of an internal topic, one timer for all of them, and the tasks that
//! they need. The machine that the shards run is the coordinator (`group/`). Commands of different shards share no lock.

use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::error::ShardError;
use super::machine::Machine;
use super::shard::{Around, Shard};
use super::timer::{PASS_PAUSE_MIN, Timer};
use crate::clock::{self, SharedClock};
use crate::log::Partition;
use crate::tasks::{self, Tasks, Vital, VitalTask};

/// What the tasks of one coordinator are called.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskNames {
    pub(super) timer: &'static str,
    pub(super) shard: &'static str,
    pub(super) under_way: &'static str,
}

/// All shards of one coordinator. Without shards until its topic exists.
#[derive(Debug)]
pub(super) struct Runtime<M: Machine> {
    shards: OnceLock<Vec<Arc<Shard<M>>>>,
    around: Arc<Around<M::Timer>>,
    names: TaskNames,
    tasks: Tasks,
    stopping: CancellationToken,
    vital: Mutex<Vec<VitalTask>>,
}

impl<M: Machine> Runtime<M> {
    /// Starts the timer's task.
    pub(super) fn start(names: TaskNames, tasks: &Tasks, clock: SharedClock) -> Arc<Runtime<M>> {
        let around = Arc::new(Around { clock, timer: Timer::new(), under_way: tasks.changes(names.under_way) });
        let runtime = Arc::new(Runtime {
            shards: OnceLock::new(),
            around,
            names,
            tasks: tasks.clone(),
            stopping: CancellationToken::new(),
            vital: Mutex::default(),
        });
        runtime.start_timer();
        runtime
    }

    /// Without the timer no deadline ever ends: when it fails, no shard takes commands any more.
    fn start_timer(self: &Arc<Self>) {
        let me = Arc::downgrade(self);
        let vital = Vital::new(self.names.timer, self.stopping.clone()).poisons(move |_| {
            let runtime = me.upgrade();
            let shards = runtime.as_ref().and_then(|runtime| runtime.shards());
            shards.unwrap_or_default().iter().for_each(|shard| shard.fail(&shard.unavailable()));
        });
        let task = self.tasks.vital(vital, run_timer(Arc::downgrade(self), self.stopping.clone()));
        self.vital.lock().push(task);
    }

    /// Replays the topic's partitions and puts a shard over each. A partition that cannot be read makes a shard that
    /// answers why; the others work. Once.
    ///
    /// # Errors
    /// `Internal` when the load itself ended abnormally.
    pub(super) async fn load(
        &self,
        partitions: Arc<Vec<Arc<Partition>>>,
        machine: impl Fn() -> M + Send + 'static,
    ) -> Result<(), ShardError> {
        let around = Arc::clone(&self.around);
        let load = move |partition: &Arc<Partition>| Shard::load(Arc::clone(partition), machine(), Arc::clone(&around));
        let load = move || partitions.iter().map(load).collect();
        let shards: Vec<Arc<Shard<M>>> = tasks::blocking("coordinator-load", load).await?;
        for shard in &shards {
            shard.begin();
            self.watch(shard);
        }
        let twice = |_| ShardError::Internal { what: "a coordinator was loaded twice".to_owned() };
        self.shards.set(shards).map_err(twice)?;
        // `begin` has set timers that no pass could run until now.
        self.around.timer.wake();
        Ok(())
    }

    fn watch(&self, shard: &Arc<Shard<M>>) {
        let (stopping, of_task, of_poison) = (self.stopping.clone(), Arc::clone(shard), Arc::downgrade(shard));
        let name = format!("{} {}", self.names.shard, shard.name());
        let vital = Vital::new(name, stopping.clone()).poisons(move |_| {
            if let Some(shard) = of_poison.upgrade() {
                shard.fail(&shard.unavailable());
            }
        });
        let watching = async move { stopping.run_until_cancelled(of_task.watch()).await.unwrap_or_default() };
        self.vital.lock().push(self.tasks.vital(vital, watching));
    }

    /// `None` before the topic exists.
    pub(super) fn shards(&self) -> Option<&[Arc<Shard<M>>]> {
        self.shards.get().map(Vec::as_slice)
    }

    /// The first shard that is unloaded, for readiness.
    pub(super) fn failure(&self) -> Option<String> {
        self.shards()?.iter().find_map(|shard| shard.failure()).map(|why| why.to_string())
    }

    /// Every timer that is due becomes a command of its shard. `false`: none was. Before the shards are set their timers
    /// wait: a timer that is taken out without its command is lost.
    pub(super) fn run_due(&self) -> bool {
        let Some(shards) = self.shards() else { return false };
        let due = self.around.timer.take_due(self.around.clock.monotonic());
        let any = !due.is_empty();
        for (number, timer) in due {
            if let Some(shard) = usize::try_from(number.0).ok().and_then(|number| shards.get(number)) {
                shard.post(|machine, now| machine.due(timer, now));
            }
        }
        any
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Ends the timer and the watches. Records on their way are still followed to their end.
    pub(super) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits until every record on its way, and every task, has ended, after `stop`.
    pub(super) async fn closed(&self) {
        self.around.under_way.closed().await;
        let vital = std::mem::take(&mut *self.vital.lock());
        for task in vital {
            task.ended().await;
        }
    }
}

impl<M: Machine> Drop for Runtime<M> {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// Sleeps until the earliest timer and runs what is due. Holds the runtime only while it works, so that dropping it ends
/// this task. Ends only when `stopping` is cancelled: an earlier end would be a failure of a vital task.
pub(super) async fn run_timer<M: Machine>(runtime: Weak<Runtime<M>>, stopping: CancellationToken) {
    let passes = async {
        loop {
            // The runtime is being dropped, and cancels `stopping` next.
            let Some(runtime) = runtime.upgrade() else { return std::future::pending().await };
            let loaded = runtime.shards().is_some();
            let (ran, around) = (runtime.run_due(), Arc::clone(&runtime.around));
            drop(runtime);
            if ran {
                clock::sleep(PASS_PAUSE_MIN).await;
            } else if loaded {
                around.sleep_until_due().await;
            } else {
                around.timer.sooner().await;
            }
        }
    };
    let _cancelled: Option<()> = stopping.run_until_cancelled(passes).await;
}
