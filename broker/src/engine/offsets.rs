//! STUB to be replaced. ListOffsets and OffsetForLeaderEpoch.
#![allow(missing_docs)]
use super::produce::TopicRef;
use super::{Engine, EngineError};
use crate::config::Context;
use crate::ids::{LeaderEpoch, Offset, PartitionId, TimestampMs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    Earliest,
    Latest,
    MaxTimestamp,
    At(TimestampMs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAnswer {
    pub offset: Option<Offset>,
    pub timestamp: Option<TimestampMs>,
    pub epoch: Option<LeaderEpoch>,
}

impl Engine {
    pub async fn list_offset(
        &self,
        _ctx: &Context,
        _topic: &TopicRef,
        _partition: PartitionId,
        _epoch: Option<LeaderEpoch>,
        _query: OffsetQuery,
    ) -> Result<OffsetAnswer, EngineError> {
        todo!()
    }
    /// (epoch, end offset); `None` when nothing as old is known.
    pub async fn epoch_end(
        &self,
        _ctx: &Context,
        _topic: &TopicRef,
        _partition: PartitionId,
        _current: Option<LeaderEpoch>,
        _asked: LeaderEpoch,
    ) -> Result<Option<(LeaderEpoch, Offset)>, EngineError> {
        todo!()
    }
}
