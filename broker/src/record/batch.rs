//! STUB to be replaced. Record batch v2 headers.
#![allow(missing_docs)]
use bytes::Bytes;

use super::{Compression, RecordError};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// Who produced a batch and the sequence of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub first: Sequence,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes of the whole batch, with the 12 of base offset and length.
    pub size: usize,
    pub leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub compression: Compression,
    pub timestamp_type: TimestampType,
    pub transactional: bool,
    pub control: bool,
    pub last_offset_delta: i32,
    pub base_timestamp: TimestampMs,
    pub max_timestamp: TimestampMs,
    pub producer: Option<ProducerStamp>,
    pub record_count: i32,
}

impl BatchHeader {
    /// Parses the first 61 bytes; does not check the CRC.
    pub fn parse(_bytes: &[u8]) -> Result<BatchHeader, RecordError> {
        todo!()
    }
    pub fn last_offset(&self) -> Offset {
        todo!()
    }
    pub fn next_offset(&self) -> Offset {
        todo!()
    }
    /// The sequence of the last record, if it has a producer.
    pub fn last_sequence(&self) -> Option<Sequence> {
        todo!()
    }
}

/// One whole batch from a producer, checked (log contract, rule 4).
#[derive(Clone, Debug)]
pub struct ProducedBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl ProducedBatch {
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// Ready for the log: the first 61 bytes with base offset and leader epoch patched in place (and, where `append_time`
    /// is given, the LogAppendTime bit, max timestamp and a recomputed CRC), and the rest as it came.
    pub fn stamp(self, _base: Offset, _epoch: LeaderEpoch, _append_time: Option<TimestampMs>) -> StampedBatch {
        todo!()
    }
}

pub struct StampedBatch {
    pub header: BatchHeader,
    pub head: [u8; 61],
    pub body: Bytes,
}

/// One whole batch from a log, checked (size, magic, CRC, count <= lastOffsetDelta + 1).
#[derive(Clone, Debug)]
pub struct StoredBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl StoredBatch {
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Exactly one batch in `bytes`; header, CRC, size, count; uncompressed records are walked once (record count, lengths, deltas).
pub fn check_produced(bytes: Bytes, _size_max: usize) -> Result<ProducedBatch, RecordError> {
    let _ = bytes;
    todo!()
}

/// The first batch of `bytes` (which may hold more); `Corrupt` when it is cut short.
pub fn check_stored(bytes: Bytes) -> Result<StoredBatch, RecordError> {
    let _ = bytes;
    todo!()
}
