//! STUB to be replaced. Produce: append now, answer when durable.
#![allow(missing_docs)]
use bytes::Bytes;

use super::{Engine, EngineError};
use crate::config::Context;
use crate::ids::{PartitionId, TopicId};
use crate::log::Appended;

/// How a request names a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    None,
    Durable,
}

pub struct ProducePartition {
    pub topic: TopicRef,
    pub partition: PartitionId,
    pub records: Option<Bytes>,
}

/// Appended (or failed), not yet durable. Await it for the answer.
pub struct ProduceInFlight {
    _private: (),
}

impl ProduceInFlight {
    /// One outcome a partition, in the order of the request, each only once what it says is durable.
    pub async fn outcome(self) -> Vec<Result<Appended, EngineError>> {
        todo!()
    }
}

impl Engine {
    /// When this returns, every partition of the request has appended or failed (rule 7), so the next produce may begin.
    pub async fn produce(&self, _ctx: &Context, _partitions: Vec<ProducePartition>, _acks: Acks) -> ProduceInFlight {
        todo!()
    }
}
