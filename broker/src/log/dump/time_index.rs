//! The entries of a `.timeindex`, each compared with the batch that ends with its offset.

use std::path::Path;

use super::batches::{Batches, SHORT_PIECE_BYTES, newest};
use super::index::{Offsets, read_entry, within};
use super::log::log_len;
use super::{Dump, DumpError, failed};
use crate::log::index::time_index::ENTRY_BYTES;
use crate::log::io::DiskFile;
use crate::log::layout::SegmentFile;

/// A timestamp and the offset up to which there is no larger one.
#[derive(Clone, Copy, Debug)]
struct TimeOffset {
    timestamp: i64,
    offset: i64,
}

/// The files of a segment that a time index is about.
struct Segment<'a> {
    log: &'a dyn DiskFile,
    log_end: u64,
    offsets: Offsets<'a>,
}

impl Dump<'_> {
    pub(super) fn time_index(&mut self, path: &Path, base: i64) -> Result<(), DumpError> {
        let (log_path, log) = self.open_sibling(path, SegmentFile::Log)?;
        let (index_path, index) = self.open_sibling(path, SegmentFile::Index)?;
        let segment = Segment {
            log: &*log,
            log_end: log_len(&log_path, &*log)?,
            offsets: Offsets::open(&index_path, &*index, base)?,
        };
        let file = self.open(path)?;
        let len = file.len().map_err(|error| failed(path, error))?;
        let count = usize::try_from(i32::try_from(len).unwrap_or(i32::MAX)).unwrap_or(0) / ENTRY_BYTES;
        let entry = |at| entry(&*file, at, base).map_err(|reason| failed(path, reason));
        if self.options.sanity_only {
            if let Some(last) = count.checked_sub(1) {
                check_sane(entry(0)?, entry(last)?, base).map_err(|reason| failed(path, reason))?;
            }
            if !len.is_multiple_of(ENTRY_BYTES as u64) {
                return Err(failed(path, format!("{len} bytes are no multiple of {ENTRY_BYTES}")));
            }
            return self.line(format_args!("{} passed sanity check.", path.display()));
        }
        let mut before = -1;
        for at in 0..count {
            let entry = entry(at)?;
            // Kafka allocates in advance: zeros are no entries.
            if entry.offset == base && at > 0 {
                return Ok(());
            }
            self.check_entry(path, &segment, entry, before)
                .map_err(|reason| failed(path, format!("entry {at} (offset {}): {reason}", entry.offset)))?;
            if !self.options.verify_only {
                self.line(format_args!("timestamp: {} offset: {}", entry.timestamp, entry.offset))?;
            }
            before = entry.timestamp;
        }
        Ok(())
    }

    fn check_entry(
        &mut self,
        path: &Path,
        segment: &Segment<'_>,
        entry: TimeOffset,
        before: i64,
    ) -> Result<(), String> {
        let from = within(segment.log_end, segment.offsets.lookup(entry.offset)?)?;
        let mut batches = Batches::new(segment.log, from, segment.log_end, SHORT_PIECE_BYTES);
        let found = loop {
            match batches.next()? {
                Some(found) if found.last_offset() < entry.offset => {}
                other => break other,
            }
        };
        let last = found.as_ref().map_or(-1, |found| found.last_offset());
        let Some(found) = found.filter(|_| last == entry.offset) else {
            self.notes.time_not_found(path, entry.offset, last);
            return Ok(());
        };
        let newest = newest(batches.records(&found)?).map_err(|error| error.to_string())?;
        if newest != entry.timestamp {
            self.notes.time_mismatch(path, entry.timestamp, newest);
        }
        if before >= entry.timestamp {
            self.notes.time_order(path, entry.timestamp, before);
        }
        Ok(())
    }
}

fn entry(file: &dyn DiskFile, at: usize, base: i64) -> Result<TimeOffset, String> {
    let bytes: [u8; ENTRY_BYTES] = read_entry(file, at).map_err(|error| error.to_string())?;
    let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
    Ok(TimeOffset {
        timestamp: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        offset: base.wrapping_add(i64::from(i32::from_be_bytes([i, j, k, l]))),
    })
}

fn check_sane(first: TimeOffset, last: TimeOffset, base: i64) -> Result<(), String> {
    if last.timestamp < first.timestamp {
        let (last, first) = (last.timestamp, first.timestamp);
        return Err(format!("the last timestamp is {last}, less than the first, {first}"));
    }
    if last.offset < base {
        return Err(format!("the last offset is {}, less than the base offset {base}", last.offset));
    }
    Ok(())
}
