//! The index files of one segment against its batches: every entry must name a batch that is there. Those that do are
//! kept, others are rebuilt from what the walk over the batches found.

use std::io;
use std::path::{Path, PathBuf};

use super::progress::Recovery;
use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::index::offset_index::{self, IndexEntry};
use crate::log::index::time_index::{self, Newest, TimeEntry};
use crate::log::io::{Disk, SharedFile};
use crate::log::layout::{SegmentFile, segment_file};
use crate::log::write::segment::{ActiveFiles, Indexed, SEGMENT_BYTES_MAX};
use crate::record::BatchHeader;

/// The two index files of a segment as they were found, and how far the batches have confirmed them.
#[derive(Debug, Default)]
pub(super) struct IndexFiles {
    offsets_path: PathBuf,
    times_path: PathBuf,
    /// `None`: missing, torn or contradicted.
    offsets: Option<Vec<IndexEntry>>,
    times: Option<Vec<TimeEntry>>,
    offsets_confirmed: usize,
    times_confirmed: usize,
}

impl IndexFiles {
    /// Reads both files; a missing one counts as wrong.
    pub(super) fn load(disk: &dyn Disk, dir: &Path, base: Offset) -> Result<IndexFiles, LogError> {
        let offsets_path = dir.join(segment_file(base, SegmentFile::Index));
        let times_path = dir.join(segment_file(base, SegmentFile::TimeIndex));
        Ok(IndexFiles {
            offsets: read(disk, &offsets_path)?.and_then(|bytes| offset_index::decode_all(&bytes)),
            times: read(disk, &times_path)?.and_then(|bytes| time_index::decode_all(&bytes)),
            offsets_path,
            times_path,
            offsets_confirmed: 0,
            times_confirmed: 0,
        })
    }

    /// The next batch of the segment; `newest` is the largest timestamp up to and with it.
    pub(super) fn check(&mut self, base: Offset, header: &BatchHeader, position: u64, newest: Option<Newest>) {
        let last = offset_index::relative(base, header.last_offset());
        if let Some(entry) = self.offsets.as_ref().and_then(|entries| entries.get(self.offsets_confirmed))
            && u64::from(entry.position) == position
            && Some(entry.relative) == last
        {
            self.offsets_confirmed += 1;
        }
        let newest = newest.map(|newest| (newest.timestamp, offset_index::relative(base, newest.last_offset)));
        if let Some(entry) = self.times.as_ref().and_then(|entries| entries.get(self.times_confirmed))
            && Some(entry.relative) == last
            && newest == Some((entry.timestamp, last))
        {
            self.times_confirmed += 1;
        }
    }

    /// For a sealed segment: the entries in the files, rebuilt where a file is wrong, or too sparse to be of use.
    pub(super) fn complete(&mut self, recovery: &Recovery<'_>, built: &Indexed) -> Result<Indexed, LogError> {
        let offsets = self
            .offsets
            .take()
            .filter(|entries| entries.len() == self.offsets_confirmed && entries.len() * 2 >= built.offsets.len());
        let times = self.times.take().filter(|entries| {
            entries.len() == self.times_confirmed
                && entries.len() * 2 >= built.times.len()
                && entries.last() == built.times.last()
        });
        let mut entries = built.clone();
        match offsets {
            Some(offsets) => entries.offsets = offsets,
            None => drop(rebuild(recovery, &self.offsets_path, encode_offsets(built))?),
        }
        match times {
            Some(times) => entries.times = times,
            None => drop(rebuild(recovery, &self.times_path, encode_times(built))?),
        }
        Ok(entries)
    }

    /// For the active segment: the files hold exactly what was built. On a full disk nothing: its entries are in memory,
    /// and are written like those of new batches when there is room again.
    pub(super) fn exactly(&mut self, recovery: &Recovery<'_>, built: &Indexed) -> Result<ActiveFiles, LogError> {
        let offsets = match self.offsets.take() {
            Some(entries) if entries == built.offsets => reopen(recovery.disk, &self.offsets_path)?,
            _ => match rebuild(recovery, &self.offsets_path, encode_offsets(built)) {
                Err(error) if error.is_no_space() => return self.nothing_written(recovery.disk),
                rebuilt => rebuilt?,
            },
        };
        let times = match self.times.take() {
            Some(entries) if entries == built.times => reopen(recovery.disk, &self.times_path)?,
            _ => match rebuild(recovery, &self.times_path, encode_times(built)) {
                Err(error) if error.is_no_space() => return self.nothing_written(recovery.disk),
                rebuilt => rebuilt?,
            },
        };
        Ok(ActiveFiles { index: offsets, time_index: times, written: true })
    }

    fn nothing_written(&self, disk: &dyn Disk) -> Result<ActiveFiles, LogError> {
        let emptied = |path: &Path| disk.create(path).map_err(|error| LogError::io("cannot rebuild", path, error));
        Ok(ActiveFiles { index: emptied(&self.offsets_path)?, time_index: emptied(&self.times_path)?, written: false })
    }
}

fn encode_offsets(built: &Indexed) -> Vec<u8> {
    built.offsets.iter().flat_map(|entry| entry.encode()).collect()
}

fn encode_times(built: &Indexed) -> Vec<u8> {
    built.times.iter().flat_map(|entry| entry.encode()).collect()
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        let file = disk.open(path)?;
        let len = file.len()?;
        // An index is never larger than its log; a file that is has been filled with something else.
        if len > SEGMENT_BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        file.read_at(&mut bytes, usize::try_from(len).unwrap_or(0), 0)?;
        Ok(Some(bytes))
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map_err(|error| LogError::io("cannot read", path, error)),
    }
}

fn reopen(disk: &dyn Disk, path: &Path) -> Result<SharedFile, LogError> {
    disk.open(path).map_err(|error| LogError::io("cannot open", path, error))
}

fn rebuild(recovery: &Recovery<'_>, path: &Path, bytes: Vec<u8>) -> Result<SharedFile, LogError> {
    let disk = recovery.disk;
    recovery.changed.set(true);
    let write = || -> io::Result<SharedFile> {
        // A new file: the old one may still owe the report of a write-back that failed before the restart.
        match disk.unlink(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(path)?;
        file.write_at(&bytes, &[], 0)?;
        file.sync_data()?;
        Ok(file)
    };
    write().map_err(|error| LogError::io("cannot rebuild", path, error))
}
