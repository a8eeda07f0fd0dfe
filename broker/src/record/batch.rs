//! Record batch v2: the 61 bytes of its header, and the two checks that let bytes in. `check_produced` is for what producers
//! send, `check_stored` for what a log holds (log contract, rule 4); they are the only ways to a `ProducedBatch` or a
//! `StoredBatch`. Stamping patches the header and never touches the records.
//! Layout: Kafka's `DefaultRecordBatch` (base offset and leader epoch stand outside of the CRC).

use bytes::{Buf, Bytes};

use super::records::{self, RecordIter};
use super::{Compression, Levels, RecordError};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};
use crate::limits::BATCH_HEADER_BYTES;

/// Base offset and length field: the bytes of a batch that its length does not count.
const LOG_OVERHEAD_BYTES: usize = 12;
/// Where the magic byte is, in message formats 0 and 1 as well.
const MAGIC_AT: usize = 16;
const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;

pub(super) const CODEC_MASK: u16 = 0x07;
const LOG_APPEND_TIME_BIT: u16 = 0x08;
const TRANSACTIONAL_BIT: u16 = 0x10;
const CONTROL_BIT: u16 = 0x20;
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
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// How the records are compressed.
    pub compression: Compression,
    /// What the timestamps mean.
    pub timestamp_type: TimestampType,
    /// Part of a transaction (KIP-98); whoever has no transactions refuses it.
    pub transactional: bool,
    /// Transaction markers and the like, never shown to consumers.
    pub control: bool,
    /// Compaction has set when the tombstones may go: the base timestamp is that time (KIP-534).
    pub delete_horizon: bool,
    /// The last record's offset less the base offset, also when that record is compacted away.
    pub last_offset_delta: i32,
    /// What the timestamp deltas of the records count from.
    pub base_timestamp: TimestampMs,
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

/// One whole batch from a producer, checked (log contract, rule 4).
#[derive(Clone, Debug)]
pub struct ProducedBatch {
    header: BatchHeader,
    bytes: Bytes,
    /// The producer's max timestamp is not that of its records: stamping corrects it.
    correct_max_timestamp: bool,
}

impl ProducedBatch {
    /// What the builder made: not checked again.
    pub(super) fn built(bytes: Bytes) -> Result<ProducedBatch, RecordError> {
        Ok(ProducedBatch { header: BatchHeader::parse(&bytes)?, bytes, correct_max_timestamp: false })
    }

    /// What the header says, its max timestamp corrected where the records were seen to have another.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The batch as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Opens the records (bounded decompression) and walks them: count, lengths and offset deltas. `check_produced` has
    /// done so for an uncompressed batch; this is for whoever must be sure of compressed ones too.
    ///
    /// # Errors
    /// `Compression` or `Invalid`.
    pub fn check_records(&self) -> Result<(), RecordError> {
        self.walk(&self.open_body()?).map(drop)
    }

    /// The records, decompressed within bounds.
    pub(super) fn open_body(&self) -> Result<Bytes, RecordError> {
        self.header.compression.open(&self.bytes.slice(BATCH_HEADER_BYTES..))
    }

    /// Their largest timestamp, and that they are what the header says.
    pub(super) fn walk(&self, body: &Bytes) -> Result<TimestampMs, RecordError> {
        walk_produced(&self.header, body)
    }

    /// The records were seen to have this one.
    pub(super) fn with_max_timestamp(mut self, seen: TimestampMs) -> ProducedBatch {
        self.correct_max_timestamp |= seen != self.header.max_timestamp;
        self.header.max_timestamp = seen;
        self
    }

    /// The same records, `body` when opened, in another compression: length, attributes, max timestamp and CRC are new,
    /// everything else is as the producer said.
    pub(super) fn recompressed(
        &self,
        body: &[u8],
        compression: Compression,
        levels: Levels,
    ) -> Result<ProducedBatch, RecordError> {
        let closed = compression.close_at(body, levels)?;
        let size = BATCH_HEADER_BYTES + closed.len();
        let length = i32::try_from(size - LOG_OVERHEAD_BYTES)
            .map_err(|_| RecordError::TooLarge { size, limit: i32::MAX as usize })?;
        let mut batch = Vec::with_capacity(size);
        batch.extend_from_slice(&self.bytes[..BATCH_HEADER_BYTES]);
        batch.extend_from_slice(&closed);
        let attributes = u16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
        let attributes = (attributes & !CODEC_MASK) | compression.bits();
        batch[LENGTH_AT..][..4].copy_from_slice(&length.to_be_bytes());
        batch[ATTRIBUTES_AT..][..2].copy_from_slice(&attributes.to_be_bytes());
        batch[MAX_TIMESTAMP_AT..][..8].copy_from_slice(&self.header.max_timestamp.0.to_be_bytes());
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        ProducedBatch::built(batch.into())
    }

    /// Opens the records and yields them one by one, with the offsets that the producer gave them (from 0).
    ///
    /// # Errors
    /// `Compression` when they cannot be opened.
    pub fn iter(&self) -> Result<RecordIter, RecordError> {
        RecordIter::open(&self.header, &self.bytes)
    }

    /// Ready for the log: the first 61 bytes with base offset and leader epoch patched in place (and, where `append_time`
    /// is given, the LogAppendTime bit, max timestamp and a recomputed CRC), and the rest as it came.
    /// Costs one pass over the bytes where the CRC changes, none otherwise; copies 61 bytes.
    #[must_use]
    pub fn stamp(self, base: Offset, epoch: LeaderEpoch, append_time: Option<TimestampMs>) -> StampedBatch {
        let mut header = self.header;
        let mut bytes = self.bytes;
        let mut head = [0u8; BATCH_HEADER_BYTES];
        bytes.copy_to_slice(&mut head);

        header.base_offset = base;
        header.leader_epoch = epoch;
        head[..8].copy_from_slice(&base.0.to_be_bytes());
        head[LEADER_EPOCH_AT..][..4].copy_from_slice(&epoch.0.to_be_bytes());
        if let Some(time) = append_time {
            header.timestamp_type = TimestampType::LogAppendTime;
            header.max_timestamp = time;
            let attributes = u16::from_be_bytes([head[ATTRIBUTES_AT], head[ATTRIBUTES_AT + 1]]) | LOG_APPEND_TIME_BIT;
            head[ATTRIBUTES_AT..][..2].copy_from_slice(&attributes.to_be_bytes());
        }
        if append_time.is_some() || self.correct_max_timestamp {
            head[MAX_TIMESTAMP_AT..][..8].copy_from_slice(&header.max_timestamp.0.to_be_bytes());
            header.crc = crc32c::crc32c_append(crc32c::crc32c(&head[ATTRIBUTES_AT..]), &bytes);
            head[CRC_AT..][..4].copy_from_slice(&header.crc.to_be_bytes());
        }
        StampedBatch { header, head, body: bytes }
    }
}

/// A batch as it is to be written: `head`, then `body`.
#[derive(Clone, Debug)]
pub struct StampedBatch {
    /// What `head` says.
    pub header: BatchHeader,
    /// The first 61 bytes.
    pub head: [u8; BATCH_HEADER_BYTES],
    /// The records, as the producer sent them.
    pub body: Bytes,
}

/// One whole batch from a log, checked (size, magic, CRC, count <= lastOffsetDelta + 1).
#[derive(Clone, Debug)]
pub struct StoredBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl StoredBatch {
    /// What the header says.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Opens the records (bounded decompression) and yields them one by one.
    ///
    /// # Errors
    /// `Compression` when they cannot be opened.
    pub fn iter(&self) -> Result<RecordIter, RecordError> {
        RecordIter::open(&self.header, &self.bytes)
    }
}

/// Exactly one batch in `bytes`; header, CRC, size, count; uncompressed records are walked once (record count, lengths,
/// offset deltas), compressed ones are not opened. `size_max` is the topic's `max.message.bytes`.
///
/// # Errors
/// `Magic`, `TooLarge`, `Corrupt` (cut short, CRC) or `Invalid`: what Kafka's `LogValidator` refuses from clients.
pub fn check_produced(bytes: Bytes, size_max: usize) -> Result<ProducedBatch, RecordError> {
    let mut header = BatchHeader::parse(&bytes)?;
    if header.size > bytes.len() {
        return Err(cut_short(&header, bytes.len()));
    }
    if header.size < bytes.len() {
        return Err(invalid("a partition's part of a request must be exactly one batch"));
    }
    if header.size > size_max {
        return Err(RecordError::TooLarge { size: header.size, limit: size_max });
    }
    check_crc(&header, &bytes)?;
    check_produced_header(&header, &bytes)?;
    let mut correct_max_timestamp = false;
    if header.compression == Compression::None {
        let max_timestamp = walk_produced(&header, &bytes[BATCH_HEADER_BYTES..])?;
        correct_max_timestamp = max_timestamp != header.max_timestamp;
        header.max_timestamp = max_timestamp;
    }
    Ok(ProducedBatch { header, bytes, correct_max_timestamp })
}

/// The first batch of `bytes` (which may hold more).
///
/// # Errors
/// `Corrupt` when it is cut short or damaged, `Magic` or `Compression` when it is nothing that we or Kafka 4 write.
pub fn check_stored(bytes: Bytes) -> Result<StoredBatch, RecordError> {
    let header = BatchHeader::parse(&bytes)?;
    if header.size > bytes.len() {
        return Err(cut_short(&header, bytes.len()));
    }
    let bytes = bytes.slice(..header.size);
    check_crc(&header, &bytes)?;
    if !(0..=i64::from(header.last_offset_delta) + 1).contains(&i64::from(header.record_count)) {
        let (count, delta) = (header.record_count, header.last_offset_delta);
        return Err(corrupt(format!("it counts {count} records with last offset delta {delta}")));
    }
    Ok(StoredBatch { header, bytes })
}

/// What only the header of a produced batch can be refused for; the order is Kafka's.
fn check_produced_header(header: &BatchHeader, bytes: &[u8]) -> Result<(), RecordError> {
    let count = header.record_count;
    if header.base_offset != Offset::ZERO {
        return Err(invalid(format!("its base offset is {}, producers send 0", header.base_offset)));
    }
    if count <= 0 || i64::from(count) != i64::from(header.last_offset_delta) + 1 {
        let delta = header.last_offset_delta;
        return Err(invalid(format!("it counts {count} records with last offset delta {delta}")));
    }
    if header.control {
        return Err(invalid("clients may not write control records"));
    }
    if header.timestamp_type == TimestampType::LogAppendTime || header.delete_horizon {
        return Err(invalid("its attributes say LogAppendTime or a delete horizon, which only a broker sets"));
    }
    let producer_id = (&bytes[43..51]).get_i64();
    if producer_id >= 0 && header.producer.is_none_or(|producer| producer.epoch.0 < 0) {
        return Err(invalid(format!("it has producer id {producer_id} without a sequence or an epoch")));
    }
    Ok(())
}

/// Walks opened records once, without allocating: count, lengths, offset deltas 0, 1, 2, …. Returns their largest timestamp.
fn walk_produced(header: &BatchHeader, body: &[u8]) -> Result<TimestampMs, RecordError> {
    let mut at = 0;
    let mut max_timestamp = i64::MIN;
    for index in 0..header.record_count {
        let record = records::parse(body, at).map_err(|bad| invalid(format!("record {index}: {bad}")))?;
        if record.offset_delta != index {
            return Err(invalid(format!("record {index} has offset delta {}", record.offset_delta)));
        }
        max_timestamp = max_timestamp.max(header.base_timestamp.0.saturating_add(record.timestamp_delta));
        at = record.end;
    }
    if at != body.len() {
        let (count, rest) = (header.record_count, body.len() - at);
        return Err(invalid(format!("{rest} bytes follow the {count} records that it counts")));
    }
    Ok(TimestampMs(max_timestamp))
}

fn check_crc(header: &BatchHeader, bytes: &[u8]) -> Result<(), RecordError> {
    let found = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    if found == header.crc {
        return Ok(());
    }
    Err(corrupt(format!("its CRC-32C is {found:08x}, its header says {:08x}", header.crc)))
}

fn cut_short(header: &BatchHeader, have: usize) -> RecordError {
    corrupt(format!("it has {} bytes, {have} of them are here", header.size))
}

fn corrupt(reason: impl Into<String>) -> RecordError {
    RecordError::Corrupt { reason: reason.into() }
}

fn invalid(reason: impl Into<String>) -> RecordError {
    RecordError::Invalid { reason: reason.into() }
}

#[cfg(test)]
mod tests;
