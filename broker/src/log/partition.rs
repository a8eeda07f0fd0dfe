//! STUB to be replaced. One partition: LEO, HW, LSO, log start, segments.
#![allow(missing_docs)]
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::error::{AppendRefused, LogError};
use super::watch::WatchGuard;
use crate::ids::{LeaderEpoch, Offset, PartitionId, ProducerId, Sequence, TimestampMs, TopicId, TopicName};
use crate::record::{ProducedBatch, TimestampType};

/// Which partition a log belongs to; written to `partition.metadata` and checked at open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionIdent {
    pub topic: TopicName,
    pub topic_id: TopicId,
    pub partition: PartitionId,
}

/// What the topic's configs mean for its logs; may change while the log is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub segment_bytes: u64,
    pub segment_ms: i64,
    pub index_interval_bytes: u64,
    pub message_bytes_max: usize,
    pub timestamp_type: TimestampType,
    /// `true`: HW waits for the sync (the default). `false` is `sluice.flush=os`.
    pub sync: bool,
    /// Keyless records are refused (`cleanup.policy` has `compact`); compaction itself comes later.
    pub compacted: bool,
}

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Over the Kafka port: reserved producer ids are refused.
    Client,
    /// The broker: coordinators and gateway batches without identity.
    Broker,
    /// A deduplicated append: the batch carries a reserved producer id; exactly last + 1, or a duplicate (rule 18).
    Stream,
}

/// Producer ids at and above this belong to internal streams (rule 19); ids below are given to clients.
pub const RESERVED_PRODUCER_IDS: ProducerId = ProducerId(1 << 62);

/// What an append did, or had done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// Under LogAppendTime.
    pub append_time: Option<TimestampMs>,
    pub log_start: Offset,
    pub duplicate: bool,
    /// Whoever tells anybody of this waits until HW has reached it (`Partition::durable`).
    pub durable_at: Offset,
}

/// log start <= recovery point <= HW <= LEO (rule 1). LSO <= HW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    pub log_start: Offset,
    pub recovery_point: Offset,
    pub hw: Offset,
    pub lso: Offset,
    pub leo: Offset,
}

#[derive(Clone, Debug)]
pub struct ReadSlice {
    /// Whole batches below HW, as stored; the first one holds the offset asked for. Empty at the end.
    pub records: Bytes,
    pub offsets: Offsets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub epoch: LeaderEpoch,
}

/// The last thing that an internal stream wrote here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLast {
    pub sequence: Sequence,
    pub offset: Offset,
}

#[derive(Debug)]
pub struct Partition {}

impl Partition {
    pub fn ident(&self) -> &PartitionIdent {
        todo!()
    }
    /// Appends one batch to the page cache and hands the partition to the flusher; does not wait. Cost: one write.
    /// Control of order: whoever calls first is first.
    pub fn append(&self, _batch: ProducedBatch, _origin: Origin) -> Result<Appended, AppendRefused> {
        todo!()
    }
    /// Returns when HW >= `until`.
    pub async fn durable(&self, _until: Offset) -> Result<(), LogError> {
        todo!()
    }
    pub fn offsets(&self) -> Offsets {
        todo!()
    }
    /// At least one batch when there is one below HW, else at most `max_bytes`. `OutOfRange` below log start or above HW.
    pub fn read(&self, _from: Offset, _max_bytes: usize) -> Result<ReadSlice, LogError> {
        todo!()
    }
    /// `notify.notify_one()` is called whenever HW moves, and when the partition is deleted or poisoned.
    pub fn watch(&self, _notify: &Arc<Notify>) -> WatchGuard {
        todo!()
    }
    /// First record below HW whose timestamp is at or after `at`.
    pub fn find_time(&self, _at: TimestampMs) -> Result<Option<TimedOffset>, LogError> {
        todo!()
    }
    /// The record below HW with the largest timestamp (the first of those).
    pub fn find_max_time(&self) -> Result<Option<TimedOffset>, LogError> {
        todo!()
    }
    /// OffsetForLeaderEpoch: the largest epoch <= `epoch` known and where it ends (HW for the current one). `None`: unknown.
    pub fn epoch_end(&self, _epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        todo!()
    }
    /// The epoch that the record at `offset` was written in, for ListOffsets and OffsetCommit answers.
    pub fn epoch_at(&self, _offset: Offset) -> Option<LeaderEpoch> {
        todo!()
    }
    pub fn current_epoch(&self) -> LeaderEpoch {
        todo!()
    }
    /// Rule 5: `None` is not checked.
    pub fn check_epoch(&self, _asked: Option<LeaderEpoch>) -> Result<(), LogError> {
        todo!()
    }
    pub fn stream_last(&self, _stream: ProducerId) -> Option<StreamLast> {
        todo!()
    }
    pub fn reconfigure(&self, _config: LogConfig) {
        todo!()
    }
    /// `Err` when poisoned, deleted or offline.
    pub fn usable(&self) -> Result<(), LogError> {
        todo!()
    }
}
