//! What a coordinator's shard runs: a state machine over the records of one partition. The machine decides, the shard
//! carries out. What is durable changes only in `replay` and `end_transaction`, which run for live records (as soon as
//! they are appended) and at load alike. Everything else that a machine holds is its own and is lost at a restart.
//! A machine must never append, wait or do I/O.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use super::error::{BadRecord, ShardError};
use crate::ids::{Offset, ProducerId, TimestampMs};
use crate::record::{Message, RecordView};

/// The time of a command: deadlines count on the monotonic clock, records carry the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) mono: Instant,
    pub(super) wall: TimestampMs,
}

/// The state machine of one shard.
pub(super) trait Machine: Debug + Sized + Send + 'static {
    /// A change of the durable state.
    type Record: Send;
    /// What a timer is for; one timer a key.
    type Timer: Clone + Ord + Hash + Debug + Send;
    /// What waits for the command's records to be durable.
    type Then: Send + 'static;
    /// The result of work done elsewhere.
    type Done: Send + 'static;

    /// The record as the log stores it.
    fn message(record: &Self::Record) -> Message;

    /// The reverse of `message`. `None`: a record of a later version that may be left alone.
    ///
    /// # Errors
    /// A record that cannot be understood; the shard is not loaded then.
    fn parse(record: &RecordView) -> Result<Option<Self::Record>, BadRecord>;

    /// Takes over one record. `producer`: it belongs to an open transaction of that producer and counts when the
    /// transaction commits.
    fn replay(&mut self, at: Offset, producer: Option<ProducerId>, record: Self::Record);

    /// A control batch at `at` ended the producer's transaction.
    fn end_transaction(&mut self, at: Offset, producer: ProducerId, committed: bool);

    /// Everything below `hw` is durable and may be shown. Called before every command, in the order of the log.
    fn durable(&mut self, hw: Offset);

    /// The whole log is replayed.
    fn loaded(&mut self, now: Now) -> Plan<Self>;

    /// A timer that the machine has set is due. It may have been set anew meanwhile.
    fn due(&mut self, timer: Self::Timer, now: Now) -> Plan<Self>;

    /// The records of the command that gave `then` are durable; or the log refused them, and the durable state is as it
    /// was before that command.
    fn stored(&mut self, then: Self::Then, outcome: Result<(), ShardError>, now: Now) -> Plan<Self>;

    /// Work done elsewhere has ended.
    fn finished(&mut self, done: Result<Self::Done, ShardError>, now: Now) -> Plan<Self>;

    /// The log refused these records, which a command had given. Called before `stored`.
    fn refused(&mut self, records: Vec<Self::Record>) -> Plan<Self>;

    /// The shard is unloaded: answers everybody who waits. May follow a panic, so it must not rely on its own state.
    fn unloaded(&mut self, why: &ShardError);
}

/// Work that must not run under the shard's lock: an assignor, a regular expression.
pub(super) type Work<D> = Box<dyn FnOnce() -> D + Send>;

/// What the shard does for its machine after a command.
pub(super) struct Plan<M: Machine> {
    /// Appended as one batch, so all of them are in the log or none.
    pub(super) records: Vec<M::Record>,
    /// Called back once the records are durable, or refused.
    pub(super) then: Vec<M::Then>,
    /// Set, or cancelled with `None`.
    pub(super) timers: Vec<(M::Timer, Option<Instant>)>,
    /// Done on a thread for blocking work; the results come back one by one.
    pub(super) work: Vec<Work<M::Done>>,
}

impl<M: Machine> Plan<M> {
    pub(super) fn nothing() -> Plan<M> {
        Plan { records: Vec::new(), then: Vec::new(), timers: Vec::new(), work: Vec::new() }
    }

    pub(super) fn set(&mut self, timer: M::Timer, at: Option<Instant>) {
        self.timers.push((timer, at));
    }
}

/// What a command answers, and what follows from it.
pub(super) struct Outcome<M: Machine, A> {
    pub(super) answer: A,
    pub(super) plan: Plan<M>,
    pub(super) reveals: Reveals,
    pub(super) on_refusal: OnRefusal,
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reveals {
    /// It may say something about any record replayed so far: it waits until all of them are durable (rule 2), as
    /// Kafka's write operations without records do.
    Records,
    /// Only what is the machine's own and is never durable.
    OwnState,
}

/// What becomes of an answer when the log refuses the plan's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnRefusal {
    /// The refusal is answered instead: the command has changed nothing.
    Fail,
    /// It stays as it is, because the machine's own state has changed and is not changed back. The refusal is logged.
    Stand,
}

impl<M: Machine, A> Outcome<M, A> {
    pub(super) fn new(answer: A, plan: Plan<M>) -> Outcome<M, A> {
        Outcome { answer, plan, reveals: Reveals::Records, on_refusal: OnRefusal::Fail }
    }

    /// An answer that says nothing about records. The plan's own records are not waited for either, and whether the log
    /// takes them does not change the answer.
    pub(super) fn of_own_state(answer: A, plan: Plan<M>) -> Outcome<M, A> {
        Outcome { answer, plan, reveals: Reveals::OwnState, on_refusal: OnRefusal::Stand }
    }

    /// The answer stays as it is when the log refuses the plan's records.
    pub(super) fn standing(self) -> Outcome<M, A> {
        Outcome { on_refusal: OnRefusal::Stand, ..self }
    }
}
