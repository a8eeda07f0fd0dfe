//! The broker's one memory budget (`memory_max_bytes`): what strangers make the broker hold is admitted here before it is
//! held. Rank 0. `split.rs` has the table of the pools.
//!
//! ```text
//! bytes arrive ─ IN ─► decoded, opened, answer built ─ WORK ─► answer waits for its client ─ OUT ─►
//!                          what stays: polls, joins, groups, producers ─ STATE
//! ```
//!
//! Rules for whoever holds something here:
//! 1. IN → WORK → OUT, never back: nobody who holds OUT asks for IN or WORK, nobody who holds WORK asks for IN.
//! 2. IN is taken in steps of 64 KiB, before the bytes are read. It is given back when the last reference to the bytes is
//!    dropped: after the append, or after the decoding. A handler that waits (a long poll, a join) drops its request first
//!    and holds STATE only.
//! 3. WORK is taken at once or refused, for the decoded size, the opened size and the answer's structure. It is not held
//!    while queueing for a partition's turn.
//! 4. OUT is taken once for a whole answer, at its exact size, before its bytes are built, by somebody who holds nothing of
//!    OUT. Whoever holds it waits for nothing but its own socket.
//! 5. While the broker waits for a peer with something in hand, it says so (`Line::at_peer`) and counts what the peer moves.
//!
//! Why it cannot deadlock, and nobody starves:
//! - WORK and STATE never wait. The other waits are for IN and for OUT, in that order, so a circle would have to be inside
//!   of one of them. Inside of OUT there is none: nobody waits for OUT who holds OUT. Inside of IN only frames of the same
//!   class can wait for each other, because a class never needs more than its own reserved share to go on; the oldest of
//!   them that waits gets the completion reserve, which is as large as the largest frame of that class, so it never waits
//!   again.
//! - Whoever holds IN or OUT gives it back in bounded time. Either the broker is at work for it (an append, a decoding), or
//!   it waits for the peer; then the peer moves at least 256 KiB a second, or its connection is ended as soon as it is the
//!   largest slow one in the way of somebody who has waited for half a second in all (one of a few that are ended together, when
//!   that somebody has waited for longer).
//! - Within a class the oldest is served first, so everybody who waits becomes the oldest. Across classes nobody waits, so
//!   nobody small waits behind somebody large, and nobody large for a stream of small ones.
//! - While nobody waits, nobody is ended: a slow reader of an idle broker is left alone.
//!
//! The property test in `tests.rs` plays this with random peers and its own clock.

mod allocator;
mod class;
mod door;
pub(crate) mod giveback;
mod line;
mod pool;
mod slow;
mod split;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use door::OutPermit;
#[cfg(test)]
pub(crate) use door::STEP_BYTES;
pub use door::{DoorBudget, OverBudget, Receipt, WorkPermit};
pub use line::Line;
pub(crate) use line::{AtPeer, SlowPeer};
pub(crate) use pool::PoolUse;
pub use split::MEMORY_BYTES_MIN;
pub(crate) use state::{OverShare, Owner, StateBudget, StatePermit};

use door::WorkPool;
use split::Split;

use crate::context::Source;

/// The budget. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    kafka: DoorBudget,
    http: DoorBudget,
    own_work: WorkPool,
    state: StateBudget,
    max: usize,
}

/// One pool in numbers, with its names for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFacts {
    /// `kafka`, `http` or `broker`.
    pub door: &'static str,
    /// `in`, `work`, `out` or `state`.
    pub pool: &'static str,
    /// The numbers.
    pub usage: PoolUse,
}

impl Budget {
    /// So many bytes, divided as the table of `split.rs` says.
    #[must_use]
    pub fn new(bytes: u64) -> Budget {
        let max = usize::try_from(bytes).unwrap_or(usize::MAX);
        let split = Split::of(max);
        Budget {
            kafka: DoorBudget::new(split.kafka, max),
            http: DoorBudget::new(split.http, max),
            own_work: WorkPool::new(split.own_work, max),
            state: StateBudget::new(split.state),
            max,
        }
    }

    /// All of it.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// What nobody holds now.
    #[must_use]
    pub fn free(&self) -> usize {
        let held: usize = self.pools().iter().map(|pool| pool.usage.held).sum();
        self.max.saturating_sub(held)
    }

    /// The pools of the Kafka port.
    #[must_use]
    pub(crate) fn kafka(&self) -> &DoorBudget {
        &self.kafka
    }

    /// The pools of the gateway.
    #[must_use]
    pub fn http(&self) -> &DoorBudget {
        &self.http
    }

    /// What stays.
    #[must_use]
    pub fn state(&self) -> &StateBudget {
        &self.state
    }

    /// So many bytes of WORK of the door that the caller came through, at once or not; `what` they are for is part of the
    /// refusal.
    ///
    /// # Errors
    /// `OverBudget`.
    pub(crate) fn work(&self, source: Source, what: &'static str, bytes: usize) -> Result<WorkPermit, OverBudget> {
        match source {
            Source::Kafka => self.kafka.work(what, bytes),
            Source::Http => self.http.work(what, bytes),
            Source::Internal => self.own_work.take(what, bytes),
        }
    }

    /// Every pool in numbers.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolFacts> {
        let doors = [("kafka", self.kafka.usage()), ("http", self.http.usage())];
        let of_door = |(door, usage): (&'static str, [PoolUse; 3])| {
            ["in", "work", "out"].into_iter().zip(usage).map(move |(pool, usage)| PoolFacts { door, pool, usage })
        };
        let mut pools: Vec<PoolFacts> = doors.into_iter().flat_map(of_door).collect();
        pools.push(PoolFacts { door: "broker", pool: "work", usage: self.own_work.usage() });
        pools.push(PoolFacts { door: "broker", pool: "state", usage: self.state.usage() });
        pools
    }
}
