//! STUB to be replaced. Builds a batch from messages.
#![allow(missing_docs)]
use bytes::Bytes;

use super::{Compression, ProducedBatch, ProducerStamp, RecordError};
use crate::ids::TimestampMs;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: String,
    pub value: Option<Bytes>,
}

/// A record as people think of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
    /// `None`: the time of the append.
    pub timestamp: Option<TimestampMs>,
}

/// One batch of at least one message. `producer` gives the batch an identity (idempotent or internal stream).
pub fn build(
    _messages: &[Message],
    _now: TimestampMs,
    _compression: Compression,
    _producer: Option<ProducerStamp>,
) -> Result<ProducedBatch, RecordError> {
    todo!()
}
