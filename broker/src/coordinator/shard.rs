//! One shard: the partition, its machine, and the lock under which commands run. Nobody else appends to the partition.
//! A command's records are appended as one batch and replayed at once, so the machine always is what a load of the log
//! would make of it; an answer is let out when the high watermark has passed what it reveals (rule 2).
//! The lock is held over the append (a write to the page cache, so that log and machine agree on the order), never over
//! an await. A panic under the lock, or a partition that fails, unloads the shard: nothing is answered from a state that
//! may not be the log's.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::ShardError;
use super::load;
use super::machine::{Machine, Now, OnRefusal, Outcome, Plan, Reveals, Work};
use super::timer::Timer;
use crate::clock::{self, SharedClock};
use crate::ids::{Offset, PartitionId, TopicPartition};
use crate::log::{self, AppendError, Origin, Partition};
use crate::record::{self, Compression, Message};
use crate::tasks::{self, Changes};

/// What all shards of a coordinator share.
#[derive(Debug)]
pub(super) struct Around<K> {
    pub(super) clock: SharedClock,
    pub(super) timer: Timer<K>,
    /// Records on their way, and what follows them.
    pub(super) under_way: Changes,
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
    /// The last batch that was replayed live.
    last: Option<log::Ticket>,
}

/// A command's answer, which can only be had by waiting until what it reveals is durable.
#[must_use = "the command is carried out, its answer is in `durable`"]
#[derive(Debug)]
pub(super) struct Ticket<A> {
    answer: A,
    reveals: Option<log::Ticket>,
}

impl<A> Ticket<A> {
    /// The answer, once it may be told.
    ///
    /// # Errors
    /// `Log`: what the answer reveals will not become durable any more.
    pub(super) async fn durable(self) -> Result<A, ShardError> {
        if let Some(reveals) = self.reveals {
            durable(reveals).await?;
        }
        Ok(self.answer)
    }
}

impl<M: Machine> Shard<M> {
    /// Replays the partition. Blocking. A partition that cannot be read makes a shard that answers why.
    pub(super) fn load(partition: Arc<Partition>, machine: M, around: Arc<Around<M::Timer>>) -> Arc<Shard<M>> {
        let state = Mutex::new(State::Loaded(Loaded { machine, last: None }));
        let shard = Arc::new(Shard { partition, around, state });
        let replayed = shard.guarded(|loaded| load::replay(&shard.partition, &mut loaded.machine));
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

    /// What a shard that a bug of ours has unloaded answers.
    pub(super) fn unavailable(&self) -> ShardError {
        ShardError::Unavailable { shard: self.name().to_string() }
    }

    pub(super) fn name(&self) -> TopicPartition {
        self.partition.ident().name()
    }

    fn number(&self) -> PartitionId {
        self.partition.ident().partition
    }

    /// Carries out a command. The ticket opens when everything that the answer reveals is durable.
    ///
    /// # Errors
    /// `Append`: the log refused the records of a command whose answer does not stand, and the durable state is as it
    /// was. `Log` or `Unavailable`: the
    /// shard is unloaded. `Internal`: the command panicked, which has unloaded it.
    pub(super) fn run<A>(
        self: &Arc<Self>,
        command: impl FnOnce(&mut M, Now) -> Outcome<M, A>,
    ) -> Result<Ticket<A>, ShardError> {
        self.guarded(|loaded| {
            let now = self.now();
            loaded.machine.durable(self.partition.offsets().hw);
            let Outcome { answer, plan, reveals, on_refusal } = command(&mut loaded.machine, now);
            match (self.carry_out(loaded, plan, now), on_refusal) {
                (Ok(()), _) => {}
                (Err(refused), OnRefusal::Fail) => return Err(refused),
                (Err(refused), OnRefusal::Stand) => {
                    tracing::warn!(shard = %self.name(), "nothing could be written: {refused}");
                }
            }
            let reveals = loaded.last.clone().filter(|_| reveals == Reveals::Records);
            Ok(Ticket { answer, reveals })
        })
    }

    /// A command that nobody waits for.
    pub(super) fn post(self: &Arc<Self>, command: impl FnOnce(&mut M, Now) -> Plan<M>) {
        // What the append refused is with the machine and in the log; an unloaded shard has been reported.
        let _ = self.run(|machine, now| Outcome::of_own_state((), command(machine, now)));
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

    /// Why the shard is unloaded.
    pub(super) fn failure(&self) -> Option<ShardError> {
        match &*self.state.lock() {
            State::Loaded(_) => None,
            State::Unloaded(why) => Some(why.clone()),
        }
    }

    /// Unloads the shard when its partition fails; for one task a shard, which does not end by itself.
    pub(super) async fn watch(self: Arc<Self>) {
        let error = self.partition.failed().await;
        self.fail(&error.into());
        std::future::pending().await
    }

    /// Unloads the shard: who waits gets the error, and so does everybody who comes.
    pub(super) fn fail(&self, why: &ShardError) {
        let mut state = self.state.lock();
        if matches!(*state, State::Loaded(_)) {
            self.unload(&mut state, why);
        }
    }

    fn unload(&self, state: &mut State<M>, why: &ShardError) {
        if let State::Loaded(mut loaded) = std::mem::replace(state, State::Unloaded(why.clone())) {
            tracing::error!(shard = %self.name(), "the coordinator's shard is unloaded: {why}");
            self.around.timer.cancel_all(self.number());
            if catch_unwind(AssertUnwindSafe(|| loaded.machine.unloaded(why))).is_err() {
                tracing::error!(shard = %self.name(), "its waiting requests were not answered");
            }
        }
    }

    /// Runs under the lock; a panic unloads the shard, because parking_lot's locks do not poison by themselves.
    fn guarded<A>(&self, act: impl FnOnce(&mut Loaded<M>) -> Result<A, ShardError>) -> Result<A, ShardError> {
        let mut state = self.state.lock();
        // Who has heard of the partition's failure may be here before the one who watches it.
        if let (Err(error), State::Loaded(_)) = (self.partition.usable(), &*state) {
            self.unload(&mut state, &error.into());
        }
        let loaded = match &mut *state {
            State::Loaded(loaded) => loaded,
            State::Unloaded(why) => return Err(why.clone()),
        };
        catch_unwind(AssertUnwindSafe(|| act(loaded))).unwrap_or_else(|panic| {
            let what = format!("a command of the coordinator of {} panicked: {}", self.name(), text_of(&*panic));
            tracing::error!("{what}");
            self.unload(&mut state, &self.unavailable());
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
                    self.follow(then, loaded.last.clone());
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
            return Ok(Offset::ZERO);
        }
        let messages: Vec<Message> = records.iter().map(M::message).collect();
        let batch = record::build(&messages, now.wall, Compression::None, None).map_err(AppendError::from)?;
        let ticket = self.partition.append(batch, Origin::Broker);
        let base = ticket.placed().map_err(|refused| ShardError::Append(refused.clone()))?.base_offset;
        loaded.last = Some(ticket);
        if self.partition.wants_roll() {
            self.roll_ahead();
        }
        Ok(base)
    }

    /// Commands append under the shard's lock on network threads: the next segment's files are created before one needs them.
    fn roll_ahead(&self) {
        let (partition, shard) = (Arc::clone(&self.partition), self.name());
        self.around.under_way.spawn(async move {
            match tasks::blocking("log-roll", move || partition.roll_ahead()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%shard, %error, "the next segment was not begun ahead of need"),
                Err(failure) => tracing::warn!(%shard, %failure, "the next segment was not begun ahead of need"),
            }
        });
    }

    /// A task, so that the machine goes on when the client whose command this was has gone away. Ends with the next sync.
    fn follow(self: &Arc<Self>, then: Vec<M::Then>, last: Option<log::Ticket>) {
        if then.is_empty() {
            return;
        }
        let shard = Arc::clone(self);
        self.spawn(async move {
            if let Some(ticket) = last
                && let Err(error) = durable(ticket).await
            {
                return shard.fail(&error);
            }
            then.into_iter().for_each(|then| shard.post(|machine, now| machine.stored(then, Ok(()), now)));
        });
    }

    fn begin_work(self: &Arc<Self>, work: Work<M::Done>) {
        let shard = Arc::clone(self);
        self.spawn(async move {
            let done = tasks::blocking("coordinator-work", work).await.map_err(ShardError::from);
            shard.post(|machine, now| machine.finished(done, now));
        });
    }

    /// A task that calls the machine back. When it does not come to its end, nobody else calls back: the machine would
    /// wait for ever, so the shard is unloaded.
    fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let unfinished = Unfinished { shard: Some(Arc::clone(self)) };
        self.around.under_way.spawn(async move {
            work.await;
            unfinished.finish();
        });
    }

    fn now(&self) -> Now {
        Now { mono: self.around.clock.monotonic(), wall: self.around.clock.wall() }
    }
}

/// Unloads its shard when it is dropped before the end of its task.
struct Unfinished<M: Machine> {
    shard: Option<Arc<Shard<M>>>,
}

impl<M: Machine> Unfinished<M> {
    fn finish(mut self) {
        self.shard = None;
    }
}

impl<M: Machine> Drop for Unfinished<M> {
    fn drop(&mut self) {
        if let Some(shard) = self.shard.take() {
            shard.fail(&shard.unavailable());
        }
    }
}

/// Waits for a batch that the log has taken.
async fn durable(ticket: log::Ticket) -> Result<(), ShardError> {
    match ticket.durable().await {
        Ok(_) => Ok(()),
        Err(AppendError::Log(error)) => Err(ShardError::Log(error)),
        Err(error) => Err(ShardError::Append(error)),
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
