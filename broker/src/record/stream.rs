//! The records of a batch, seen through a window: what is compressed is opened piece by piece, and no more than one record is
//! here at a time. Memory is admitted before it is taken, and the work is counted. Stands on `decoder.rs`, below everything
//! that looks at records. It must never hold what it has shown, and never believe a record's length field.
//!
//! Rule for whoever adds a reader of records: take `Records` (views) or `Walk` (no copies), never a whole opened batch.

use bytes::Bytes;

use super::compression::{Compression, too_much};
use super::decoder::{Decoder, Input, Piece};
use super::error::RecordError;
use super::header::BatchHeader;
use super::parse::{BadRecord, parse};
use crate::limits::{
    BATCH_HEADER_BYTES, DECOMPRESSED_BYTES_MAX, OPENING_BYTES_MAX, RECORD_OPENED_BYTES_MAX, RECORD_WINDOW_BYTES,
};
use crate::varint;

/// The longest varint of 32 bits, and of 64.
const VARINT_32_BYTES: usize = 5;
const VARINT_64_BYTES: usize = 10;

/// What one batch may take, whatever there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// One record, decoded.
    pub(crate) record_bytes: usize,
    /// The decoder's window.
    pub(crate) window_bytes: usize,
    /// All that is opened of the batch: time, not memory.
    pub(crate) opened_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            record_bytes: RECORD_OPENED_BYTES_MAX,
            window_bytes: OPENING_BYTES_MAX,
            opened_bytes: DECOMPRESSED_BYTES_MAX,
        }
    }
}

/// What there is now for opening: shared by the batches that are opened one after the other.
pub(crate) struct Means<'a> {
    /// Asked before memory is taken; `false`: there is not so much now.
    pub(crate) admit: &'a mut dyn FnMut(usize) -> bool,
    /// Bytes that may be opened before this takes too long for its place in the queue.
    pub(crate) opened_left: usize,
    /// Admitted for a batch that is no longer open: the next one takes it first.
    pub(crate) spare: usize,
}

impl<'a> Means<'a> {
    pub(crate) fn new(admit: &'a mut dyn FnMut(usize) -> bool, opened_left: usize) -> Means<'a> {
        Means { admit, opened_left, spare: 0 }
    }
}

impl Means<'_> {
    /// For what is bounded by its caller: `Bounds` alone hold.
    pub(crate) fn unlimited<T>(work: impl FnOnce(&mut Means<'_>) -> T) -> T {
        work(&mut Means::new(&mut |_| true, usize::MAX))
    }
}

/// Why opening ended before the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes are no records, or more than the bounds allow: so they will be the next time.
    Bad(RecordError),
    /// This much more memory is not free now.
    NoMemory(usize),
    /// More was opened than the means allow.
    TooLong,
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Stop {
        Stop::Bad(error)
    }
}

impl Stop {
    /// What only bytes can be the reason of, where the means are unlimited.
    pub(crate) fn into_record(self) -> RecordError {
        match self {
            Stop::Bad(error) => error,
            Stop::NoMemory(bytes) => RecordError::Compression { reason: format!("{bytes} more bytes are not free") },
            Stop::TooLong => RecordError::Compression { reason: "they take too long to open".to_owned() },
        }
    }
}

/// A checked batch whose records are not opened yet.
pub(crate) struct Unopened {
    header: BatchHeader,
    body: Closed,
}

enum Closed {
    Here(Bytes),
    Elsewhere(Input),
}

impl Unopened {
    /// Records that come from a file; whoever makes it has checked them (`check_stored_in`).
    pub(super) fn elsewhere(header: BatchHeader, input: Input) -> Unopened {
        Unopened { header, body: Closed::Elsewhere(input) }
    }

    pub(super) fn here(header: &BatchHeader, batch: &Bytes) -> Unopened {
        Unopened { header: header.clone(), body: Closed::Here(batch.slice(BATCH_HEADER_BYTES..)) }
    }

    pub(crate) fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Bytes of it that are in memory.
    pub(crate) fn bytes_here(&self) -> usize {
        match &self.body {
            Closed::Here(bytes) => bytes.len(),
            Closed::Elsewhere(_) => RECORD_WINDOW_BYTES,
        }
    }

    /// Views of what is not compressed are slices of the whole batch.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.body, Closed::Here(_)) && self.header.compression == Compression::None
    }

    pub(super) fn open(self, bounds: Bounds) -> Result<(BatchHeader, Stream), RecordError> {
        let size = self.header.size - BATCH_HEADER_BYTES;
        let source = match self.body {
            Closed::Here(bytes) if self.header.compression == Compression::None => Source::Here(bytes),
            // Compaction leaves no bytes, which are no frame of any codec.
            Closed::Here(bytes) => Source::Opened(Box::new(Opened::new(Decoder::of(self.header.compression, &bytes)?))),
            Closed::Elsewhere(input) => {
                Source::Opened(Box::new(Opened::new(Decoder::new(self.header.compression, input, size)?)))
            }
        };
        Ok((self.header, Stream { source, at: 0, held: 0, opened: 0, bounds }))
    }
}

/// Opened bytes, of which a window is here.
pub(super) struct Stream {
    source: Source,
    /// The first byte of the window that was not read.
    at: usize,
    /// What was admitted.
    held: usize,
    opened: usize,
    bounds: Bounds,
}

enum Source {
    Here(Bytes),
    Opened(Box<Opened>),
}

struct Opened {
    decoder: Decoder,
    window: Vec<u8>,
    filled: usize,
    ended: bool,
}

impl Opened {
    fn new(decoder: Decoder) -> Opened {
        Opened { decoder, window: Vec::new(), filled: 0, ended: false }
    }
}

impl Stream {
    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// What is here and was not read.
    pub(super) fn rest(&self) -> &[u8] {
        match &self.source {
            Source::Here(bytes) => &bytes[self.at..],
            Source::Opened(opened) => &opened.window[self.at..opened.filled],
        }
    }

    /// Passes the first `count` bytes of what is here on: a slice of the batch, a copy, or the window itself where the record
    /// fills most of it. The second number is what was admitted and is held by the bytes from now on.
    pub(super) fn hand_over(&mut self, count: usize) -> (Bytes, usize) {
        let at = self.at;
        self.at += count;
        let opened = match &mut self.source {
            Source::Here(bytes) => return (bytes.slice(at..at + count), 0),
            Source::Opened(opened) => opened,
        };
        if opened.window.len() <= RECORD_WINDOW_BYTES || opened.window.len() > 2 * count {
            return (Bytes::copy_from_slice(&opened.window[at..at + count]), 0);
        }
        let mut window = vec![0; RECORD_WINDOW_BYTES.max(opened.filled - self.at)];
        let rest = opened.filled - self.at;
        window[..rest].copy_from_slice(&opened.window[self.at..opened.filled]);
        let taken = std::mem::replace(&mut opened.window, window);
        (opened.filled, self.at) = (rest, 0);
        let freed = taken.len().saturating_sub(opened.window.len()).min(self.held);
        self.held -= freed;
        (Bytes::from(taken).slice(at..at + count), freed)
    }

    /// Makes `want` bytes stand here; `false` where there are fewer.
    pub(super) fn fill(&mut self, want: usize, means: &mut Means<'_>) -> Result<bool, Stop> {
        while self.rest().len() < want {
            if !self.more(want, means)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Bytes that were admitted for it.
    pub(super) fn admitted(&self) -> usize {
        self.held
    }

    /// Bytes of what is here that are read.
    pub(super) fn pass(&mut self, count: usize) {
        self.at += count;
    }

    /// Passes over so many bytes, here or not; shows them. `false` where there are fewer.
    pub(super) fn each_piece(
        &mut self,
        mut count: usize,
        means: &mut Means<'_>,
        mut see: impl FnMut(&[u8]) -> Result<(), Stop>,
    ) -> Result<bool, Stop> {
        while count > 0 {
            if !self.fill(1, means)? {
                return Ok(false);
            }
            let piece = self.rest().len().min(count);
            see(&self.rest()[..piece])?;
            self.at += piece;
            count -= piece;
        }
        Ok(true)
    }

    fn more(&mut self, want: usize, means: &mut Means<'_>) -> Result<bool, Stop> {
        let Source::Opened(opened) = &mut self.source else { return Ok(false) };
        if opened.ended {
            return Ok(false);
        }
        if self.at > 0 {
            opened.window.copy_within(self.at..opened.filled, 0);
            opened.filled -= self.at;
            self.at = 0;
        }
        let decoder = opened.decoder.prepare()?;
        if decoder > self.bounds.window_bytes {
            let reason = format!("opening them takes {decoder} bytes, more than {}", self.bounds.window_bytes);
            return Err(RecordError::Compression { reason }.into());
        }
        // By doubling: a record's length field is believed only as far as bytes have come.
        let full = opened.filled == opened.window.len();
        let doubled = (opened.window.len() * 2).min(want).max(RECORD_WINDOW_BYTES);
        let window = if full { doubled.max(opened.filled + 1) } else { opened.window.len() };
        let needed = decoder + window;
        if needed > self.held {
            let more = needed - self.held;
            let spare = more.min(means.spare);
            if more > spare && !(means.admit)(more - spare) {
                return Err(Stop::NoMemory(more - spare));
            }
            means.spare -= spare;
            self.held = needed;
        }
        if window > opened.window.len() {
            opened.window.reserve_exact(window - opened.window.len());
            opened.window.resize(window, 0);
        }
        match opened.decoder.read(&mut opened.window[opened.filled..])? {
            Piece::End => opened.ended = true,
            Piece::Again => {}
            Piece::Bytes(count) => {
                opened.filled += count;
                self.opened += count;
                if self.opened > self.bounds.opened_bytes {
                    return Err(too_much(self.bounds.opened_bytes).into());
                }
                means.opened_left = means.opened_left.checked_sub(count).ok_or(Stop::TooLong)?;
            }
        }
        Ok(true)
    }

    /// A varint of at most `bytes` bytes, read by `read`, of the `left` bytes of a record.
    fn varint<T>(
        &mut self,
        bytes: usize,
        left: &mut usize,
        means: &mut Means<'_>,
        read: impl Fn(&[u8], &mut usize) -> Option<T>,
    ) -> Result<T, Fault> {
        self.fill(bytes.min(*left), means)?;
        let rest = self.rest();
        let mut at = 0;
        let value = read(&rest[..rest.len().min(*left)], &mut at).ok_or(BadRecord::CutShort)?;
        self.at += at;
        *left -= at;
        Ok(value)
    }

    /// The length field of the next record: its value and its own bytes.
    pub(super) fn length(&mut self, means: &mut Means<'_>) -> Result<(usize, usize), Fault> {
        self.fill(VARINT_32_BYTES, means)?;
        let mut at = 0;
        let length = varint::read_i32(self.rest(), &mut at).ok_or(BadRecord::CutShort)?;
        Ok((usize::try_from(length).map_err(|_| BadRecord::Length(length))?, at))
    }

    /// Passes over the next record, however large, and says what its fields are. Its key comes in `key`, as long as it is
    /// within the bounds.
    pub(super) fn shape(&mut self, mut key: Option<&mut Vec<u8>>, means: &mut Means<'_>) -> Result<Shape, Fault> {
        let (length, prefix) = self.length(means)?;
        if self.rest().len() - prefix >= length {
            let parsed = parse(self.rest(), 0)?;
            if let (Some(key), Some(range)) = (&mut key, parsed.key.clone()) {
                key.clear();
                key.extend_from_slice(&self.rest()[range]);
            }
            self.at += parsed.end;
            let (has_key, tombstone) = (parsed.key.is_some(), parsed.value.is_none());
            let (timestamp_delta, offset_delta) = (parsed.timestamp_delta, parsed.offset_delta);
            return Ok(Shape { timestamp_delta, offset_delta, has_key, tombstone, size: parsed.end });
        }
        self.at += prefix;
        self.long_shape(length, prefix, key, means)
    }

    /// A record that is not here as a whole.
    fn long_shape(
        &mut self,
        length: usize,
        prefix: usize,
        mut key: Option<&mut Vec<u8>>,
        means: &mut Means<'_>,
    ) -> Result<Shape, Fault> {
        let mut left = length;
        if left == 0 {
            return Err(BadRecord::CutShort.into());
        }
        // The attributes byte has no meaning yet; Kafka ignores it as well.
        self.skip(1, &mut left, means)?;
        let timestamp_delta = self.varint(VARINT_64_BYTES, &mut left, means, varint::read_i64)?;
        let offset_delta = self.varint(VARINT_32_BYTES, &mut left, means, varint::read_i32)?;
        let key_length = self.nullable("key", &mut left, means)?;
        match (key_length, &mut key) {
            (Some(bytes), Some(key)) => self.keep(bytes, key, &mut left, means)?,
            (bytes, _) => self.skip(bytes.unwrap_or(0), &mut left, means)?,
        }
        let value = self.nullable("value", &mut left, means)?;
        self.skip(value.unwrap_or(0), &mut left, means)?;
        let headers = self.varint(VARINT_32_BYTES, &mut left, means, varint::read_i32)?;
        // A header is at least two bytes.
        let count = usize::try_from(headers).ok().filter(|count| *count <= left / 2);
        for _ in 0..count.ok_or(BadRecord::Headers(headers))? {
            let key = self.nullable("header key", &mut left, means)?;
            let bytes = key.ok_or(BadRecord::Field { field: "header key", length: -1 })?;
            self.skip(bytes, &mut left, means)?;
            let value = self.nullable("header value", &mut left, means)?;
            self.skip(value.unwrap_or(0), &mut left, means)?;
        }
        if left != 0 {
            return Err(BadRecord::Trailing(left).into());
        }
        let (has_key, tombstone) = (key_length.is_some(), value.is_none());
        Ok(Shape { timestamp_delta, offset_delta, has_key, tombstone, size: prefix + length })
    }

    /// A length (-1 for null) that the record has room for.
    fn nullable(
        &mut self,
        field: &'static str,
        left: &mut usize,
        means: &mut Means<'_>,
    ) -> Result<Option<usize>, Fault> {
        let length = self.varint(VARINT_32_BYTES, left, means, varint::read_i32)?;
        if length == -1 {
            return Ok(None);
        }
        let bytes = usize::try_from(length).map_err(|_| BadRecord::Field { field, length })?;
        if bytes > *left { Err(BadRecord::CutShort.into()) } else { Ok(Some(bytes)) }
    }

    fn skip(&mut self, bytes: usize, left: &mut usize, means: &mut Means<'_>) -> Result<(), Fault> {
        if !self.each_piece(bytes, means, |_| Ok(()))? {
            return Err(BadRecord::CutShort.into());
        }
        *left -= bytes;
        Ok(())
    }

    fn keep(&mut self, bytes: usize, into: &mut Vec<u8>, left: &mut usize, means: &mut Means<'_>) -> Result<(), Fault> {
        if bytes > self.bounds.record_bytes {
            return Err(BadRecord::LongKey(bytes).into());
        }
        into.clear();
        let whole = self.each_piece(bytes, means, |piece| {
            into.extend_from_slice(piece);
            Ok(())
        });
        if !whole? {
            return Err(BadRecord::CutShort.into());
        }
        *left -= bytes;
        Ok(())
    }
}

/// What a record is, as far as everybody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) has_key: bool,
    pub(super) tombstone: bool,
    /// With its length field.
    pub(super) size: usize,
}

/// What is wrong at a record, or with the opening.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Record(BadRecord),
    Stop(Stop),
}

impl From<BadRecord> for Fault {
    fn from(bad: BadRecord) -> Fault {
        Fault::Record(bad)
    }
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Fault {
        Fault::Stop(stop)
    }
}

impl Fault {
    /// With the words for where it is.
    pub(super) fn at(self, words: impl FnOnce(String) -> RecordError) -> Stop {
        match self {
            Fault::Record(bad) => Stop::Bad(words(bad.to_string())),
            Fault::Stop(stop) => stop,
        }
    }
}
