//! The records inside of a batch: parsed as ranges, yielded one by one as views whose key, value and header values share the
//! bytes of the record. Nothing is allocated for a count that the bytes have not been seen to hold, and what a record costs
//! is known before its view is made.

use bytes::Bytes;

use super::error::{RecordError, corrupt};
use super::header::{BatchHeader, TimestampType};
use super::message::Header;
use super::parse::{BadRecord, Parsed, header, parse};
use super::stream::{Bounds, Fault, Means, Shape, Stop, Stream, Unopened};
use crate::ids::{Offset, TimestampMs};
use crate::limits::DECOMPRESSED_BYTES_MAX;

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

/// A record that stands in the window: where it is and what it costs, before anything of it is copied.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    pub(crate) offset: Offset,
    /// As a consumer sees it.
    pub(crate) timestamp: TimestampMs,
    client_timestamp: TimestampMs,
    /// Memory that its view takes, the bytes of the record among it.
    pub(crate) cost: usize,
    /// `None`: it is larger than the bounds allow, and was passed over.
    parsed: Option<Parsed>,
    /// With its length field, and how many headers it has where that is known.
    pub(crate) size: usize,
    pub(crate) headers: usize,
}

impl Met {
    /// It is larger than the bounds allow, and was passed over.
    pub(crate) fn too_large(&self) -> bool {
        self.parsed.is_none()
    }
}

/// The records of a batch as views, one by one. What passes the bounds of one record is told in its place; ends after the
/// first error.
pub(crate) struct Records {
    header: BatchHeader,
    stream: Stream,
    left: i32,
    least_delta: i32,
    /// Bytes of the record that was shown last.
    shown: usize,
}

impl Records {
    pub(crate) fn open(batch: Unopened, bounds: Bounds) -> Result<Records, RecordError> {
        let (header, stream) = batch.open(bounds)?;
        Ok(Records { left: header.record_count, header, stream, least_delta: 0, shown: 0 })
    }

    /// The next record.
    pub(crate) fn next(&mut self, means: &mut Means<'_>) -> Result<Option<Met>, Stop> {
        self.stream.pass(std::mem::take(&mut self.shown));
        if self.left <= 0 {
            return Ok(None);
        }
        let met = self.step(means);
        if met.is_err() {
            self.left = 0;
        }
        met.map(Some)
    }

    fn step(&mut self, means: &mut Means<'_>) -> Result<Met, Stop> {
        let met = self.meet(means).map_err(|fault| fault.at(|words| self.corrupt(words)))?;
        self.left -= 1;
        // Kafka holds the last record back as well when something follows it.
        if self.left == 0 {
            self.stream.fill(self.shown + 1, means)?;
            let behind = self.stream.rest().len() - self.shown;
            if behind > 0 {
                self.left = 1;
                return Err(self.corrupt(format!("{behind} bytes or more follow the last record")).into());
            }
        }
        Ok(met)
    }

    fn meet(&mut self, means: &mut Means<'_>) -> Result<Met, Fault> {
        let bound = self.stream.bounds().record_bytes;
        let (length, prefix) = self.stream.length(means)?;
        let size = length.saturating_add(prefix);
        if size > bound {
            let shape = self.stream.shape(None, means)?;
            return self.met(shape.timestamp_delta, shape.offset_delta, size, 0, None);
        }
        if !self.stream.fill(size, means)? {
            return Err(BadRecord::CutShort.into());
        }
        let parsed = parse(self.stream.rest(), 0)?;
        self.shown = parsed.end;
        let headers = parsed.header_count;
        let cost = cost(size, headers);
        let (timestamp_delta, offset_delta) = (parsed.timestamp_delta, parsed.offset_delta);
        self.met(timestamp_delta, offset_delta, size, headers, Some(parsed).filter(|_| cost <= bound))
    }

    fn met(
        &mut self,
        timestamp_delta: i64,
        offset_delta: i32,
        size: usize,
        headers: usize,
        parsed: Option<Parsed>,
    ) -> Result<Met, Fault> {
        if offset_delta < self.least_delta || offset_delta > self.header.last_offset_delta {
            return Err(BadRecord::OffsetDelta(offset_delta).into());
        }
        // Saturates only where nothing may follow: a delta that large is the last one's.
        self.least_delta = offset_delta.saturating_add(1);
        let header = &self.header;
        let client_timestamp = TimestampMs(header.base_timestamp.0.saturating_add(timestamp_delta));
        Ok(Met {
            offset: Offset(header.base_offset.0.saturating_add(i64::from(offset_delta))),
            timestamp: match header.timestamp_type {
                TimestampType::CreateTime => client_timestamp,
                TimestampType::LogAppendTime => header.max_timestamp,
            },
            client_timestamp,
            cost: cost(size, headers),
            parsed,
            size,
            headers,
        })
    }

    /// The record that `next` returned last; `None` where it was too large. With it, what was admitted for opening and is held
    /// by the view from now on.
    pub(crate) fn view(&mut self, met: &Met) -> Option<(RecordView, usize)> {
        let parsed = met.parsed.as_ref()?;
        self.shown = 0;
        let (record, moved) = self.stream.hand_over(parsed.end);
        let mut at = parsed.headers_at;
        let mut headers = Vec::with_capacity(parsed.header_count);
        for _ in 0..parsed.header_count {
            // Parsed before, so it is there.
            let (key, value) = header(&record, &mut at).ok()?;
            let key = String::from_utf8_lossy(&record[key]).into_owned();
            headers.push(Header { key, value: value.map(|value| record.slice(value)) });
        }
        let view = RecordView {
            offset: met.offset,
            timestamp: met.timestamp,
            client_timestamp: met.client_timestamp,
            key: parsed.key.clone().map(|key| record.slice(key)),
            value: parsed.value.clone().map(|value| record.slice(value)),
            headers,
        };
        Some((view, moved))
    }

    fn corrupt(&self, what: impl std::fmt::Display) -> RecordError {
        let index = self.header.record_count - self.left;
        RecordError::Corrupt { reason: format!("record {index} at offset {}: {what}", self.header.base_offset) }
    }
}

/// What a record costs decoded: its struct, its bytes, its headers' structs, and their keys, which are copied.
pub(crate) fn cost(size: usize, headers: usize) -> usize {
    let copied = if headers > 0 { size } else { 0 };
    size_of::<RecordView>() + size + copied + headers.saturating_mul(size_of::<Header>())
}

/// The records of a batch without copies of them: their places, their timestamps, their keys.
pub(super) struct Walk {
    pub(super) header: BatchHeader,
    stream: Stream,
    index: i32,
    key: Vec<u8>,
}

impl Walk {
    pub(super) fn open(batch: Unopened, bounds: Bounds) -> Result<Walk, RecordError> {
        let (header, stream) = batch.open(bounds)?;
        Ok(Walk { header, stream, index: 0, key: Vec::new() })
    }

    /// Bytes that were admitted for it.
    pub(super) fn admitted(&self) -> usize {
        self.stream.admitted()
    }

    /// The next record; `corrupt` makes an error of what is wrong with it.
    pub(super) fn next(
        &mut self,
        means: &mut Means<'_>,
        wrong: impl FnOnce(String) -> RecordError,
    ) -> Result<Option<Shape>, Stop> {
        self.step(false, means, wrong)
    }

    /// The same with its key.
    pub(super) fn next_keyed(
        &mut self,
        means: &mut Means<'_>,
        wrong: impl FnOnce(String) -> RecordError,
    ) -> Result<Option<Keyed<'_>>, Stop> {
        let shape = self.step(true, means, wrong)?;
        Ok(shape.map(|shape| {
            let key = shape.has_key.then_some(&self.key[..]);
            (shape, key)
        }))
    }

    fn step(
        &mut self,
        keyed: bool,
        means: &mut Means<'_>,
        wrong: impl FnOnce(String) -> RecordError,
    ) -> Result<Option<Shape>, Stop> {
        if self.index >= self.header.record_count {
            return Ok(None);
        }
        let index = self.index;
        self.index += 1;
        let shape = self.stream.shape(keyed.then_some(&mut self.key), means);
        shape.map(Some).map_err(|fault| fault.at(|words| wrong(format!("record {index}: {words}"))))
    }

    /// Behind the last record: something follows it.
    pub(super) fn more_follows(&mut self, means: &mut Means<'_>) -> Result<bool, Stop> {
        self.stream.fill(1, means)
    }
}

/// A record with its key, which is the reader's until the next one.
type Keyed<'a> = (Shape, Option<&'a [u8]>);

/// The offsets of a batch's records, with the timestamps that consumers see.
pub(crate) struct RecordTimes {
    walk: Walk,
    least_delta: i32,
}

impl RecordTimes {
    pub(crate) fn open(batch: Unopened) -> Result<RecordTimes, RecordError> {
        Ok(RecordTimes { walk: Walk::open(batch, Bounds::default())?, least_delta: 0 })
    }

    /// The next record's.
    pub(crate) fn next(&mut self, means: &mut Means<'_>) -> Result<Option<(Offset, TimestampMs)>, Stop> {
        let Some(record) = self.walk.next(means, corrupt)? else { return Ok(None) };
        let (header, delta) = (&self.walk.header, record.offset_delta);
        if delta < self.least_delta || delta > header.last_offset_delta {
            return Err(corrupt(format!("the offset delta of a record is {delta}")).into());
        }
        self.least_delta = delta.saturating_add(1);
        let timestamp = match header.timestamp_type {
            TimestampType::CreateTime => header.base_timestamp.0.saturating_add(record.timestamp_delta),
            TimestampType::LogAppendTime => header.max_timestamp.0,
        };
        Ok(Some((Offset(header.base_offset.0.saturating_add(i64::from(delta))), TimestampMs(timestamp))))
    }
}

/// The records of a batch as views, for whoever may hold one of any size: the broker's own logs, tools and tests.
pub struct RecordIter {
    records: Records,
}

impl std::fmt::Debug for RecordIter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordIter").field("header", &self.records.header).finish_non_exhaustive()
    }
}

impl RecordIter {
    pub(super) fn open(header: &BatchHeader, batch: &Bytes) -> Result<RecordIter, RecordError> {
        let bounds = Bounds { record_bytes: DECOMPRESSED_BYTES_MAX, ..Bounds::default() };
        Ok(RecordIter { records: Records::open(Unopened::here(header, batch), bounds)? })
    }
}

impl Iterator for RecordIter {
    type Item = Result<RecordView, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let met = match Means::unlimited(|means| self.records.next(means)) {
            Ok(met) => met?,
            Err(stop) => return Some(Err(stop.into_record())),
        };
        let view = self.records.view(&met);
        if view.is_none() {
            self.records.left = 0;
        }
        Some(view.map(|(view, _)| view).ok_or_else(|| {
            let what = format!("{} bytes and {} headers are too much for one record", met.size, met.headers);
            self.records.corrupt(what)
        }))
    }
}
