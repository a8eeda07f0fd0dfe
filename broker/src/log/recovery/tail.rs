//! Cutting: what cannot be trusted leaves the log, its bytes are kept beside it and reported (rule 10). The copy is
//! durable before the original is shortened; a crash in between makes a second copy, never none.

use std::io;

use super::progress::{CutReport, Recovery, Replayed};
use super::quick;
use super::walk::Walked;
use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::io::DirEntry;
use crate::log::layout::{SegmentFile, TEMPORARY, cut_file, is_deleted_file, parse_segment_file};

/// Bytes copied at once.
const PIECE_BYTES: usize = 1024 * 1024;

impl Recovery<'_> {
    /// Shortens a segment to its whole batches.
    pub(super) fn cut_tail(&self, segment: &Walked, offset: Offset) -> Result<Option<CutReport>, LogError> {
        let bytes = segment.len.saturating_sub(segment.size);
        if bytes == 0 {
            return Ok(None);
        }
        self.changed.set(true);
        let kept = self.free_cut_file(segment.base)?;
        let keep = || {
            let copy = self.disk.create(&kept)?;
            let (mut at, mut piece) = (segment.size, Vec::with_capacity(PIECE_BYTES));
            while at < segment.len {
                piece.clear();
                if segment.log.read_at(&mut piece, PIECE_BYTES, at)? == 0 {
                    break;
                }
                copy.write_at(&piece, &[], at - segment.size)?;
                at += piece.len() as u64;
            }
            copy.sync_data()?;
            self.disk.sync_dir(self.dir)
        };
        keep().map_err(|error| LogError::io("cannot keep what is cut from the log in", &kept, error))?;
        let shorten = || {
            segment.log.truncate(segment.size)?;
            segment.log.sync_data()
        };
        shorten().map_err(|error| LogError::io("cannot cut", &self.path(segment.base, SegmentFile::Log), error))?;
        Ok(Some(CutReport { partition: None, offset, bytes, kept }))
    }

    /// Takes a whole segment out of the log.
    pub(super) fn cut_segment(&self, base: Offset) -> Result<Option<CutReport>, LogError> {
        let path = self.path(base, SegmentFile::Log);
        let failed = |error| LogError::io("cannot set aside", &path, error);
        self.changed.set(true);
        let bytes = self.disk.open(&path).and_then(|log| log.len()).map_err(failed)?;
        if bytes == 0 {
            self.disk.unlink(&path).map_err(failed)?;
            return Ok(None);
        }
        let kept = self.free_cut_file(base)?;
        self.disk.rename(&path, &kept).map_err(failed)?;
        Ok(Some(CutReport { partition: None, offset: base, bytes, kept }))
    }

    /// Unlinks what is below the log's first segment, and what was out of the log before. Snapshots stay: the newest may
    /// be among them.
    pub(super) fn remove_removed(&self, names: &[DirEntry], first: Offset) -> Result<(), LogError> {
        for entry in names {
            let below = parse_segment_file(&entry.name)
                .is_some_and(|(base, file)| base < first && file != SegmentFile::Snapshot);
            if below || is_deleted_file(&entry.name) {
                self.unlink(&entry.name)?;
            }
        }
        Ok(())
    }

    /// Unlinks files of interrupted replacements, indexes without a log, and snapshots of nothing: taken behind the end
    /// of the log, or neither at a segment's base nor the newest.
    pub(super) fn remove_leftovers(
        &self,
        names: &[DirEntry],
        kept: &[Offset],
        replayed: &Replayed,
    ) -> Result<(), LogError> {
        let newest = quick::snapshots(names).filter(|at| *at <= replayed.end).max();
        for entry in names {
            let orphan = parse_segment_file(&entry.name).is_some_and(|(base, file)| match file {
                SegmentFile::Log => false,
                SegmentFile::Snapshot => base > replayed.end || (Some(base) != newest && !kept.contains(&base)),
                _ => !kept.contains(&base),
            });
            if orphan || entry.name.ends_with(TEMPORARY) {
                self.unlink(&entry.name)?;
            }
        }
        Ok(())
    }

    pub(super) fn unlink(&self, name: &str) -> Result<(), LogError> {
        self.changed.set(true);
        let path = self.dir.join(name);
        match self.disk.unlink(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LogError::io("cannot remove", &path, error)),
            _ => Ok(()),
        }
    }

    fn free_cut_file(&self, base: Offset) -> Result<std::path::PathBuf, LogError> {
        let names = self.disk.list(self.dir).map_err(|error| LogError::io("cannot list", self.dir, error))?;
        let free =
            (1..).map(|number| cut_file(base, number)).find(|name| names.iter().all(|entry| entry.name != *name));
        Ok(self.dir.join(free.unwrap_or_default()))
    }
}
