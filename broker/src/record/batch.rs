//! Record batch v2: the two checks that let bytes in. `check_produced` is for what producers
//! send, `check_stored` for what a log holds (log contract, rule 4); they are the only ways to a `ProducedBatch` or a
//! `StoredBatch`. Stamping patches the header and never touches the records.

use bytes::{Buf, Bytes};

use super::compression::{Closer, Compression, Levels, closing_bytes};
use super::decoder::Input;
use super::error::{RecordError, corrupt};
use super::header::{
    ATTRIBUTES_AT, BatchHeader, CODEC_MASK, CRC_AT, LEADER_EPOCH_AT, LENGTH_AT, LOG_APPEND_TIME_BIT,
    LOG_OVERHEAD_BYTES, MAX_TIMESTAMP_AT, TimestampType,
};
use super::parse;
use super::records::{RecordIter, RecordView, Walk};
use super::stream::{Bounds, Means, Shape, Stop, Unopened};
use crate::ids::{LeaderEpoch, Offset, TimestampMs};
use crate::limits::{BATCH_HEADER_BYTES, RECORDS_VIEWED_MAX};

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
        Means::unlimited(|means| self.walk(means, |_, _| {})).map(drop).map_err(Stop::into_record)
    }

    /// Shows every record: that they are what the header says, their largest timestamp, and the bytes that they open to.
    pub(super) fn walk(
        &self,
        means: &mut Means<'_>,
        mut see: impl FnMut(i32, &Shape),
    ) -> Result<(TimestampMs, usize), Stop> {
        let header = &self.header;
        let mut walk = Walk::open(Unopened::here(header, &self.bytes), Bounds::default())?;
        let (mut max_timestamp, mut opened) = (i64::MIN, 0);
        for index in 0..header.record_count {
            let Some(record) = walk.next(means, invalid)? else { break };
            if record.offset_delta != index {
                return Err(invalid(format!("record {index} has offset delta {}", record.offset_delta)).into());
            }
            max_timestamp = max_timestamp.max(header.base_timestamp.0.saturating_add(record.timestamp_delta));
            opened += record.size;
            see(index, &record);
        }
        if walk.more_follows(means)? {
            let count = header.record_count;
            return Err(invalid(format!("bytes follow the {count} records that it counts")).into());
        }
        means.spare += walk.admitted();
        Ok((TimestampMs(max_timestamp), opened))
    }

    /// The records were seen to have this one.
    pub(super) fn with_max_timestamp(mut self, seen: TimestampMs) -> ProducedBatch {
        self.correct_max_timestamp |= seen != self.header.max_timestamp;
        self.header.max_timestamp = seen;
        self
    }

    /// The same records, which open to `opened` bytes, in another compression: length, attributes, max timestamp and CRC are
    /// new, everything else is as the producer said. Ends where more than `size_max` bytes would be stored.
    pub(super) fn recompressed(
        &self,
        opened: usize,
        compression: Compression,
        (levels, size_max): (Levels, usize),
        means: &mut Means<'_>,
    ) -> Result<ProducedBatch, Stop> {
        let takes = |levels| closing_bytes(compression, levels, (opened, size_max));
        // A level that needs more tables than there is memory gives way: a producer that is refused would try for ever.
        let mut levels = levels;
        if !(means.admit)(takes(levels)) {
            levels = Levels::default();
            if !(means.admit)(takes(levels)) {
                return Err(Stop::NoMemory(takes(levels)));
            }
        }
        let head = self.bytes[..BATCH_HEADER_BYTES].to_vec();
        let mut closer = Closer::new(compression, levels, Some(opened), (head, size_max))?;
        let (_, mut stream) = Unopened::here(&self.header, &self.bytes).open(Bounds::default())?;
        stream.each_piece(opened, means, |piece| Ok(closer.write(piece)?))?;
        let mut batch = closer.finish()?;
        let length = i32::try_from(batch.len() - LOG_OVERHEAD_BYTES)
            .map_err(|_| RecordError::TooLarge { size: batch.len(), limit: i32::MAX as usize })?;
        let attributes = u16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
        let attributes = (attributes & !CODEC_MASK) | compression.bits();
        batch[LENGTH_AT..][..4].copy_from_slice(&length.to_be_bytes());
        batch[ATTRIBUTES_AT..][..2].copy_from_slice(&attributes.to_be_bytes());
        batch[MAX_TIMESTAMP_AT..][..8].copy_from_slice(&self.header.max_timestamp.0.to_be_bytes());
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        Ok(ProducedBatch::built(batch.into())?)
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
    pub(crate) fn bytes(&self) -> &Bytes {
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

impl From<&StoredBatch> for Unopened {
    fn from(batch: &StoredBatch) -> Unopened {
        Unopened::here(batch.header(), batch.bytes())
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
    check_count(&header)?;
    Ok(StoredBatch { header, bytes })
}

/// As `check_stored`, for a batch that stays where it is: `read` returns its bytes behind the header, and is called once for
/// the checksum and once for the records.
///
/// # Errors
/// As `check_stored`; those of `read`.
pub(crate) fn check_stored_in<E: From<RecordError> + From<std::io::Error>>(
    head: &[u8; BATCH_HEADER_BYTES],
    mut read: impl FnMut() -> Result<Input, E>,
) -> Result<Unopened, E> {
    let header = BatchHeader::parse(head)?;
    let mut input = read()?;
    let mut found = crc32c::crc32c(&head[ATTRIBUTES_AT..]);
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        found = crc32c::crc32c_append(found, piece);
        let count = piece.len();
        input.consume(count);
    }
    check_found_crc(&header, found)?;
    check_count(&header)?;
    Ok(Unopened::elsewhere(header, read()?))
}

fn check_count(header: &BatchHeader) -> Result<(), RecordError> {
    if !(0..=i64::from(header.last_offset_delta) + 1).contains(&i64::from(header.record_count)) {
        let (count, delta) = (header.record_count, header.last_offset_delta);
        return Err(corrupt(format!("it counts {count} records with last offset delta {delta}")));
    }
    Ok(())
}

/// Opens a batch (bounded decompression) and returns its records in order. Control batches give their control records as
/// they are. For batches of unknown origin `StoredBatch::iter` needs less memory.
///
/// # Errors
/// `Compression` when it cannot be opened; `Corrupt` when a record is not one, or there are more than
/// `limits::RECORDS_VIEWED_MAX`.
pub fn records(batch: &StoredBatch) -> Result<Vec<RecordView>, RecordError> {
    let count = usize::try_from(batch.header().record_count).unwrap_or(0);
    if count > RECORDS_VIEWED_MAX {
        let reason = format!("{count} records are more than {RECORDS_VIEWED_MAX} to be held at once");
        return Err(RecordError::Corrupt { reason });
    }
    batch.iter()?.collect()
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
        let record = parse::parse(body, at).map_err(|bad| invalid(format!("record {index}: {bad}")))?;
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
    check_found_crc(header, crc32c::crc32c(&bytes[ATTRIBUTES_AT..]))
}

fn check_found_crc(header: &BatchHeader, found: u32) -> Result<(), RecordError> {
    if found == header.crc {
        return Ok(());
    }
    Err(corrupt(format!("its CRC-32C is {found:08x}, its header says {:08x}", header.crc)))
}

fn cut_short(header: &BatchHeader, have: usize) -> RecordError {
    corrupt(format!("it has {} bytes, {have} of them are here", header.size))
}

fn invalid(reason: impl Into<String>) -> RecordError {
    RecordError::Invalid { reason: reason.into() }
}

#[cfg(test)]
mod tests;
