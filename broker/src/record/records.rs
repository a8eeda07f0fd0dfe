//! The records inside of a batch: parsed as ranges, yielded as views whose key, value and header values are slices of the
//! (opened) batch. Nothing is allocated for a count that the bytes have not been seen to hold.
//! Layout: Kafka's `DefaultRecord`.

use std::ops::Range;

use bytes::Bytes;

use super::error::RecordError;
use super::header::{BatchHeader, TimestampType};
use super::message::Header;
use crate::ids::{Offset, TimestampMs};
use crate::limits::{BATCH_HEADER_BYTES, HEADERS_VIEWED_MAX};
use crate::varint;

/// One record of a stored batch; key, value and header values are slices of the (opened) batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// Its place in the partition.
    pub offset: Offset,
    /// As a consumer sees it: the batch's max timestamp under LogAppendTime.
    pub timestamp: TimestampMs,
    /// base timestamp + delta, whatever the batch's timestamp type (what the client had said).
    pub client_timestamp: TimestampMs,
    /// `None` for a record without a key.
    pub key: Option<Bytes>,
    /// `None` for a tombstone.
    pub value: Option<Bytes>,
    /// In their order; a key that is not UTF-8 has U+FFFD in place of what is wrong, as Java consumers show it.
    pub headers: Vec<Header>,
}

/// Why the bytes at some place are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRecord {
    #[error("the bytes end before it does")]
    CutShort,
    #[error("its length field is {0}")]
    Length(i32),
    #[error("its {field} has length {length}")]
    Field { field: &'static str, length: i32 },
    #[error("it counts {0} headers")]
    Headers(i32),
    #[error("its fields end {0} bytes before its length says")]
    Trailing(usize),
}

/// Where the parts of one record are.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<Range<usize>>,
    pub(super) value: Option<Range<usize>>,
    pub(super) header_count: usize,
    pub(super) headers_at: usize,
    /// Where the next record begins.
    pub(super) end: usize,
}

impl Parsed {
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }
}

/// Parses the record that begins at `at`, headers included; allocates nothing.
pub(super) fn parse(body: &[u8], at: usize) -> Result<Parsed, BadRecord> {
    let mut at = at;
    let length = varint::read_i32(body, &mut at).ok_or(BadRecord::CutShort)?;
    let end = usize::try_from(length).map_err(|_| BadRecord::Length(length))?.saturating_add(at);
    // No field can reach into the next record.
    let record = body.get(..end).ok_or(BadRecord::CutShort)?;
    // The attributes byte has no meaning yet; Kafka ignores it as well.
    at += 1;
    let timestamp_delta = varint::read_i64(record, &mut at).ok_or(BadRecord::CutShort)?;
    let offset_delta = varint::read_i32(record, &mut at).ok_or(BadRecord::CutShort)?;
    let key = nullable(record, &mut at, "key")?;
    let value = nullable(record, &mut at, "value")?;
    let count = varint::read_i32(record, &mut at).ok_or(BadRecord::CutShort)?;
    let header_count = usize::try_from(count).map_err(|_| BadRecord::Headers(count))?;
    // A header is at least two bytes.
    if header_count > (end - at) / 2 {
        return Err(BadRecord::Headers(count));
    }
    let headers_at = at;
    for _ in 0..header_count {
        header(record, &mut at)?;
    }
    if at != end {
        return Err(BadRecord::Trailing(end - at));
    }
    Ok(Parsed { timestamp_delta, offset_delta, key, value, header_count, headers_at, end })
}

/// Key and value of one header.
pub(super) fn header(record: &[u8], at: &mut usize) -> Result<(Range<usize>, Option<Range<usize>>), BadRecord> {
    let key = nullable(record, at, "header key")?.ok_or(BadRecord::Field { field: "header key", length: -1 })?;
    Ok((key, nullable(record, at, "header value")?))
}

/// A length (-1 for null) and that many bytes.
fn nullable(record: &[u8], at: &mut usize, field: &'static str) -> Result<Option<Range<usize>>, BadRecord> {
    let length = varint::read_i32(record, at).ok_or(BadRecord::CutShort)?;
    if length == -1 {
        return Ok(None);
    }
    let bytes = usize::try_from(length).map_err(|_| BadRecord::Field { field, length })?;
    if bytes > record.len() - *at {
        return Err(BadRecord::CutShort);
    }
    let start = *at;
    *at += bytes;
    Ok(Some(start..*at))
}

/// The records of an opened batch, in order. Ends after the first error. Holds the opened records as a whole.
#[derive(Clone, Debug)]
pub struct RecordIter {
    header: BatchHeader,
    body: Bytes,
    at: usize,
    left: i32,
    least_delta: i32,
}

impl RecordIter {
    pub(super) fn open(header: &BatchHeader, batch: &Bytes) -> Result<RecordIter, RecordError> {
        let body = header.compression.open(&batch.slice(BATCH_HEADER_BYTES..))?;
        Ok(RecordIter { header: header.clone(), body, at: 0, left: header.record_count, least_delta: 0 })
    }

    fn step(&mut self) -> Result<RecordView, RecordError> {
        let record = parse(&self.body, self.at).map_err(|bad| self.corrupt(bad))?;
        if record.offset_delta < self.least_delta || record.offset_delta > self.header.last_offset_delta {
            return Err(self.corrupt(format!("its offset delta is {}", record.offset_delta)));
        }
        let view = self.view(&record)?;
        self.left -= 1;
        self.at = record.end;
        // Saturates only where nothing may follow: a delta that large is the last one's.
        self.least_delta = record.offset_delta.saturating_add(1);
        if self.left == 0 && self.at != self.body.len() {
            return Err(self.corrupt(format!("{} bytes follow the last record", self.body.len() - self.at)));
        }
        Ok(view)
    }

    fn view(&self, record: &Parsed) -> Result<RecordView, RecordError> {
        if record.header_count > HEADERS_VIEWED_MAX {
            return Err(self.corrupt(format!("{} headers are more than {HEADERS_VIEWED_MAX}", record.header_count)));
        }
        let mut at = record.headers_at;
        let mut headers = Vec::with_capacity(record.header_count);
        for _ in 0..record.header_count {
            let (key, value) = header(&self.body[..record.end], &mut at).map_err(|bad| self.corrupt(bad))?;
            let key = String::from_utf8_lossy(&self.body[key]).into_owned();
            headers.push(Header { key, value: value.map(|value| self.body.slice(value)) });
        }
        let client_timestamp = TimestampMs(self.header.base_timestamp.0.saturating_add(record.timestamp_delta));
        Ok(RecordView {
            offset: Offset(self.header.base_offset.0.saturating_add(i64::from(record.offset_delta))),
            timestamp: match self.header.timestamp_type {
                TimestampType::CreateTime => client_timestamp,
                TimestampType::LogAppendTime => self.header.max_timestamp,
            },
            client_timestamp,
            key: record.key.clone().map(|key| self.body.slice(key)),
            value: record.value.clone().map(|value| self.body.slice(value)),
            headers,
        })
    }

    fn corrupt(&self, what: impl std::fmt::Display) -> RecordError {
        let index = self.header.record_count - self.left;
        RecordError::Corrupt { reason: format!("record {index} at offset {}: {what}", self.header.base_offset) }
    }
}

impl Iterator for RecordIter {
    type Item = Result<RecordView, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        let record = self.step();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}
