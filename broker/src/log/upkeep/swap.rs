//! A new segment in the place of old ones, whole or not at all, wherever a crash comes. Its files are written as
//! `.cleaned` and synced; renamed to `.swap`, the `.log` last, and the directory synced: from here on it counts, and the
//! next start would finish what follows (`recovery/swaps.rs`). Then the old segments are renamed to `.deleted`, the new
//! indexes get their names, the directory is synced, and the `.log` gets its name last of all. Readers keep the old
//! files open. Source: Kafka's `LocalLog.replaceSegments`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::io::SharedFile;
use crate::log::layout::{self, SegmentFile, segment_file};
use crate::log::partition::Partition;
use crate::log::state::View;
use crate::log::write::segment::{Indexed, SealedSegment};
use crate::record::BatchHeader;

/// Bytes that are written at once.
const PIECE_BYTES: usize = 1024 * 1024;
/// In the order in which they are renamed: the `.log` decides.
const KINDS: [SegmentFile; 3] = [SegmentFile::Index, SegmentFile::TimeIndex, SegmentFile::Log];

/// A segment that is being written beside the log.
#[derive(Debug)]
pub(in crate::log) struct Output {
    base: Offset,
    log: SharedFile,
    written: u64,
    buffer: Vec<u8>,
    indexed: Indexed,
    interval: u64,
    path: PathBuf,
}

impl Output {
    pub(in crate::log) fn create(partition: &Partition, base: Offset, interval: u64) -> Result<Output, LogError> {
        let path = layout::cleaned_file(&partition.dir.join(segment_file(base, SegmentFile::Log)));
        let log = fresh(partition, &path).map_err(|error| LogError::io("cannot create", &path, error))?;
        Ok(Output { base, log, written: 0, buffer: Vec::new(), indexed: Indexed::default(), interval, path })
    }

    /// The next batch.
    pub(in crate::log) fn add(&mut self, batch: &[u8]) -> Result<(), LogError> {
        let failed =
            |path: &Path, cause: String| LogError::Corrupt { path: path.to_path_buf(), position: 0, reason: cause };
        let header = BatchHeader::parse(batch).map_err(|error| failed(&self.path, error.to_string()))?;
        let position = self.written + self.buffer.len() as u64;
        self.indexed.add(self.base, &header, position, self.interval);
        self.buffer.extend_from_slice(batch);
        if self.buffer.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let written = self.log.write_at(&self.buffer, &[], self.written);
        written.map_err(|error| LogError::io("cannot write", &self.path, error))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// It is not needed, or cannot be finished. What stays, the next start removes.
    pub(in crate::log) fn discard(self, partition: &Partition) {
        for kind in KINDS {
            let path = partition.dir.join(segment_file(self.base, kind));
            let _ = partition.around.disk.unlink(&layout::cleaned_file(&path));
        }
    }

    /// Takes the place of `group`, which ends at `end`.
    pub(in crate::log) fn replace(
        mut self,
        partition: &Partition,
        group: &[SealedSegment],
        end: Offset,
    ) -> Result<(), LogError> {
        let base = self.base;
        if let Err(error) = self.complete(partition) {
            self.discard(partition);
            return Err(error);
        }
        // Until the view changes, look-ups find the old segments: they use the old files.
        for old in group {
            let held = old.segment.hold_indexes(&partition.around.indexes);
            held.map_err(|error| LogError::io("cannot open the indexes in", &partition.dir, error))?;
        }
        let disk = &*partition.around.disk;
        let path = |kind| partition.dir.join(segment_file(base, kind));
        let swap = || -> io::Result<()> {
            for kind in KINDS {
                disk.rename(&layout::cleaned_file(&path(kind)), &layout::swap_file(&path(kind)))?;
            }
            disk.sync_dir(&partition.dir)?;
            for old in &group[1..] {
                for kind in KINDS {
                    let old = partition.dir.join(segment_file(old.segment.base, kind));
                    disk.rename(&old, &layout::deleted_file(&old))?;
                }
            }
            for kind in [SegmentFile::Index, SegmentFile::TimeIndex] {
                disk.rename(&layout::swap_file(&path(kind)), &path(kind))?;
            }
            disk.sync_dir(&partition.dir)?;
            disk.rename(&layout::swap_file(&path(SegmentFile::Log)), &path(SegmentFile::Log))?;
            disk.sync_dir(&partition.dir)
        };
        swap()
            .map_err(|error| LogError::io("cannot put a compacted segment in its place in", &partition.dir, error))?;
        let log = Arc::clone(&self.log);
        let new = SealedSegment::of_files(&partition.dir, base, log, self.written, self.indexed.lengths());
        partition.view().put(new, group.len(), end);
        for old in &group[1..] {
            for kind in KINDS {
                let old = partition.dir.join(segment_file(old.segment.base, kind));
                // Else the next start does.
                let _ = disk.unlink(&layout::deleted_file(&old));
            }
        }
        Ok(())
    }

    /// Everything written and synced, under the names of work under way.
    fn complete(&mut self, partition: &Partition) -> Result<(), LogError> {
        self.flush()?;
        self.indexed.add_newest(self.base);
        let (offsets, times) = self.indexed.encode();
        let write = |kind, bytes: &[u8]| {
            let path = layout::cleaned_file(&partition.dir.join(segment_file(self.base, kind)));
            let written = fresh(partition, &path).and_then(|file| {
                file.write_at(bytes, &[], 0)?;
                file.sync_data()
            });
            written.map_err(|error| LogError::io("cannot write", &path, error))
        };
        write(SegmentFile::Index, &offsets)?;
        write(SegmentFile::TimeIndex, &times)?;
        self.log.sync_data().map_err(|error| LogError::io("cannot sync", &self.path, error))
    }
}

/// A new file: one of an earlier try may still owe the report of a failed write-back.
fn fresh(partition: &Partition, path: &Path) -> io::Result<SharedFile> {
    match partition.around.disk.unlink(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => partition.around.disk.create(path),
    }
}

impl View {
    /// One segment in the place of `count`, which end at `end`.
    fn put(&mut self, new: SealedSegment, count: usize, end: Offset) {
        let base = new.segment.base;
        let at = self.sealed.partition_point(|sealed| sealed.segment.base < base);
        self.sealed.splice(at..at + count, [new]);
        self.positions.segments_replaced(base, end);
    }
}
