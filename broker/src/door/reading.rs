//! What readers ask the door for and get back: records of several partitions in one read, and the offsets of a partition.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::{Offset, PartitionId, TimestampMs, TopicRef};

pub use crate::record::RecordView;

/// A share of the memory budget; given back with the last clone.
pub(crate) type SharedHold = Arc<dyn std::fmt::Debug + Send + Sync>;

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the first offset that the partition has.
    Earliest,
    /// At the end: only records that are written from now on.
    Latest,
    /// At this offset.
    At(Offset),
    /// At the first record that is not older than this time; at the end when there is none.
    Time(TimestampMs),
}

/// A read of one or more partitions, with one long poll over all of them.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The partitions. Earlier ones come first when a limit is reached, so a caller that repeats a read should rotate them.
    pub partitions: Vec<ReadPartition>,
    /// Records of the whole answer; at least one.
    pub records_max: usize,
    /// Bytes of keys, values and headers of the whole answer. The first record comes whatever its size.
    pub bytes_max: usize,
    /// How long to wait for the first record.
    pub timeout: Duration,
}

/// One partition of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPartition {
    /// The topic. An id never means a topic that was recreated under the same name.
    pub topic: TopicRef,
    /// The partition.
    pub partition: PartitionId,
    /// Where to begin.
    pub from: ReadFrom,
}

/// The records of one partition.
#[derive(Clone, Debug)]
pub struct PartitionRead {
    /// In order of offsets; empty when the timeout passed, or when other partitions filled the answer.
    pub records: Vec<RecordView>,
    /// What stands between them and cannot be read, in order of offsets.
    pub unreadable: Vec<Unreadable>,
    /// The offset to continue at.
    pub next: Offset,
    /// The partition's offsets at the time of the read.
    pub offsets: PartitionOffsets,
    /// What the answer holds of the memory budget, until it is dropped.
    pub held: Option<SharedHold>,
}

/// A record, or the rest of a batch, that cannot be read: its client has compressed it wrongly, or it opens to more than is
/// read at once. It stays in the log, and others may be able to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where it begins.
    pub offset: Offset,
    /// Where what follows begins.
    pub next: Offset,
    /// Why, for people.
    pub reason: String,
}

/// The offsets of a partition, as far as consumers may see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The first offset that the partition has.
    pub beginning: Offset,
    /// The offset after the last visible record.
    pub end: Offset,
    /// Records below are visible to consumers with `read_committed`.
    pub last_stable: Offset,
}

/// One record of a followed partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    /// The record; of a batch that cannot be opened, its bytes as the value.
    pub(crate) record: RecordView,
    /// The record stands for the rest of a batch that cannot be opened, for this reason.
    pub(crate) unreadable: Option<String>,
    /// The offset to continue at.
    pub(crate) next: Offset,
}
