//! STUB to be replaced. Iterates the records of a batch.
#![allow(missing_docs)]
use bytes::Bytes;

use super::{RecordError, StoredBatch, builder::Header};
use crate::ids::{Offset, TimestampMs};

/// One record of a stored batch; key, value and headers are slices of the (opened) batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    pub offset: Offset,
    /// As a consumer sees it: the batch's max timestamp under LogAppendTime.
    pub timestamp: TimestampMs,
    /// base timestamp + delta, whatever the batch's timestamp type (what the client had said).
    pub client_timestamp: TimestampMs,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// Opens a batch (bounded decompression) and yields its records in order. Control batches yield their control records as they are.
pub fn records(_batch: &StoredBatch) -> Result<Vec<RecordView>, RecordError> {
    todo!()
}
