//! A consumer session, as callers of the door see it: a member of a group, to which partitions are assigned and revoked, and
//! which hands out their records when it is polled. `local/consumer.rs` opens it. Nothing of a group's protocol is in here.

use std::time::Duration;

use super::error::DoorError;
use super::reading::{RecordView, Unreadable};
use crate::ids::{Offset, TopicName, TopicPartition};

pub use super::local::consumer::ConsumerSession;

/// A request for a consumer session.
#[derive(Clone, Debug)]
pub struct ConsumerRequest {
    /// The group. Its members share the partitions of their topics.
    pub group: String,
    /// The topics; at least one. One that does not exist yet is consumed once it does.
    pub topics: Vec<TopicName>,
    /// Where to begin in a partition that the group has committed nothing for.
    pub from: ConsumeFrom,
    /// Records of one poll; at least one.
    pub records_max: usize,
    /// Bytes of keys, values and headers of one poll. The first record comes whatever its size.
    pub bytes_max: usize,
    /// A member that has not been heard of for so long is removed from the group.
    pub session_timeout: Duration,
    /// How often the session tells the group that it is there, whether or not it is polled; less than `session_timeout`.
    pub heartbeat_interval: Duration,
    /// How long a rebalance waits for this member, and the longest time between two polls: a caller that stays away for
    /// longer loses its partitions until it comes back.
    pub rebalance_timeout: Duration,
}

/// Where a group begins in a partition without a committed offset, or whose committed offset it no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumeFrom {
    /// At the first record that there is.
    Earliest,
    /// At the end.
    Latest,
    /// Nowhere: the poll reports the partition as failed.
    Error,
}

/// What a poll returns.
#[derive(Clone, Debug)]
pub enum ConsumerEvent {
    /// The session has these partitions now, and no others. May be none, where there are more members than partitions.
    Assigned(Vec<TopicPartition>),
    /// The session has no partition any more: no record of these comes after this. Offsets of them can be committed until the
    /// next poll.
    Revoked(Vec<TopicPartition>),
    /// Records; at least one.
    Records(Vec<PartitionRecords>),
    /// This partition cannot be read now, and no other had records. The next poll tries again.
    Failed {
        /// The partition.
        target: TopicPartition,
        /// Why.
        error: DoorError,
    },
}

/// The records of one partition in a poll.
#[derive(Clone, Debug)]
pub struct PartitionRecords {
    /// The partition.
    pub target: TopicPartition,
    /// In order of offsets; at least one, here or among the unreadable.
    pub records: Vec<RecordView>,
    /// What stands between them and cannot be read, in order of offsets.
    pub(crate) unreadable: Vec<Unreadable>,
    /// The offset to commit when they are finished with.
    pub next: Offset,
}
