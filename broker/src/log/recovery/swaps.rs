//! Finishes or undoes what a crash left of a compaction. A `.log.swap` is whole and in force: the segments it replaces
//! go, then it gets its name. Anything else that is `.cleaned` or `.swap` was not in force yet, and goes. Repeats itself
//! after a crash in any place. Source: Kafka's `LogLoader.load`.

use super::progress::Recovery;
use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::io::DirEntry;
use crate::log::layout::{self, Interim, SegmentFile, parse_segment_file};
use crate::log::read::scan::{HeaderScan, ScanStop};

/// Headers of small batches that are read at once.
const LOOK_AHEAD_BYTES: usize = 64 * 1_024;

impl Recovery<'_> {
    /// `true`: the directory holds other files now.
    pub(super) fn finish_swaps(&self, names: &[DirEntry]) -> Result<bool, LogError> {
        let interim: Vec<_> =
            names.iter().filter_map(|entry| Some((entry, layout::parse_interim_file(&entry.name)?))).collect();
        for (entry, (state, base, file)) in &interim {
            match (state, file) {
                (Interim::Swap, SegmentFile::Log) => self.finish_swap(names, *base)?,
                // Indexes of a segment in force are built again: old ones may be there under the same names.
                _ => self.unlink(&entry.name)?,
            }
        }
        if !interim.is_empty() {
            self.sync_dir()?;
        }
        Ok(!interim.is_empty())
    }

    fn finish_swap(&self, names: &[DirEntry], base: Offset) -> Result<(), LogError> {
        let path = self.path(base, SegmentFile::Log);
        let swap = layout::swap_file(&path);
        let end = self.end_of(&swap, base)?;
        // What it replaces goes only when its own name is durable.
        self.sync_dir()?;
        for entry in names {
            let Some((at, file)) = parse_segment_file(&entry.name) else { continue };
            let replaced = at > base && at < end && file != SegmentFile::Snapshot;
            let index = at == base && matches!(file, SegmentFile::Index | SegmentFile::TimeIndex);
            if replaced || index {
                self.unlink(&entry.name)?;
            }
        }
        // The new log must not be met by an index of the old one.
        self.sync_dir()?;
        self.disk.rename(&swap, &path).map_err(|error| LogError::io("cannot rename", &swap, error))?;
        tracing::info!(log = %path.display(), "a compaction that was interrupted is finished");
        Ok(())
    }

    /// Where the offsets of a compacted segment end: its last batch was kept for that.
    fn end_of(&self, swap: &std::path::Path, base: Offset) -> Result<Offset, LogError> {
        let failed = |error| LogError::io("cannot read", swap, error);
        let log = self.disk.open(swap).map_err(failed)?;
        let mut scan = HeaderScan::new(&*log, 0, log.len().map_err(failed)?, LOOK_AHEAD_BYTES);
        let mut end = base;
        loop {
            match scan.next() {
                Ok(Some(found)) => end = found.header.next_offset(),
                Ok(None) => return Ok(end),
                Err(ScanStop::Io(error)) => return Err(failed(error)),
                Err(ScanStop::Bad { position, reason }) => {
                    return Err(LogError::Corrupt { path: swap.to_path_buf(), position, reason });
                }
            }
        }
    }

    fn sync_dir(&self) -> Result<(), LogError> {
        self.disk.sync_dir(self.dir).map_err(|error| LogError::io("cannot sync", self.dir, error))
    }
}
