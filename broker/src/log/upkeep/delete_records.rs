//! DeleteRecords: a client moves the log start. What is below cannot be read any more, durably, when it is answered;
//! the next retention pass removes the segments. Source: Kafka's `Partition.deleteRecordsOnLeader`.

use crate::ids::{Offset, TopicPartition};
use crate::log::error::LogError;
use crate::log::partition::Partition;
use crate::tasks;

/// Up to where records are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteUntil {
    /// Everything that a consumer can read now.
    HighWatermark,
    /// Everything below.
    Offset(Offset),
}

/// Why records were not deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    /// `cleanup.policy` is `compact` alone.
    #[error("records of {partition} cannot be deleted: its cleanup.policy is without 'delete'")]
    Policy {
        /// `topic-partition`.
        partition: TopicPartition,
    },
    /// The broker itself has not worked through them yet.
    #[error("records of {partition} at and above offset {held} wait for their delivery and cannot be deleted")]
    Held {
        /// `topic-partition`.
        partition: TopicPartition,
        /// The first one that is needed.
        held: Offset,
    },
    /// An offset above HW, or the log's trouble.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Partition {
    /// Deletes what is below; returns the log start, which is unchanged when it was higher already.
    ///
    /// # Errors
    /// `Policy`, `Held`; `Log` with `OutOfRange` above HW, or when the new start could not be made durable.
    pub(crate) async fn delete_records(&self, until: DeleteUntil) -> Result<Offset, DeleteRecordsError> {
        self.usable()?;
        let partition = self.ident().name();
        if !self.config.load().cleanup.delete {
            return Err(DeleteRecordsError::Policy { partition });
        }
        let offsets = self.offsets();
        let until = match until {
            DeleteUntil::HighWatermark => offsets.hw,
            DeleteUntil::Offset(until) if until > offsets.hw => {
                let (log_start, end) = (offsets.log_start, offsets.hw);
                return Err(LogError::OutOfRange { asked: until, log_start, end }.into());
            }
            DeleteUntil::Offset(until) => until,
        };
        let held = Offset(self.held.load(std::sync::atomic::Ordering::Acquire));
        if until > held {
            return Err(DeleteRecordsError::Held { partition, held });
        }
        if until <= offsets.log_start {
            return Ok(offsets.log_start);
        }
        self.forget_below(until).await?;
        Ok(self.offsets().log_start)
    }

    /// Moves the log start, durably, for an owner that has written anew what it needs of the records below. `until` is at most
    /// HW.
    ///
    /// # Errors
    /// The log's.
    pub(crate) async fn forget_below(&self, until: Offset) -> Result<(), LogError> {
        // Rule 1: a power cut must not leave a log that ends before it begins.
        self.settle(until).await?;
        let Some(me) = self.me() else { return Ok(()) };
        tasks::blocking("delete-records", move || me.move_start(until)).await.map_err(LogError::from)?
    }

    fn move_start(&self, to: Offset) -> Result<(), LogError> {
        self.view().positions.may_begin_at(to)?;
        self.around.starts.update(|starts| {
            // Under the file's lock: after a deletion nothing of this log comes back under its name.
            if let Some(name) = self.name_if_usable() {
                let start = starts.entry(name).or_insert(to);
                *start = to.max(*start);
            }
        })?;
        self.usable()?;
        self.begin_at(to);
        Ok(())
    }
}
