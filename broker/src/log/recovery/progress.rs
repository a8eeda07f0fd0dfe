//! What recovery works with: what is known of a log before, what is carried from one segment to the next, and what comes
//! of it. Plain data; the steps are in the files beside this one.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use crate::clock::SharedClock;
use crate::ids::{Offset, TimestampMs, TopicPartition};
use crate::log::error::{LogError, Offline};
use crate::log::io::Disk;
use crate::log::layout::{LEADER_EPOCHS, SegmentFile, segment_file};
use crate::log::positions::Mark;
use crate::log::sync::checkpoint;
use crate::log::write::epochs::Epochs;
use crate::log::write::producers::Producers;
use crate::log::write::segment::{ActiveSegment, SealedSegment};
use crate::record::{BatchHeader, TimestampType};

/// What recovery took out of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutReport {
    /// Of which partition; set by the log directory.
    pub(crate) partition: Option<TopicPartition>,
    /// The first offset that is not there any more.
    pub(crate) offset: Offset,
    /// How many bytes were cut.
    pub(crate) bytes: u64,
    /// Where they are kept.
    pub(crate) kept: PathBuf,
}

/// What is to be recovered, and what is known of it.
#[derive(Debug)]
pub(in crate::log) struct Recovery<'a> {
    pub(in crate::log) disk: &'a dyn Disk,
    pub(in crate::log) name: &'a TopicPartition,
    pub(in crate::log) dir: &'a Path,
    /// Everything below was synced once: damage there is corruption.
    pub(in crate::log) trusted: Offset,
    /// What is below was removed, if perhaps not yet from the disk.
    pub(in crate::log) log_start: Offset,
    /// The last stop left its marker: what is on disk is all there was.
    pub(in crate::log) clean: bool,
    pub(in crate::log) index_interval: u64,
    /// The topic's records carry the broker's time.
    pub(in crate::log) append_times: bool,
    pub(in crate::log) clock: &'a SharedClock,
    /// Something on disk was changed: the directory is to be synced.
    pub(in crate::log) changed: Cell<bool>,
}

/// A recovered log.
#[derive(Debug)]
pub(in crate::log) struct Recovered {
    pub(in crate::log) log_start: Offset,
    pub(in crate::log) end: Mark,
    pub(in crate::log) sealed: Vec<SealedSegment>,
    /// `None` when the log is damaged and therefore read-only.
    pub(in crate::log) active: Option<ActiveSegment>,
    pub(in crate::log) epochs: Epochs,
    pub(in crate::log) producers: Producers,
    pub(in crate::log) last_append_time: Option<TimestampMs>,
    /// The newest snapshot on disk.
    pub(in crate::log) snapshot_at: Option<Offset>,
    /// On a full disk: the recovery point may not pass this until the indexes are written.
    pub(in crate::log) unindexed_from: Option<Offset>,
    pub(in crate::log) cuts: Vec<CutReport>,
    pub(in crate::log) damage: Option<LogError>,
}

/// What is carried from one segment to the next.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub(super) end: Offset,
    pub(super) producers: Producers,
    /// The snapshot that `producers` began with: batches below it are in there.
    pub(super) snapshot_at: Option<Offset>,
    pub(super) epochs: Epochs,
    pub(super) last_append_time: Option<TimestampMs>,
}

impl Recovery<'_> {
    /// Whether there is a file of epochs, and what it says if it is one.
    pub(super) fn stored_epochs(&self) -> Result<(bool, Option<Epochs>), LogError> {
        let text = checkpoint::read_text(self.disk, &self.dir.join(LEADER_EPOCHS))?;
        Ok((text.is_some(), text.as_deref().and_then(Epochs::parse)))
    }

    pub(super) fn path(&self, base: Offset, file: SegmentFile) -> PathBuf {
        self.dir.join(segment_file(base, file))
    }

    pub(super) fn no_segment(&self) -> LogError {
        let why = Offline::NoSegment { dir: self.dir.to_path_buf() };
        LogError::Offline { partition: self.name.to_string(), why }
    }
}

impl Replayed {
    pub(super) fn add(&mut self, header: &BatchHeader, now: TimestampMs) {
        let append_time = (header.timestamp_type == TimestampType::LogAppendTime).then_some(header.max_timestamp);
        self.end = header.next_offset();
        if self.snapshot_at.is_none_or(|at| header.base_offset >= at) {
            self.producers.record(header, append_time, now);
        }
        self.last_append_time = append_time.or(self.last_append_time);
        self.epochs.begin(header.leader_epoch, header.base_offset);
    }
}

impl Recovered {
    pub(super) fn of(log_start: Offset, end: Mark, mut replayed: Replayed) -> Recovered {
        replayed.epochs.cut_start(log_start);
        Recovered {
            log_start,
            end,
            sealed: Vec::new(),
            active: None,
            epochs: replayed.epochs,
            producers: replayed.producers,
            last_append_time: replayed.last_append_time,
            snapshot_at: replayed.snapshot_at,
            unindexed_from: None,
            cuts: Vec::new(),
            damage: None,
        }
    }
}
