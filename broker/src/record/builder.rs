//! Builds a batch from messages, as a producer does: offsets from 0, timestamps as deltas, one compression for all of them.
//! What it returns is what `check_produced` would let in; a test holds it to that.

use bytes::BufMut;

use super::batch::ProducedBatch;
use super::compression::Compression;
use super::error::RecordError;
use super::header::ProducerStamp;
use super::message::Message;
use crate::ids::TimestampMs;
use crate::limits::BATCH_HEADER_BYTES;
use crate::varint;

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
    let timestamp = |message: &Message| message.timestamp.unwrap_or(now).0;
    let Some(first) = messages.first() else {
        return Err(RecordError::Invalid { reason: "a batch has at least one record".into() });
    };
    let base_timestamp = timestamp(first);
    let mut max_timestamp = base_timestamp;
    let mut body = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = timestamp(message);
        check_timestamp(TimestampMs(at))?;
        max_timestamp = max_timestamp.max(at);
        append_record(&mut body, index, at - base_timestamp, message)?;
    }
    let count = fits(messages.len())?;
    let body = compression.close(&body)?;
    let length = fits(body.len() + BATCH_HEADER_BYTES - 12)?;

    let mut covered = Vec::with_capacity(BATCH_HEADER_BYTES - 21 + body.len());
    covered.put_u16(compression.bits());
    covered.put_i32(count - 1);
    covered.put_i64(base_timestamp);
    covered.put_i64(max_timestamp);
    covered.put_i64(producer.map_or(-1, |producer| producer.id.0));
    covered.put_i16(producer.map_or(-1, |producer| producer.epoch.0));
    covered.put_i32(producer.map_or(-1, |producer| producer.first.0));
    covered.put_i32(count);
    covered.extend_from_slice(&body);

    let mut batch = Vec::with_capacity(21 + covered.len());
    batch.put_i64(0);
    batch.put_i32(length);
    // No leader epoch: stamped at the append, as base offset is.
    batch.put_i32(-1);
    batch.put_u8(2);
    batch.put_u32(crc32c::crc32c(&covered));
    batch.extend_from_slice(&covered);
    ProducedBatch::built(batch.into())
}

/// The most bytes that a message takes in a batch before compression, wherever it stands there.
///
/// # Errors
/// What would make `build` refuse it: a timestamp before 1970, a size beyond Kafka's 32-bit fields.
pub fn size_bound(message: &Message) -> Result<usize, RecordError> {
    check_timestamp(message.timestamp.unwrap_or_default())?;
    let length = record_length(message, i64::MIN, i32::MAX.into())?;
    Ok(length + varint::size(i64::from(fits(length)?)))
}

fn append_record(out: &mut Vec<u8>, index: usize, timestamp_delta: i64, message: &Message) -> Result<(), RecordError> {
    let offset_delta = i64::from(fits(index)?);
    let length = record_length(message, timestamp_delta, offset_delta)?;
    varint::write(out, i64::from(fits(length)?));
    out.push(0);
    varint::write(out, timestamp_delta);
    varint::write(out, offset_delta);
    append_nullable(out, message.key.as_deref());
    append_nullable(out, message.value.as_deref());
    varint::write(out, message.headers.len() as i64);
    for header in &message.headers {
        append_nullable(out, Some(header.key.as_bytes()));
        append_nullable(out, header.value.as_deref());
    }
    Ok(())
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

fn append_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::write(out, -1),
        Some(bytes) => {
            varint::write(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// Sizes and counts are signed 32-bit on the wire.
fn fits(size: usize) -> Result<i32, RecordError> {
    i32::try_from(size).map_err(|_| RecordError::TooLarge { size, limit: i32::MAX as usize })
}

#[cfg(test)]
mod tests;
