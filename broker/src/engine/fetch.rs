//! STUB to be replaced. Fetch with long poll.
#![allow(missing_docs)]
use std::time::Duration;

use bytes::Bytes;

use super::produce::TopicRef;
use super::{Engine, EngineError};
use crate::config::Context;
use crate::ids::{LeaderEpoch, Offset, PartitionId};
use crate::log::Offsets;

pub struct FetchRequest {
    pub max_wait: Duration,
    pub min_bytes: usize,
    pub max_bytes: usize,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Clone, Debug)]
pub struct FetchPartition {
    pub topic: TopicRef,
    pub partition: PartitionId,
    pub offset: Offset,
    pub max_bytes: usize,
    pub epoch: Option<LeaderEpoch>,
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

#[derive(Clone, Debug)]
pub struct Fetched {
    pub records: Bytes,
    pub offsets: Offsets,
}

impl Engine {
    /// One outcome a partition, in the order of the request. Returns at once when `min_bytes` are there, an error is, or
    /// `max_wait` has passed. At least one batch in the whole answer, whatever the limits (KIP-74).
    pub async fn fetch(&self, _ctx: &Context, _request: &FetchRequest) -> Vec<Result<Fetched, EngineError>> {
        todo!()
    }
}
