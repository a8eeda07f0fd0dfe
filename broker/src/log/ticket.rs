//! What a verb of the log returns when its answer reveals something that may not be durable yet. Appends, duplicates and
//! refusals all return a ticket, and the answer can only be had by waiting for its durability (rule 2).
//! A ticket never decides anything: `write/append.rs` knows what an answer reveals.

use std::sync::Arc;

use super::error::{AppendError, LogError, Refused};
use super::partition::Partition;
use crate::ids::{Offset, TimestampMs};

/// What an append did, or had done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The last record's offset.
    pub last_offset: Offset,
    /// Under LogAppendTime.
    pub(crate) append_time: Option<TimestampMs>,
    /// The partition's first offset.
    pub(crate) log_start: Offset,
    /// The batch was there before (KIP-98).
    pub duplicate: bool,
}

/// An answer that opens when what it reveals is durable.
#[must_use = "await `durable` or `synced` for the answer"]
#[derive(Clone, Debug)]
pub struct Ticket<T = Appended, E = AppendError> {
    partition: Arc<Partition>,
    outcome: Result<T, E>,
    /// HW has to reach this before the outcome is answered.
    reveals: Option<Offset>,
}

impl<T, E: From<LogError>> Ticket<T, E> {
    /// A success that comes with the end of what it reveals, or a refusal.
    pub(in crate::log) fn new(
        partition: &Arc<Partition>,
        outcome: Result<(T, Option<Offset>), Refused<E>>,
    ) -> Ticket<T, E> {
        let (outcome, reveals) = match outcome {
            Ok((value, reveals)) => (Ok(value), reveals),
            Err(Refused { error, reveals }) => (Err(error), reveals),
        };
        Ticket { partition: Arc::clone(partition), outcome, reveals }
    }

    /// The answer, once HW covers what it reveals.
    ///
    /// # Errors
    /// The refusal; the log's error when HW will not get there any more.
    pub async fn durable(self) -> Result<T, E> {
        if let Some(until) = self.reveals {
            self.partition.durable(until).await?;
        }
        self.outcome
    }

    /// The answer, once what it reveals is synced, in `sluice.flush=os` topics too (rule 18), and HW covers it.
    ///
    /// # Errors
    /// As `durable`.
    pub(crate) async fn synced(self) -> Result<T, E> {
        if let Some(until) = self.reveals {
            self.partition.sync_until(until).await?;
            self.partition.durable(until).await?;
        }
        self.outcome
    }

    /// The outcome at once, durable or not. Only for a caller that replays its own records right after the append, or
    /// leaves its state alone after a refusal. It must not reach an answer.
    ///
    /// # Errors
    /// The refusal.
    pub fn placed(&self) -> Result<&T, &E> {
        self.outcome.as_ref()
    }

    /// The answer is not wanted.
    #[cfg(test)]
    pub(crate) fn forget(self) {}
}
