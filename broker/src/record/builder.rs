//! Builds a batch from messages, as a producer does: offsets from 0, timestamps as deltas, one compression for all of them.
//! What it returns is what `check_produced` would let in; a test holds it to that.

use bytes::BufMut;

use super::batch::ProducedBatch;
use super::compression::{Closer, Compression, Levels};
use super::error::RecordError;
use super::header::{ATTRIBUTES_AT, CRC_AT, LOG_OVERHEAD_BYTES, ProducerStamp};
use super::message::Message;
use crate::ids::TimestampMs;
use crate::limits::BATCH_HEADER_BYTES;
use crate::varint;

/// Of a record, so much is handed to the codec at once.
const GATHERED_BYTES: usize = 4_096;

/// One batch of at least one message. `producer` gives the batch an identity (idempotent or internal stream); `now` is the
/// timestamp of messages that have none.
///
/// # Errors
/// `Invalid` without messages or with a timestamp before 1970; `TooLarge` where a size would not fit Kafka's 32-bit fields.
pub fn build(
    messages: &[Message],
    now: TimestampMs,
    compression: Compression,
    producer: Option<ProducerStamp>,
) -> Result<ProducedBatch, RecordError> {
    build_within(usize::MAX, messages, now, compression, producer)
}

/// The same of at most `size_max` bytes. Records are compressed one by one: there is never more than what comes out.
///
/// # Errors
/// As `build`; `TooLarge` where the batch would be.
pub(crate) fn build_within(
    size_max: usize,
    messages: &[Message],
    now: TimestampMs,
    compression: Compression,
    producer: Option<ProducerStamp>,
) -> Result<ProducedBatch, RecordError> {
    let timestamp = |message: &Message| message.timestamp.unwrap_or(now).0;
    let Some(first) = messages.first() else {
        return Err(RecordError::Invalid { reason: "a batch has at least one record".into() });
    };
    let base_timestamp = timestamp(first);
    let (mut max_timestamp, mut bytes) = (base_timestamp, 0usize);
    for (index, message) in messages.iter().enumerate() {
        let at = timestamp(message);
        check_timestamp(TimestampMs(at))?;
        max_timestamp = max_timestamp.max(at);
        let length = record_length(message, at - base_timestamp, i64::from(fits(index)?))?;
        bytes = bytes.saturating_add(length + varint::size(i64::from(fits(length)?)));
    }
    let count = fits(messages.len())?;
    if compression == Compression::None && BATCH_HEADER_BYTES.saturating_add(bytes) > size_max {
        return Err(RecordError::TooLarge { size: BATCH_HEADER_BYTES + bytes, limit: size_max });
    }
    let mut batch = Vec::with_capacity(BATCH_HEADER_BYTES + if compression == Compression::None { bytes } else { 0 });
    batch.resize(BATCH_HEADER_BYTES, 0);
    let mut closer = Closer::new(compression, Levels::default(), Some(bytes), (batch, size_max))?;
    for (index, message) in messages.iter().enumerate() {
        write_record(&mut closer, index, timestamp(message) - base_timestamp, message)?;
    }
    let mut batch = closer.finish()?;
    let length = fits(batch.len() - LOG_OVERHEAD_BYTES)?;

    let mut head = Vec::with_capacity(BATCH_HEADER_BYTES);
    head.put_i64(0);
    head.put_i32(length);
    // No leader epoch: stamped at the append, as base offset is.
    head.put_i32(-1);
    head.put_u8(2);
    head.put_u32(0);
    head.put_u16(compression.bits());
    head.put_i32(count - 1);
    head.put_i64(base_timestamp);
    head.put_i64(max_timestamp);
    head.put_i64(producer.map_or(-1, |producer| producer.id.0));
    head.put_i16(producer.map_or(-1, |producer| producer.epoch.0));
    head.put_i32(producer.map_or(-1, |producer| producer.first.0));
    head.put_i32(count);
    batch[..BATCH_HEADER_BYTES].copy_from_slice(&head);
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
    ProducedBatch::built(batch.into())
}

/// The most bytes that these messages take in a batch before compression; what `build` would refuse counts nothing.
pub(crate) fn bytes_bound(messages: &[Message]) -> usize {
    messages.iter().map(|message| size_bound(message).unwrap_or(0)).sum()
}

/// The most bytes that a message takes in a batch before compression, wherever it stands there.
///
/// # Errors
/// What would make `build` refuse it: a timestamp before 1970, a size beyond Kafka's 32-bit fields.
pub(crate) fn size_bound(message: &Message) -> Result<usize, RecordError> {
    check_timestamp(message.timestamp.unwrap_or_default())?;
    let length = record_length(message, i64::MIN, i32::MAX.into())?;
    Ok(length + varint::size(i64::from(fits(length)?)))
}

/// Small parts are gathered, large ones go to the codec as they are.
fn write_record(out: &mut Closer, index: usize, timestamp_delta: i64, message: &Message) -> Result<(), RecordError> {
    let offset_delta = i64::from(fits(index)?);
    let length = record_length(message, timestamp_delta, offset_delta)?;
    let mut gathered = Vec::with_capacity(length.min(GATHERED_BYTES));
    varint::write(&mut gathered, i64::from(fits(length)?));
    gathered.push(0);
    varint::write(&mut gathered, timestamp_delta);
    varint::write(&mut gathered, offset_delta);
    write_nullable(out, &mut gathered, message.key.as_deref())?;
    write_nullable(out, &mut gathered, message.value.as_deref())?;
    varint::write(&mut gathered, message.headers.len() as i64);
    for header in &message.headers {
        write_nullable(out, &mut gathered, Some(header.key.as_bytes()))?;
        write_nullable(out, &mut gathered, header.value.as_deref())?;
    }
    out.write(&gathered)
}

fn check_timestamp(timestamp: TimestampMs) -> Result<(), RecordError> {
    if timestamp.0 < 0 {
        return Err(RecordError::Invalid { reason: format!("timestamp {timestamp} is negative") });
    }
    Ok(())
}

/// What a record's length field says: everything behind it.
fn record_length(message: &Message, timestamp_delta: i64, offset_delta: i64) -> Result<usize, RecordError> {
    let mut length = 1 + varint::size(timestamp_delta) + varint::size(offset_delta);
    length += nullable_size(message.key.as_deref())? + nullable_size(message.value.as_deref())?;
    length += varint::size(i64::from(fits(message.headers.len())?));
    for header in &message.headers {
        length += nullable_size(Some(header.key.as_bytes()))? + nullable_size(header.value.as_deref())?;
    }
    Ok(length)
}

fn nullable_size(bytes: Option<&[u8]>) -> Result<usize, RecordError> {
    let Some(bytes) = bytes else { return Ok(varint::size(-1)) };
    Ok(varint::size(i64::from(fits(bytes.len())?)) + bytes.len())
}

fn write_nullable(out: &mut Closer, gathered: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), RecordError> {
    let Some(bytes) = bytes else {
        varint::write(gathered, -1);
        return Ok(());
    };
    varint::write(gathered, bytes.len() as i64);
    if gathered.len() + bytes.len() <= GATHERED_BYTES {
        gathered.extend_from_slice(bytes);
        return Ok(());
    }
    out.write(gathered)?;
    gathered.clear();
    out.write(bytes)
}

/// Sizes and counts are signed 32-bit on the wire.
fn fits(size: usize) -> Result<i32, RecordError> {
    i32::try_from(size).map_err(|_| RecordError::TooLarge { size, limit: i32::MAX as usize })
}

#[cfg(test)]
mod tests;
