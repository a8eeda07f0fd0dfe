//! The entries of an `.index`, each compared with the batch that it points to.

use std::io;
use std::path::Path;

use super::batches::{Batches, SHORT_PIECE_BYTES};
use super::log::log_len;
use super::{Dump, DumpError, failed};
use crate::log::index::offset_index::ENTRY_BYTES;
use crate::log::io::DiskFile;
use crate::log::layout::SegmentFile;

/// An index file that is only read: entries with absolute offsets, as Kafka's `OffsetIndex` gives them.
#[derive(Debug)]
pub(super) struct Offsets<'a> {
    file: &'a dyn DiskFile,
    base: i64,
    /// Bytes in the file.
    pub(super) len: u64,
    /// Whole entries.
    pub(super) count: usize,
}

/// An offset and the position of the batch that ends with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OffsetPosition {
    pub(super) offset: i64,
    pub(super) position: i32,
}

/// Entries at the end of an index that Kafka searches first (8 KiB).
const WARM_ENTRIES: usize = 8_192 / ENTRY_BYTES;

/// Entry `at` of a file of entries.
pub(super) fn read_entry<const N: usize>(file: &dyn DiskFile, at: usize) -> io::Result<[u8; N]> {
    let mut bytes = Vec::with_capacity(N);
    file.read_at(&mut bytes, N, (at as u64).saturating_mul(N as u64))?;
    bytes.try_into().map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"))
}

impl<'a> Offsets<'a> {
    pub(super) fn open(path: &Path, file: &'a dyn DiskFile, base: i64) -> Result<Offsets<'a>, DumpError> {
        let len = file.len().map_err(|error| failed(path, error))?;
        let Ok(bytes) = i32::try_from(len) else {
            return Err(failed(path, format!("{len} bytes are more than an index can have")));
        };
        Ok(Offsets { file, base, len, count: usize::try_from(bytes).unwrap_or(0) / ENTRY_BYTES })
    }

    pub(super) fn entry(&self, at: usize) -> Result<OffsetPosition, String> {
        let [a, b, c, d, e, f, g, h]: [u8; ENTRY_BYTES] =
            read_entry(self.file, at).map_err(|error| error.to_string())?;
        Ok(OffsetPosition {
            offset: self.base.wrapping_add(i64::from(i32::from_be_bytes([a, b, c, d]))),
            position: i32::from_be_bytes([e, f, g, h]),
        })
    }

    /// Where to look for `target`. Kafka's search step by step: on entries that are not in order it matters.
    pub(super) fn lookup(&self, target: i64) -> Result<i32, String> {
        let Some(last) = self.count.checked_sub(1) else { return Ok(0) };
        let first_warm = last.saturating_sub(WARM_ENTRIES);
        let (mut low, mut high) = if self.entry(first_warm)?.offset < target {
            (first_warm, last)
        } else if self.entry(0)?.offset > target {
            return Ok(0);
        } else {
            (0, first_warm)
        };
        while low < high {
            let middle = (low + high).div_ceil(2);
            let found = self.entry(middle)?;
            match found.offset.cmp(&target) {
                std::cmp::Ordering::Greater => high = middle - 1,
                std::cmp::Ordering::Less => low = middle,
                std::cmp::Ordering::Equal => return Ok(found.position),
            }
        }
        Ok(self.entry(low)?.position)
    }
}

impl Dump<'_> {
    pub(super) fn index(&mut self, path: &Path, base: i64) -> Result<(), DumpError> {
        let (log_path, log) = self.open_sibling(path, SegmentFile::Log)?;
        let log_end = log_len(&log_path, &*log)?;
        let file = self.open(path)?;
        let entries = Offsets::open(path, &*file, base)?;
        if entries.count == 0 {
            return self.line(format_args!("{} is empty.", path.display()));
        }
        if self.options.sanity_only {
            let last = entries.entry(entries.count - 1).map_err(|reason| failed(path, reason))?;
            check_sane(&entries, last.offset, base).map_err(|reason| failed(path, reason))?;
            return self.line(format_args!("{} passed sanity check.", path.display()));
        }
        for at in 0..entries.count {
            let entry = entries.entry(at).map_err(|reason| failed(path, reason))?;
            // Kafka allocates in advance: zeros are no entries.
            if entry.offset == base && at > 0 {
                return Ok(());
            }
            let in_log = self
                .batch_at(&*log, log_end, entry.position)
                .map_err(|reason| failed(path, format!("entry {at} (offset {}): {reason}", entry.offset)))?;
            if in_log != entry.offset {
                self.notes.index_mismatch(path, entry.offset, in_log);
            }
            if !self.options.verify_only {
                self.line(format_args!("offset: {} position: {}", entry.offset, entry.position))?;
            }
        }
        Ok(())
    }

    /// The last offset of the batch at a byte of the log.
    fn batch_at(&self, log: &dyn DiskFile, log_end: u64, position: i32) -> Result<i64, String> {
        let from = within(log_end, position)?;
        let size = u64::try_from(self.options.message_bytes_max).unwrap_or(0);
        let found = Batches::new(log, from, log_end.min(from + size), SHORT_PIECE_BYTES).next()?;
        let none = || format!("no batch of at most {size} bytes begins at byte {position}");
        found.map(|batch| batch.last_offset()).ok_or_else(none)
    }
}

/// A byte of the log that an index names.
pub(super) fn within(log_end: u64, position: i32) -> Result<u64, String> {
    let outside = || format!("byte {position} is outside of the log, which has {log_end}");
    u64::try_from(position).ok().filter(|at| *at <= log_end).ok_or_else(outside)
}

fn check_sane(entries: &Offsets<'_>, last: i64, base: i64) -> Result<(), String> {
    if last < base {
        return Err(format!("the last offset is {last}, less than the base offset {base}"));
    }
    if !entries.len.is_multiple_of(ENTRY_BYTES as u64) {
        return Err(format!("{} bytes are no multiple of {ENTRY_BYTES}", entries.len));
    }
    Ok(())
}
