//! Read: whole batches below HW, from the file as they are. Positions are looked up under the view's lock (`locate`),
//! bytes are read outside of it, so a read never waits for an append's write, nor the other way round. A read stays
//! within one segment and skips nothing but batches without records.

use std::path::PathBuf;

use bytes::Bytes;

use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::layout::{SegmentFile, segment_file};
use crate::log::partition::Partition;
use crate::log::read::locate::{FileSlice, Patience};
use crate::log::read::scan::ScanStop;
use crate::log::write::segment::Segment;
use crate::record::BatchHeader;

impl Partition {
    /// Whole batches below HW, as stored, at most `max_bytes` of them, or one; the first one holds `from`. Empty at HW.
    /// Blocking when pages are cold.
    ///
    /// # Errors
    /// `OutOfRange` below log start or above HW; `Corrupt` where the log is damaged; `Deleted`, `Offline`, `Io`.
    pub fn read(&self, from: Offset, max_bytes: usize) -> Result<Bytes, LogError> {
        let located = self.locate(from, max_bytes, Patience::Wait)?;
        match located.and_then(|located| located.slice) {
            Some(slice) => Ok(self.read_located(&slice, Patience::Wait)?.unwrap_or_default()),
            None => Ok(Bytes::new()),
        }
    }

    /// The whole batches of a located range; `None` where the disk may not be waited for and would have to be.
    ///
    /// # Errors
    /// `Io`; `Deleted`, `Offline` when the files are missing for that reason.
    pub(crate) fn read_located(&self, slice: &FileSlice, patience: Patience) -> Result<Option<Bytes>, LogError> {
        match slice.read(patience) {
            Ok(bytes) => Ok(bytes.map(|bytes| whole_batches(Bytes::from(bytes)))),
            Err(error) => {
                self.view().readable()?;
                Err(LogError::io("cannot read a log in", &self.dir, error))
            }
        }
    }

    pub(in crate::log) fn scan_stopped(&self, segment: &Segment, stop: ScanStop) -> LogError {
        match stop {
            ScanStop::Io(error) => self.read_failed(segment, error),
            ScanStop::Bad { position, reason } => self.damaged(segment, position, &reason),
        }
    }

    pub(in crate::log) fn damaged(&self, segment: &Segment, position: u64, reason: &str) -> LogError {
        LogError::Corrupt { path: self.log_path(segment), position, reason: reason.to_owned() }
    }

    /// The files of a deleted partition may be missing while a read is under way.
    pub(in crate::log) fn read_failed(&self, segment: &Segment, error: std::io::Error) -> LogError {
        match self.view().readable() {
            Ok(()) => LogError::io("cannot read", &self.log_path(segment), error),
            Err(gone) => gone,
        }
    }

    fn log_path(&self, segment: &Segment) -> PathBuf {
        self.dir.join(segment_file(segment.base, SegmentFile::Log))
    }
}

/// `bytes` up to the end of its last whole batch.
pub(in crate::log) fn whole_batches(bytes: Bytes) -> Bytes {
    let mut end = 0;
    while let Ok(header) = BatchHeader::parse(&bytes[end..]) {
        match end.checked_add(header.size) {
            Some(next) if next <= bytes.len() && header.size > 0 => end = next,
            _ => break,
        }
    }
    bytes.slice(..end)
}
