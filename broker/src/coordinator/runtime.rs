//! The coordinators' runtime: one shard a partition of an internal topic, one timer for all of them, and the tasks that
//! they need. The machine that the shards run is the coordinator (`group/`). Commands of different shards share no lock.

use std::sync::{Arc, OnceLock, Weak};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::ShardError;
use super::machine::Machine;
use super::shard::{Around, Shard};
use super::timer::{PASS_PAUSE_MIN, Timer};
use crate::clock::{self, SharedClock};
use crate::ids::PartitionId;
use crate::log::Partition;

/// All shards of one coordinator. Without shards until its topic exists.
#[derive(Debug)]
pub(super) struct Runtime<M: Machine> {
    shards: OnceLock<Vec<Arc<Shard<M>>>>,
    around: Arc<Around<M::Timer>>,
}

impl<M: Machine> Runtime<M> {
    /// Starts the timer's task.
    pub(super) fn start(clock: SharedClock) -> Arc<Runtime<M>> {
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let around = Arc::new(Around { clock, timer: Timer::new(), stopping, tasks });
        let runtime = Arc::new(Runtime { shards: OnceLock::new(), around });
        let stopping = runtime.around.stopping.clone();
        runtime.around.tasks.spawn(run_timer(Arc::downgrade(&runtime), stopping));
        runtime
    }

    /// Replays the topic's partitions and puts a shard over each. A partition that cannot be read makes a shard that
    /// answers why; the others work.
    ///
    /// # Errors
    /// `Internal` when the load itself ended abnormally.
    pub(super) async fn load(
        &self,
        partitions: Arc<Vec<Arc<Partition>>>,
        machine: impl Fn() -> M + Send + 'static,
    ) -> Result<(), ShardError> {
        let around = Arc::clone(&self.around);
        let load = move || -> Vec<Arc<Shard<M>>> {
            partitions
                .iter()
                .map(|partition| Shard::load(Arc::clone(partition), machine(), Arc::clone(&around)))
                .collect()
        };
        let loaded = tokio::task::spawn_blocking(load).await;
        let shards =
            loaded.map_err(|_| ShardError::Internal { what: "the load of a coordinator panicked".to_owned() })?;
        for shard in &shards {
            shard.begin();
            let (stopping, watching) = (self.around.stopping.clone(), Arc::clone(shard).watch());
            self.around.tasks.spawn(async move { stopping.run_until_cancelled(watching).await });
        }
        self.shards.set(shards).map_err(|_| ShardError::Internal { what: "a coordinator was loaded twice".to_owned() })
    }

    /// `None` before the topic exists.
    pub(super) fn shards(&self) -> Option<&[Arc<Shard<M>>]> {
        self.shards.get().map(Vec::as_slice)
    }

    /// Every timer that is due becomes a command of its shard. `false`: none was.
    pub(super) fn run_due(&self) -> bool {
        let due = self.around.timer.take_due(self.around.clock.monotonic());
        let any = !due.is_empty();
        for (number, timer) in due {
            if let Some(shard) = self.shard(number) {
                shard.post(|machine, now| machine.due(timer, now));
            }
        }
        any
    }

    fn shard(&self, number: PartitionId) -> Option<&Arc<Shard<M>>> {
        self.shards()?.get(usize::try_from(number.0).ok()?)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.around.stopping.is_cancelled()
    }

    /// Ends the timer and the watches. Records on their way are still followed to their end.
    pub(super) fn stop(&self) {
        self.around.stopping.cancel();
        self.around.tasks.close();
    }

    /// Waits until every task and every record on its way has ended, after `stop`.
    pub(super) async fn closed(&self) {
        self.around.tasks.close();
        self.around.tasks.wait().await;
    }
}

impl<M: Machine> Drop for Runtime<M> {
    fn drop(&mut self) {
        self.around.stopping.cancel();
    }
}

/// Sleeps until the earliest timer and runs what is due. Holds the runtime only while it works, so that dropping it ends
/// this task.
async fn run_timer<M: Machine>(runtime: Weak<Runtime<M>>, stopping: CancellationToken) {
    loop {
        let pass = async {
            let Some(runtime) = runtime.upgrade() else { return false };
            let (ran, around) = (runtime.run_due(), Arc::clone(&runtime.around));
            drop(runtime);
            if ran {
                clock::sleep(PASS_PAUSE_MIN).await;
            } else {
                around.sleep_until_due().await;
            }
            true
        };
        match stopping.run_until_cancelled(pass).await {
            Some(true) => {}
            Some(false) | None => return,
        }
    }
}
