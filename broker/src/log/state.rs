//! The state of one partition's log, by the lock that guards it: `Writer` is held during a write, `View` only to look at or
//! move positions, `UpkeepState` while segments are removed or replaced. `partition.rs` owns the locks. Never does I/O.

use std::sync::Arc;

use crate::ids::{Offset, TimestampMs};
use crate::log::error::LogError;
use crate::log::io::SharedFile;
use crate::log::positions::Positions;
use crate::log::write::epochs::Epochs;
use crate::log::write::producers::Producers;
use crate::log::write::segment::{ActiveSegment, SealedSegment, Segment};

/// What an append changes.
#[derive(Debug)]
pub(in crate::log) struct Writer {
    /// `None`: read-only (damaged, offline).
    pub(in crate::log) active: Option<ActiveSegment>,
    pub(in crate::log) producers: Producers,
    /// LogAppendTime never goes back.
    pub(in crate::log) last_append_time: Option<TimestampMs>,
    /// The newest snapshot of the producers.
    pub(in crate::log) snapshot_at: Option<Offset>,
}

/// Positions, segments and what waits for the flusher.
#[derive(Debug)]
pub(in crate::log) struct View {
    pub(in crate::log) positions: Positions,
    pub(in crate::log) sealed: Vec<SealedSegment>,
    pub(in crate::log) active: Option<Arc<Segment>>,
    pub(in crate::log) epochs: Epochs,
    /// What the next sync has to take besides the active `.log`.
    pub(in crate::log) pending: Pending,
    /// The flusher is syncing what it has taken.
    pub(in crate::log) flushing: bool,
    /// An older snapshot, and the newer one that replaces it once the recovery point on disk has reached that.
    pub(in crate::log) obsolete: Option<(Offset, Offset)>,
    /// Why the file of leader epochs could not be written. It is tried again with the next sync.
    pub(in crate::log) epochs_failed: Option<LogError>,
    /// A segment was sealed and synced since the recovery point was written.
    pub(in crate::log) rolled: bool,
    /// Somebody was asked to roll the active segment ahead of need.
    pub(in crate::log) roll_asked: bool,
    /// Why this partition takes no appends, or does not even read.
    pub(in crate::log) trouble: Option<LogError>,
}

/// Files and names that were changed since the last sync.
#[derive(Debug, Default)]
pub(in crate::log) struct Pending {
    pub(in crate::log) files: Vec<SharedFile>,
    /// To be written first: producers as they were before an offset.
    pub(in crate::log) snapshots: Vec<(Offset, Vec<u8>)>,
    pub(in crate::log) dir: bool,
    /// A segment was sealed: its recovery point is to be written soon.
    pub(in crate::log) sealed: bool,
    /// The file of leader epochs lacks an entry: the recovery point waits for it (rule 5).
    pub(in crate::log) epochs: bool,
}

/// The work on a partition's segments.
#[derive(Debug, Default)]
pub(in crate::log) struct UpkeepState {
    /// A compaction failed half way. The next start finishes or removes its files.
    pub(in crate::log) failed: bool,
}

impl View {
    /// `Err` when nothing may be read either.
    pub(in crate::log) fn readable(&self) -> Result<(), LogError> {
        match &self.trouble {
            Some(error @ (LogError::Deleted { .. } | LogError::Offline { .. } | LogError::Panicked { .. })) => {
                Err(error.clone())
            }
            _ => Ok(()),
        }
    }
}
