//! Which partition a log belongs to: what is written to `partition.metadata` and checked at open. Never a path: names on
//! disk are made in `layout.rs`.

use crate::ids::{PartitionId, TopicId, TopicName, TopicPartition};

/// Which partition a log belongs to; written to `partition.metadata` and checked at open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionIdent {
    /// The topic's name.
    pub topic: TopicName,
    /// The topic's identity, which a later topic of that name does not have.
    pub topic_id: TopicId,
    /// The partition's number.
    pub partition: PartitionId,
}

impl PartitionIdent {
    /// The partition by its topic's name.
    #[must_use]
    pub fn name(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: self.partition }
    }
}
