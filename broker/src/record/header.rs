//! The 61 bytes in front of the records of a batch: where each field stands, and what it says. Checks what no batch can
//! have; whether the bytes behind the header are what it says is `batch.rs`'s question.
//! Layout: Kafka's `DefaultRecordBatch` (base offset and leader epoch stand outside of the CRC).

use bytes::Buf;

use super::compression::Compression;
use super::error::{RecordError, corrupt};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};
use crate::limits::BATCH_HEADER_BYTES;

/// Base offset and length field: the bytes of a batch that its length does not count.
pub(super) const LOG_OVERHEAD_BYTES: usize = 12;
/// Where the magic byte is, in message formats 0 and 1 as well.
pub(super) const MAGIC_AT: usize = 16;
pub(super) const LENGTH_AT: usize = 8;
pub(super) const LEADER_EPOCH_AT: usize = 12;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;

pub(super) const CODEC_MASK: u16 = 0x07;
pub(super) const LOG_APPEND_TIME_BIT: u16 = 0x08;
pub(super) const TRANSACTIONAL_BIT: u16 = 0x10;
pub(super) const CONTROL_BIT: u16 = 0x20;
/// The base timestamp is when a compacted batch's tombstones may go (KIP-534).
pub(super) const DELETE_HORIZON_BIT: u16 = 0x40;

/// What the timestamps of a batch mean (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// As the producer said, one a record.
    CreateTime,
    /// When the batch was appended: its max timestamp, for every record.
    LogAppendTime,
}

/// Who produced a batch and the sequence of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's first record.
    pub first: Sequence,
}

/// The header of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset that the deltas of the records count from.
    pub base_offset: Offset,
    /// Bytes of the whole batch, with the 12 of base offset and length.
    pub size: usize,
    /// The broker term it was appended in.
    pub(crate) leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub(crate) crc: u32,
    /// How the records are compressed.
    pub compression: Compression,
    /// What the timestamps mean.
    pub timestamp_type: TimestampType,
    /// Part of a transaction (KIP-98); whoever has no transactions refuses it.
    pub(crate) transactional: bool,
    /// Transaction markers and the like, never shown to consumers.
    pub(crate) control: bool,
    /// Compaction has set when the tombstones may go: the base timestamp is that time (KIP-534).
    pub(crate) delete_horizon: bool,
    /// The last record's offset less the base offset, also when that record is compacted away.
    pub(crate) last_offset_delta: i32,
    /// What the timestamp deltas of the records count from.
    pub(crate) base_timestamp: TimestampMs,
    /// The largest timestamp, or the append time.
    pub max_timestamp: TimestampMs,
    /// Set where the batch has both a producer id and a sequence: transaction markers have no sequence and thus `None`.
    pub producer: Option<ProducerStamp>,
    /// Records in the batch: less than `last_offset_delta + 1` after compaction.
    pub record_count: i32,
}

impl BatchHeader {
    /// Parses the first 61 bytes; does not check the CRC, nor that the rest of the batch is there.
    ///
    /// # Errors
    /// `Magic` for message formats other than 2; `Corrupt` for fewer than 61 bytes or a field that no batch has;
    /// `Compression` for an unknown codec.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, RecordError> {
        // Formats 0 and 1 have smaller headers with the magic in the same place.
        if let Some(&magic) = bytes.get(MAGIC_AT)
            && magic != 2
        {
            return Err(RecordError::Magic { magic: i8::from_be_bytes([magic]) });
        }
        let Some(mut head) = bytes.get(..BATCH_HEADER_BYTES) else {
            return Err(corrupt(format!("{} bytes are less than a batch header's {BATCH_HEADER_BYTES}", bytes.len())));
        };
        let base_offset = head.get_i64();
        let length = head.get_i32();
        let leader_epoch = head.get_i32();
        head.advance(1);
        let crc = head.get_u32();
        let attributes = head.get_u16();
        let last_offset_delta = head.get_i32();
        let base_timestamp = TimestampMs(head.get_i64());
        let max_timestamp = TimestampMs(head.get_i64());
        let (producer_id, producer_epoch, sequence) = (head.get_i64(), head.get_i16(), head.get_i32());
        let record_count = head.get_i32();

        let size = usize::try_from(length).unwrap_or(0) + LOG_OVERHEAD_BYTES;
        if size < BATCH_HEADER_BYTES {
            return Err(corrupt(format!("its length field is {length}")));
        }
        let next_offset = base_offset.checked_add(i64::from(last_offset_delta) + 1);
        if base_offset < 0 || last_offset_delta < 0 || next_offset.is_none() {
            return Err(corrupt(format!("base offset {base_offset} with last offset delta {last_offset_delta}")));
        }
        let stamped = producer_id >= 0 && sequence >= 0;
        Ok(BatchHeader {
            base_offset: Offset(base_offset),
            size,
            leader_epoch: LeaderEpoch(leader_epoch),
            crc,
            compression: Compression::from_bits(attributes & CODEC_MASK)?,
            timestamp_type: if attributes & LOG_APPEND_TIME_BIT == 0 {
                TimestampType::CreateTime
            } else {
                TimestampType::LogAppendTime
            },
            transactional: attributes & TRANSACTIONAL_BIT != 0,
            control: attributes & CONTROL_BIT != 0,
            delete_horizon: attributes & DELETE_HORIZON_BIT != 0,
            last_offset_delta,
            base_timestamp,
            max_timestamp,
            producer: stamped.then_some(ProducerStamp {
                id: ProducerId(producer_id),
                epoch: ProducerEpoch(producer_epoch),
                first: Sequence(sequence),
            }),
            record_count,
        })
    }

    /// The offset of the last record, compacted away or not.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The offset of the batch that follows.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// The sequence of the last record, if it has a producer.
    #[must_use]
    pub fn last_sequence(&self) -> Option<Sequence> {
        self.producer.map(|producer| producer.first.advance(self.last_offset_delta))
    }
}
