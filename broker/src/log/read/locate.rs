//! Locate: where whole batches are, without their bytes: a range of a file that can go to a socket as it is (sendfile),
//! or be read. `Patience::Wait` waits for the disk; with `Cached` it returns `None` where it would
//! have to, so that network threads never wait. The range may end inside a batch, as Kafka's do; it never passes HW.

use std::io;
use std::os::fd::BorrowedFd;

use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::io::{CachedOnly, DiskFile, SharedFile};
use crate::log::partition::Partition;
use crate::log::positions::Offsets;
use crate::log::read::scan::{Found, HeaderScan, ScanStop};
use crate::log::read::spans::Span;
use crate::log::write::segment::Segment;

/// Bytes read at once while a batch is looked for: one index interval.
const LOOK_AHEAD_BYTES: usize = 4_096;
/// Bytes that are read at once to bring a range into memory.
const WARM_BYTES: usize = 128 * 1_024;

/// Whether the disk may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// From memory only.
    Cached,
    /// Also from the disk: on a blocking thread.
    Wait,
}

/// A range of a segment's file. Holds the file open, not its bytes.
#[derive(Clone, Debug)]
pub struct FileSlice {
    file: SharedFile,
    position: u64,
    len: usize,
}

/// What `locate` found.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// From the first batch that holds the offset on; `None` at the end.
    pub(crate) slice: Option<FileSlice>,
    /// Base offset of the segment that the slice is of.
    pub(in crate::log) segment: Offset,
    /// Where the log stood.
    pub(crate) offsets: Offsets,
}

impl FileSlice {
    /// Bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a slice has at least one batch")]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Byte of the file at which it begins.
    #[must_use]
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(in crate::log) fn file(&self) -> &SharedFile {
        &self.file
    }

    /// The file, where the system can send it by itself.
    #[must_use]
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }

    /// Drops its first `count` bytes.
    pub(crate) fn advance(&mut self, count: usize) {
        let count = count.min(self.len);
        self.position += count as u64;
        self.len -= count;
    }

    /// Keeps only its first `count` bytes.
    pub(crate) fn shorten(&mut self, count: usize) {
        self.len = self.len.min(count);
    }

    /// Whether its first `count` bytes are in memory, as far as both of their ends tell.
    #[must_use]
    pub(crate) fn is_cached(&self, count: usize) -> bool {
        let last = count.min(self.len).saturating_sub(1) as u64;
        let mut byte = Vec::with_capacity(1);
        let mut probe = |at| matches!(self.file.read_cached(&mut byte, 1, at), Ok(Some(_)) | Err(_));
        probe(self.position) && probe(self.position + last)
    }

    /// Brings its first `count` bytes into memory. Blocking.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn warm(&self, count: usize) -> io::Result<()> {
        let count = count.min(self.len);
        let mut piece = Vec::with_capacity(WARM_BYTES.min(count));
        for from in (0..count).step_by(WARM_BYTES) {
            piece.clear();
            self.file.read_at(&mut piece, WARM_BYTES.min(count - from), self.position + from as u64)?;
        }
        Ok(())
    }

    /// Its bytes; `None` where they are not in memory and the disk may not be waited for. Fewer than `len` never.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` when the file is shorter than it was.
    pub(crate) fn read(&self, patience: Patience) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::with_capacity(self.len);
        match patience {
            Patience::Wait => drop(self.file.read_at(&mut bytes, self.len, self.position)?),
            Patience::Cached => {
                if self.file.read_cached(&mut bytes, self.len, self.position)?.is_none() {
                    return Ok(None);
                }
            }
        }
        if bytes.len() < self.len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        Ok(Some(bytes))
    }

    /// A slice of bytes in no file of the system's, for tests.
    #[cfg(test)]
    pub(crate) fn of(file: SharedFile, position: u64, len: usize) -> FileSlice {
        FileSlice { file, position, len }
    }
}

impl Partition {
    /// At least one batch when there is one below HW, else at most `max_bytes`; `None` when that would have to wait for
    /// the disk and may not. Batches that compaction emptied are passed over where a full one follows.
    ///
    /// # Errors
    /// `OutOfRange` below log start or above HW; `Corrupt` where the log is damaged; `Deleted`, `Offline`, `Io`.
    pub(crate) fn locate(
        &self,
        from: Offset,
        max_bytes: usize,
        patience: Patience,
    ) -> Result<Option<Located>, LogError> {
        let nothing = |located: &Located| located.slice.is_none() && from < located.offsets.hw;
        match self.locate_by(true, from, max_bytes, patience) {
            Ok(Some(located)) if nothing(&located) => {}
            Err(LogError::Corrupt { .. }) => {}
            other => return other,
        }
        // A damaged index may name a wrong place; the log alone may still have the batch. A consumer that got nothing below
        // HW would ask again without end.
        match self.locate_by(false, from, max_bytes, patience)? {
            Some(located) if nothing(&located) => {
                let reason = format!("no batch holds offset {from}, though the log ends at {}", located.offsets.hw);
                Err(LogError::Corrupt { path: self.dir.clone(), position: 0, reason })
            }
            located => Ok(located),
        }
    }

    fn locate_by(
        &self,
        by_index: bool,
        from: Offset,
        max_bytes: usize,
        patience: Patience,
    ) -> Result<Option<Located>, LogError> {
        let mut at = from;
        let mut empty = None;
        loop {
            let (offsets, span) = {
                let view = self.view();
                (view.readable_at(from)?, view.spans(Some(at)).next())
            };
            let Some(span) = span else {
                let (slice, segment) = empty.unzip();
                return Ok(Some(Located { slice, segment: segment.unwrap_or_default(), offsets }));
            };
            let found = match self.first_in(&span, by_index, at, patience) {
                Err(LogError::Io { cause, .. }) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                other => other?,
            };
            if let First::Full(found) | First::Empty(found) = &found
                && found.header.next_offset() > offsets.hw
            {
                // No CRC covers a base offset: with a wrong one, a consumer would skip records.
                let last = found.header.last_offset();
                return Err(self.damaged(&span.segment, found.position, &format!("a batch up to offset {last}")));
            }
            let slice = |found: &Found| {
                let left = span.limit - found.position;
                let len = (max_bytes.max(found.header.size) as u64).min(left);
                let file = SharedFile::clone(&span.segment.log);
                FileSlice { file, position: found.position, len: usize::try_from(len).unwrap_or(usize::MAX) }
            };
            match found {
                First::Full(found) => {
                    let (slice, segment) = (Some(slice(&found)), span.segment.base);
                    return Ok(Some(Located { slice, segment, offsets }));
                }
                First::Empty(found) => empty = empty.or_else(|| Some((slice(&found), span.segment.base))),
                First::None => {}
            }
            // Segments may be merged meanwhile: the next one is found by its offset.
            at = span.end.max(at.next());
        }
    }

    fn first_in(&self, span: &Span, by_index: bool, offset: Offset, patience: Patience) -> Result<First, LogError> {
        let segment = &span.segment;
        let file = CachedOnly(&*segment.log);
        let (file, floor): (&dyn DiskFile, _) = match patience {
            Patience::Wait => (&*segment.log, segment.floor(&self.around.indexes, offset).map(Some)),
            Patience::Cached => (&file, segment.floor_cached(offset)),
        };
        let floor = floor.map_err(|error| self.read_failed(segment, error))?;
        let Some(from) = floor else {
            return Err(self.read_failed(segment, io::ErrorKind::WouldBlock.into()));
        };
        let from = if by_index { from } else { 0 };
        let mut scan = HeaderScan::new(file, from, span.limit, LOOK_AHEAD_BYTES);
        let mut first = First::None;
        while let Some(found) = scan.next().map_err(|stop| self.scan_stopped(segment, stop))? {
            if found.header.last_offset() < offset {
                continue;
            }
            if found.header.record_count > 0 {
                return Ok(First::Full(found));
            }
            if matches!(first, First::None) {
                first = First::Empty(found);
            }
        }
        Ok(first)
    }

    /// The first batch of a span that ends at or after `offset`.
    pub(in crate::log) fn first_holding(&self, span: &Span, offset: Offset) -> Result<Option<Found>, LogError> {
        let segment: &Segment = &span.segment;
        let from = segment.floor(&self.around.indexes, offset).map_err(|error| self.read_failed(segment, error))?;
        let mut scan = HeaderScan::new(&*segment.log, from, span.limit, LOOK_AHEAD_BYTES);
        while let Some(found) = scan.next().map_err(|stop: ScanStop| self.scan_stopped(segment, stop))? {
            if found.header.last_offset() >= offset {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The first batch of a span that ends at or after an offset.
enum First {
    Full(Found),
    /// Nothing but empty ones follow.
    Empty(Found),
    None,
}
