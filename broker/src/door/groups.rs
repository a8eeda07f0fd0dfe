//! Committed offsets of consumer groups, as the door shows and takes them.

use crate::ids::{Offset, TopicPartition};

/// An offset that a group has committed, or is to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The topic and partition.
    pub target: TopicPartition,
    /// The offset that the group reads next.
    pub offset: Offset,
    /// The committer's own text.
    pub metadata: Option<String>,
}
