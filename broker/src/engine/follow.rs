//! Follows one partition batch by batch, for a service of the broker that works through all of it (delays): by topic id, so
//! that a topic which was deleted and recreated is another one, and without the wait of a long poll. Never opens a batch.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Engine, EngineError};
use crate::auth::{Granted, Read};
use crate::ids::{Offset, PartitionId, TopicRef};
use crate::log::{FileSlice, Partition, Patience, WatchGuard};

/// A partition that a service works through.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    partition: Arc<Partition>,
}

impl Engine {
    /// A partition of that topic, named by its id: see above.
    ///
    /// # Errors
    /// `IdNotFound`, `NoPartition`.
    pub(crate) fn follow(
        &self,
        topic: &Granted<Read, TopicRef>,
        partition: PartitionId,
    ) -> Result<Follower, EngineError> {
        Ok(Follower { partition: self.resolve(topic.resource())?.partition(partition)? })
    }
}

impl Follower {
    /// The first offset that is still in the log.
    #[must_use]
    pub(crate) fn log_start(&self) -> Offset {
        self.partition.offsets().log_start
    }

    /// The offset behind the last record that can be read.
    #[must_use]
    pub(crate) fn high_watermark(&self) -> Offset {
        self.partition.offsets().hw
    }

    /// Records at and above `from` are still needed: neither retention nor DeleteRecords removes them.
    pub(crate) fn hold(&self, from: Offset) {
        self.partition.hold(from);
    }

    /// Where about `bytes_max` bytes of whole batches below HW are, from the batch that holds `from` on; `None` at the end of
    /// the log. The last one may be cut short.
    ///
    /// # Errors
    /// The log's.
    pub(crate) fn locate(&self, from: Offset, bytes_max: usize) -> Result<Option<FileSlice>, EngineError> {
        let located = self.partition.locate(from, bytes_max, Patience::Wait)?;
        Ok(located.and_then(|located| located.slice))
    }

    /// Wakes `notify` on new records and on the partition's end, until the guard is dropped.
    pub(crate) fn watch(&self, notify: &Arc<Notify>) -> WatchGuard {
        self.partition.watch(notify)
    }
}
