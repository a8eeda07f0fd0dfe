//! Notes on entries and records that do not agree, file by file, printed at the end as Kafka's tool does.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Pairs of numbers that contradict each other, by file.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Offset in the index and in the log; the last one counts.
    index: BTreeMap<PathBuf, BTreeMap<i64, i64>>,
    time_mismatch: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    time_order: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    time_not_found: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    /// Offsets of records that follow one another.
    gaps: BTreeMap<PathBuf, Vec<(i64, i64)>>,
}

impl Notes {
    /// The index says one offset, the log another.
    pub(super) fn index_mismatch(&mut self, path: &Path, in_index: i64, in_log: i64) {
        self.index.entry(absolute(path)).or_default().insert(in_index, in_log);
    }

    /// The largest timestamp of the batch is not the entry's.
    pub(super) fn time_mismatch(&mut self, path: &Path, in_index: i64, in_log: i64) {
        self.time_mismatch.entry(absolute(path)).or_default().push((in_index, in_log));
    }

    /// Timestamps of a time index rise.
    pub(super) fn time_order(&mut self, path: &Path, timestamp: i64, before: i64) {
        self.time_order.entry(absolute(path)).or_default().push((timestamp, before));
    }

    /// No batch ends with the offset of the entry; -1: there is none behind it either.
    pub(super) fn time_not_found(&mut self, path: &Path, in_index: i64, in_log: i64) {
        self.time_not_found.entry(absolute(path)).or_default().push((in_index, in_log));
    }

    /// One record is followed by another that is not the next.
    pub(super) fn gap(&mut self, path: &Path, first: i64, second: i64) {
        self.gaps.entry(absolute(path)).or_default().push((first, second));
    }

    /// Everything, in Kafka's order.
    pub(super) fn write(mut self, err: &mut dyn Write) -> io::Result<()> {
        for (path, offsets) in &self.index {
            writeln!(err, "Mismatches in :{}", path.display())?;
            for (in_index, in_log) in offsets.iter().rev() {
                writeln!(err, "  Index offset: {in_index}, log offset: {in_log}")?;
            }
        }
        for (path, times) in &self.time_mismatch {
            writeln!(err, "Found timestamp mismatch in :{}", path.display())?;
            for (in_index, in_log) in times {
                writeln!(err, "  Index timestamp: {in_index}, log timestamp: {in_log}")?;
            }
        }
        for (path, times) in &self.time_order {
            writeln!(err, "Found out of order timestamp in :{}", path.display())?;
            for (timestamp, before) in times {
                writeln!(err, "  Index timestamp: {timestamp}, Previously indexed timestamp: {before}")?;
            }
        }
        for (path, offsets) in &self.time_not_found {
            writeln!(err, "The following indexed offsets are not found in :{}", path.display())?;
            for (in_index, in_log) in offsets {
                writeln!(err, "Indexed offset: {in_index}, found log offset: {in_log}")?;
            }
        }
        for (path, gaps) in &mut self.gaps {
            writeln!(err, "Non-consecutive offsets in {}", path.display())?;
            // Kafka keeps one successor an offset, the last, in order of offsets; the sort is stable.
            gaps.sort_by_key(|(first, _)| *first);
            for (at, (first, second)) in gaps.iter().enumerate() {
                if gaps.get(at + 1).is_none_or(|(next, _)| next != first) {
                    writeln!(err, "  {first} is followed by {second}")?;
                }
            }
        }
        err.flush()
    }
}

/// As Java makes a path absolute: nothing in it is resolved.
fn absolute(path: &Path) -> PathBuf {
    std::env::current_dir().map_or_else(|_| path.to_path_buf(), |here| here.join(path))
}
