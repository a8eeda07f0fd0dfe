//! One shard: the partition, its machine, and the lock under which commands run. Nobody else appends to the partition.
//! A command's records are appended as one batch and replayed at once, so the machine always is what a load of the log
//! would make of it; an answer is let out when the high watermark has passed what it reveals (rule 2).
//! The lock is held over the append (a write to the page cache, so that log and machine agree on the order), never over
//! an await. A panic under the lock, or a partition that fails, unloads the shard: nothing is answered from a state that
//! may not be the log's.

use std::any::Any;
use std::collections::VecDeque;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::ShardError;
use super::load;
use super::machine::{Machine, Now, Outcome, Plan, Reveals, Work};
use super::timer::Timer;
use crate::clock::{self, SharedClock};
use crate::ids::{Offset, PartitionId};
use crate::log::{AppendError, Origin, Partition};
use crate::record::{self, Compression, Message};

/// What all shards of a coordinator share.
#[derive(Debug)]
pub(super) struct Around<K> {
    pub(super) clock: SharedClock,
    pub(super) timer: Timer<K>,
    pub(super) stopping: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl<K: Clone + Ord + Hash> Around<K> {
    /// Returns when the earliest timer may be due; also when it is set to an earlier time.
    pub(super) async fn sleep_until_due(&self) {
        let due = async {
            match self.timer.first() {
                Some(first) => clock::sleep(first.saturating_duration_since(self.clock.monotonic())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.timer.sooner() => {}
            () = due => {}
        }
    }
}

/// One partition of an internal topic and the machine that it holds the records of.
#[derive(Debug)]
pub(super) struct Shard<M: Machine> {
    partition: Arc<Partition>,
    around: Arc<Around<M::Timer>>,
    state: Mutex<State<M>>,
}

#[derive(Debug)]
enum State<M> {
    Loaded(Loaded<M>),
    /// For good: only a restart reads the log again.
    Unloaded(ShardError),
}

#[derive(Debug)]
struct Loaded<M> {
    machine: M,
    /// The end of the last record that was replayed.
    written: Offset,
}

/// A command's answer, which can only be had by waiting until what it reveals is durable.
#[must_use = "the command is carried out, its answer is in `durable`"]
#[derive(Debug)]
pub(super) struct Ticket<A> {
    answer: A,
    until: Option<(Arc<Partition>, Offset)>,
}

impl<A> Ticket<A> {
    /// The answer, once it may be told.
    ///
    /// # Errors
    /// `Log`: what the answer reveals will not become durable any more.
    pub(super) async fn durable(self) -> Result<A, ShardError> {
        if let Some((partition, until)) = self.until {
            partition.durable(until).await?;
        }
        Ok(self.answer)
    }
}

impl<M: Machine> Shard<M> {
    /// Replays the partition. Blocking. A partition that cannot be read makes a shard that answers why.
    pub(super) fn load(partition: Arc<Partition>, machine: M, around: Arc<Around<M::Timer>>) -> Arc<Shard<M>> {
        let state = Mutex::new(State::Loaded(Loaded { machine, written: Offset::ZERO }));
        let shard = Arc::new(Shard { partition, around, state });
        let replayed = shard.guarded(|loaded| {
            loaded.written = load::replay(&shard.partition, &mut loaded.machine)?;
            Ok(())
        });
        if let Err(error) = replayed {
            shard.fail(&error);
        }
        shard
    }

    /// Takes up its work after the load: the machine's first timers. Once, before the first command.
    pub(super) fn begin(self: &Arc<Self>) {
        self.post(|machine, now| machine.loaded(now));
    }

    #[cfg(test)]
    pub(super) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    fn number(&self) -> PartitionId {
        self.partition.ident().partition
    }

    /// Carries out a command. The ticket opens when everything that the answer reveals is durable.
    ///
    /// # Errors
    /// `Append`: the log refused the command's records, and the durable state is as it was. `Log` or `Unavailable`: the
    /// shard is unloaded. `Internal`: the command panicked, which has unloaded it.
    pub(super) fn run<A>(
        self: &Arc<Self>,
        command: impl FnOnce(&mut M, Now) -> Outcome<M, A>,
    ) -> Result<Ticket<A>, ShardError> {
        self.guarded(|loaded| {
            let now = self.now();
            let hw = self.partition.offsets().hw;
            loaded.machine.durable(hw);
            let Outcome { answer, plan, reveals } = command(&mut loaded.machine, now);
            self.carry_out(loaded, plan, now)?;
            let waits = reveals == Reveals::Records && loaded.written > hw;
            let until = waits.then(|| (Arc::clone(&self.partition), loaded.written));
            Ok(Ticket { answer, until })
        })
    }

    /// A command that nobody waits for.
    pub(super) fn post(self: &Arc<Self>, command: impl FnOnce(&mut M, Now) -> Plan<M>) {
        match self.run(|machine, now| Outcome::of_own_state((), command(machine, now))) {
            // What the append refused is with the machine, an unloaded shard has been reported.
            Ok(_) | Err(ShardError::Log(_) | ShardError::Unavailable { .. } | ShardError::Internal { .. }) => {}
            Err(error) => tracing::warn!(shard = %self.partition.ident().name(), "nothing could be written: {error}"),
        }
    }

    /// Looks at the machine as of the high watermark. It waits for nothing, so `look` must show what is durable and
    /// leave out what is on its way, as Kafka's read operations do.
    ///
    /// # Errors
    /// As `run`.
    pub(super) fn read<A>(&self, look: impl FnOnce(&M) -> A) -> Result<A, ShardError> {
        self.guarded(|loaded| {
            loaded.machine.durable(self.partition.offsets().hw);
            Ok(look(&loaded.machine))
        })
    }

    /// Waits for the partition's failure and unloads the shard then. For one task a shard.
    pub(super) async fn watch(self: Arc<Self>) {
        // No offset is as high: only a failure ends this wait.
        if let Err(error) = self.partition.durable(Offset(i64::MAX)).await {
            self.fail(&error.into());
        }
    }

    /// Unloads the shard: who waits gets the error, and so does everybody who comes.
    fn fail(&self, why: &ShardError) {
        let mut state = self.state.lock();
        if matches!(*state, State::Loaded(_)) {
            tracing::error!(shard = %self.partition.ident().name(), "the coordinator's shard is unloaded: {why}");
            self.unload(&mut state, why);
        }
    }

    fn unload(&self, state: &mut State<M>, why: &ShardError) {
        if let State::Loaded(mut loaded) = std::mem::replace(state, State::Unloaded(why.clone())) {
            self.around.timer.cancel_all(self.number());
            if catch_unwind(AssertUnwindSafe(|| loaded.machine.unloaded(why))).is_err() {
                tracing::error!(shard = %self.partition.ident().name(), "its waiting requests were not answered");
            }
        }
    }

    /// Runs under the lock; a panic unloads the shard, because parking_lot's locks do not poison by themselves.
    fn guarded<A>(&self, act: impl FnOnce(&mut Loaded<M>) -> Result<A, ShardError>) -> Result<A, ShardError> {
        let mut state = self.state.lock();
        let loaded = match &mut *state {
            State::Loaded(loaded) => loaded,
            State::Unloaded(why) => return Err(why.clone()),
        };
        catch_unwind(AssertUnwindSafe(|| act(loaded))).unwrap_or_else(|panic| {
            let shard = self.partition.ident().name();
            let what = format!("a command of the coordinator of {shard} panicked: {}", text_of(&*panic));
            tracing::error!("{what}");
            self.unload(&mut state, &ShardError::Unavailable { shard: shard.to_string() });
            Err(ShardError::Internal { what })
        })
    }

    /// `Err`: the plan's records were refused. Plans that follow from that are carried out as well.
    fn carry_out(self: &Arc<Self>, loaded: &mut Loaded<M>, plan: Plan<M>, now: Now) -> Result<(), ShardError> {
        let mut carried_out = Ok(());
        let mut plans = VecDeque::from([plan]);
        while let Some(Plan { records, then, timers, work }) = plans.pop_front() {
            for (timer, at) in timers {
                self.around.timer.set(self.number(), timer, at);
            }
            for job in work {
                self.begin_work(job);
            }
            match self.append(loaded, &records, now) {
                Ok(base) => {
                    replay(&mut loaded.machine, base, records);
                    self.when_durable(then, loaded.written);
                }
                Err(error) => {
                    plans.push_back(loaded.machine.refused(records));
                    for then in then {
                        plans.push_back(loaded.machine.stored(then, Err(error.clone()), now));
                    }
                    // Of several refusals the first is the command's own.
                    carried_out = carried_out.and(Err(error));
                }
            }
        }
        carried_out
    }

    /// One batch; not durable yet. Returns the first record's offset.
    fn append(&self, loaded: &mut Loaded<M>, records: &[M::Record], now: Now) -> Result<Offset, ShardError> {
        if records.is_empty() {
            return Ok(loaded.written);
        }
        let messages: Vec<Message> = records.iter().map(M::message).collect();
        let batch = record::build(&messages, now.wall, Compression::None, None).map_err(AppendError::from)?;
        let appended = self.partition.append(batch, Origin::Broker).map_err(|refused| refused.error)?;
        loaded.written = appended.durable_at;
        Ok(appended.base_offset)
    }

    /// A task, so that the machine goes on when the client whose command this was has gone away. Ends with the next sync.
    fn when_durable(self: &Arc<Self>, then: Vec<M::Then>, until: Offset) {
        if then.is_empty() {
            return;
        }
        let shard = Arc::clone(self);
        self.around.tasks.spawn(async move {
            match shard.partition.durable(until).await {
                Ok(()) => {
                    then.into_iter().for_each(|then| shard.post(|machine, now| machine.stored(then, Ok(()), now)))
                }
                Err(error) => shard.fail(&error.into()),
            }
        });
    }

    fn begin_work(self: &Arc<Self>, work: Work<M::Done>) {
        let shard = Arc::clone(self);
        self.around.tasks.spawn(async move {
            let done = tokio::task::spawn_blocking(work).await;
            let done = done.map_err(|_| ShardError::Internal { what: "a coordinator's work panicked".to_owned() });
            shard.post(|machine, now| machine.finished(done, now));
        });
    }

    fn now(&self) -> Now {
        Now { mono: self.around.clock.monotonic(), wall: self.around.clock.wall() }
    }
}

/// The records of one batch, as they are in the log now.
fn replay<M: Machine>(machine: &mut M, base: Offset, records: Vec<M::Record>) {
    let mut at = base;
    for record in records {
        machine.replay(at, None, record);
        at = at.next();
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
