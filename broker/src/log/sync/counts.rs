//! What the flusher counts: each group commit with its time, its size and the way it was made durable. Read by the log
//! directory's section of `/metrics`. Never in the way of an append.

use std::time::Duration;

use crate::log::sync::commit::Way;
use crate::metrics::{Counter, Histogram, Page};

/// The ways in which a group that has something dirty is synced.
const WAYS: [(Way, &str); 3] =
    [(Way::OneFile, "one_file"), (Way::FileSystem, "file_system"), (Way::EachFile, "each_file")];

/// The counts of one flusher.
#[derive(Debug)]
pub(in crate::log) struct SyncCounts {
    by_way: [Counter; WAYS.len()],
    failed: Counter,
    time: Histogram,
    partitions: Histogram,
    checkpoints: Counter,
    checkpoint_time: Histogram,
}

impl Default for SyncCounts {
    fn default() -> SyncCounts {
        SyncCounts {
            by_way: Default::default(),
            failed: Counter::default(),
            time: Histogram::of_durations(),
            partitions: Histogram::of_sizes(),
            checkpoints: Counter::default(),
            checkpoint_time: Histogram::of_durations(),
        }
    }
}

impl SyncCounts {
    /// A group of so many partitions was synced, or was not.
    pub(super) fn group(&self, way: Way, partitions: usize, took: Duration, failed: bool) {
        if let Some(at) = WAYS.iter().position(|(of_row, _)| *of_row == way) {
            self.by_way[at].up();
        }
        if failed {
            self.failed.up();
        }
        self.time.took(took);
        self.partitions.sized(partitions);
    }

    /// Indexes and recovery points were written.
    pub(super) fn checkpoint(&self, took: Duration) {
        self.checkpoints.up();
        self.checkpoint_time.took(took);
    }

    pub(in crate::log) fn show(&self, page: &mut Page<'_>) {
        page.counters("sluice_log_syncs", "Group commits, by the way in which they were synced.", |rows| {
            WAYS.iter().zip(&self.by_way).for_each(|((_, way), count)| rows.count(&[("way", way)], count.get()));
        });
        page.counter(
            "sluice_log_sync_failures",
            "Group commits that failed; their partitions are read-only.",
            &self.failed,
        );
        page.histograms("sluice_log_sync_duration_seconds", "Time of one group commit.", |rows| {
            rows.distribution(&[], &self.time);
        });
        page.histograms("sluice_log_sync_partitions", "Partitions of one group commit.", |rows| {
            rows.distribution(&[], &self.partitions);
        });
        page.counter("sluice_log_checkpoints", "Checkpoints of indexes and recovery points.", &self.checkpoints);
        page.histograms(
            "sluice_log_checkpoint_duration_seconds",
            "Time of one checkpoint; no sync runs meanwhile.",
            |rows| {
                rows.distribution(&[], &self.checkpoint_time);
            },
        );
    }
}
