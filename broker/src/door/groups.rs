//! STUB to be replaced. A group's committed offsets, without membership.
#![allow(missing_docs)]
use super::{Context, Door, DoorError};
use crate::coordinator::group::{CommittedOffset, OffsetToCommit};
use crate::ids::TopicPartition;

impl Door {
    pub async fn group_offsets(
        &self,
        _ctx: &Context,
        _group: &str,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>, DoorError> {
        todo!()
    }
    /// Refused with `GroupError::NotEmpty` while the group has members. Unknown topics or partitions are errors in their place.
    pub async fn commit_group_offsets(
        &self,
        _ctx: &Context,
        _group: &str,
        _offsets: Vec<OffsetToCommit>,
    ) -> Result<Vec<Result<(), DoorError>>, DoorError> {
        todo!()
    }
}
