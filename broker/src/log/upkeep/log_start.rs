//! How a log's start moves (retention, DeleteRecords) and segments below it leave: the new start is durable in
//! `log-start-offset-checkpoint` first, then it is shown, then the segments leave the view, then their files are
//! renamed, and unlinked later. A crash in between leaves files below the start, which the next recovery removes.
//! A read of such a segment goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use crate::ids::{Offset, TimestampMs, TopicPartition};
use crate::log::error::LogError;
use crate::log::layout::{self, SegmentFile, segment_file};
use crate::log::partition::Partition;
use crate::log::state::View;
use crate::log::upkeep::retention::{self, Bounds, Piece, Plan};
use crate::log::write::segment::SealedSegment;

impl Partition {
    /// Where the log is to begin, if that is after its present start.
    pub(in crate::log) fn due_start(&self, now: TimestampMs) -> Option<Offset> {
        let view = self.view();
        let start = self.plan(&view, now)?.log_start;
        if let Err(error) = view.positions.may_begin_at(start) {
            tracing::error!(partition = %self.label(), %error, "nothing is removed");
            return None;
        }
        (start > view.positions.log_start()).then_some(start)
    }

    /// Seals the active segment when its own time has come; the offset that must be settled before it can go.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::log) fn roll_expired(&self, now: TimestampMs) -> Result<Option<Offset>, LogError> {
        let mut writer = self.writer();
        let base = {
            let view = self.view();
            if !self.plan(&view, now).is_some_and(|plan| plan.roll) {
                return Ok(None);
            }
            view.positions.leo().offset
        };
        self.roll(&mut writer, base, now)?;
        drop(writer);
        self.mark_dirty();
        Ok(Some(base))
    }

    /// `None`: nothing may be removed from this log as it is.
    fn plan(&self, view: &View, now: TimestampMs) -> Option<Plan> {
        let config = self.config.load();
        let active = view.active.as_ref()?;
        if view.trouble.is_some() {
            return None;
        }
        let ends = view.sealed.iter().skip(1).map(|next| next.segment.base).chain([active.base]);
        let piece = |(sealed, end): (&SealedSegment, Offset)| Piece {
            end,
            bytes: sealed.size,
            newest: sealed.segment.newest().map(|newest| newest.timestamp),
        };
        let mut pieces: Vec<Piece> = view.sealed.iter().zip(ends).map(piece).collect();
        pieces.push(Piece {
            end: view.positions.leo().offset,
            bytes: if view.positions.leo().segment == active.base { view.positions.leo().position } else { 0 },
            newest: active.newest().map(|newest| newest.timestamp),
        });
        let bounds = Bounds {
            log_start: view.positions.log_start(),
            recovery_point: view.positions.recovery_point(),
            hw: view.positions.hw().offset,
            held: Offset(self.held.load(Ordering::Acquire)),
        };
        Some(retention::plan(&pieces, &config.cleanup, bounds, now))
    }

    /// Returns when the recovery point has reached `until`, which is at most HW.
    ///
    /// # Errors
    /// When that will not happen any more.
    pub(in crate::log) async fn settle(&self, until: Offset) -> Result<(), LogError> {
        let news = Arc::new(Notify::new());
        let _watching = self.watch(&news);
        let mut asked = false;
        loop {
            {
                let mut view = self.view();
                if view.positions.recovery_point() >= until {
                    return Ok(());
                }
                let failed = view.epochs_failed.as_ref().filter(|_| asked);
                if let Some(trouble) = view.trouble.as_ref().or(failed) {
                    return Err(trouble.clone());
                }
                view.positions.want(until);
            }
            // What keeps the recovery point back is an index entry that is in memory only.
            self.write_out_indexes()?;
            self.mark_dirty();
            asked = true;
            news.notified().await;
        }
    }

    /// Returns when everything that waited for a sync, snapshots and names too, has had one.
    ///
    /// # Errors
    /// When that will not happen any more.
    pub(in crate::log) async fn flushed(&self) -> Result<(), LogError> {
        let news = Arc::new(Notify::new());
        let _watching = self.watch(&news);
        loop {
            {
                let view = self.view();
                if let Some(trouble) = &view.trouble {
                    return Err(trouble.clone());
                }
                let pending = &view.pending;
                if !view.flushing && pending.files.is_empty() && pending.snapshots.is_empty() && !pending.dir {
                    return Ok(());
                }
            }
            self.mark_dirty();
            news.notified().await;
        }
    }

    /// The log begins at `start`, which is durable in the checkpoint. The epochs' file keeps older ones until it is
    /// written next: no verb asks for epochs below the log start, and recovery cuts them.
    pub(in crate::log) fn begin_at(&self, start: Offset) {
        let mut view = self.view();
        if view.positions.log_start_moved(start) {
            view.epochs.cut_start(start);
        }
    }

    /// Takes every sealed segment wholly below the log start out of the log (rule 3) and renames its files; returns
    /// them, to be unlinked. Nothing while another thread replaces segments: the next pass finds them.
    /// `point` is the recovery point that is on disk.
    pub(in crate::log) fn drop_below_start(&self, point: Offset) -> Vec<PathBuf> {
        let Some(upkeep) = self.try_upkeep().filter(|upkeep| !upkeep.failed) else { return Vec::new() };
        let (count, first, trusted) = {
            let view = self.view();
            let count = view.below_start();
            let kept = view.sealed.get(count).map(|sealed| &sealed.segment).or(view.active.as_ref());
            let Some(first) = kept.map(|segment| segment.base).filter(|_| count > 0) else { return Vec::new() };
            (count, first, view.positions.log_start().max(point))
        };
        match self.can_begin_at(first, trusted) {
            Ok(true) => {}
            Ok(false) => {
                // For the next pass.
                let mut writer = self.writer();
                let end = self.view().positions.leo().offset;
                self.queue_snapshot(&mut writer, end);
                self.mark_dirty();
                return Vec::new();
            }
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "old segments stay for now");
                return Vec::new();
            }
        }
        let gone: Vec<SealedSegment> = {
            let mut view = self.view();
            let gone = view.sealed.drain(..count).collect();
            view.renew_marks();
            gone
        };
        let renamed = gone.iter().flat_map(|sealed| self.set_aside(sealed)).collect();
        drop(upkeep);
        renamed
    }

    /// What recovery will need when the log begins at `first` is durable: the name of that segment, which may be as new
    /// as the log start; and a snapshot, one that recovery will trust, of the producers whose batches go (rule 19), else
    /// `false`.
    fn can_begin_at(&self, first: Offset, trusted: Offset) -> std::io::Result<bool> {
        let names = self.around.disk.list(&self.dir)?;
        let snapshots = names.iter().filter_map(|entry| layout::parse_segment_file(&entry.name));
        let usable = |at: &Offset| (first..=trusted).contains(at);
        let newest =
            snapshots.filter(|(_, file)| *file == SegmentFile::Snapshot).map(|(at, _)| at).filter(usable).max();
        let Some(newest) = newest else { return Ok(false) };
        self.around.disk.open(&self.dir.join(segment_file(newest, SegmentFile::Snapshot)))?.sync_data()?;
        self.around.disk.sync_dir(&self.dir)?;
        Ok(true)
    }

    /// Renames the files of a segment that is out of the view.
    pub(in crate::log) fn set_aside(&self, sealed: &SealedSegment) -> Vec<PathBuf> {
        let mut renamed = Vec::with_capacity(4);
        // Nobody else finds it any more; who has it looks things up in files of these names.
        if Arc::strong_count(&sealed.segment) > 1
            && let Err(error) = sealed.segment.hold_indexes(&self.around.indexes)
        {
            tracing::warn!(dir = %self.dir.display(), %error, "a removed segment's files stay until the next start");
            return renamed;
        }
        // The `.log` last: indexes without one are removed at the next start, a `.log` without indexes is read.
        for file in [SegmentFile::Snapshot, SegmentFile::TimeIndex, SegmentFile::Index, SegmentFile::Log] {
            let from = self.dir.join(segment_file(sealed.segment.base, file));
            let to = layout::deleted_file(&from);
            match self.around.disk.rename(&from, &to) {
                Ok(()) => renamed.push(to),
                // Not every segment has all of them, and the topic may have been deleted meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(file = %from.display(), %error, "a removed segment's file stays until the next start");
                }
            }
        }
        renamed
    }

    /// Who it is, if its log start may still be written.
    pub(in crate::log) fn name_if_usable(&self) -> Option<TopicPartition> {
        self.usable().is_ok().then(|| self.ident().name())
    }
}

impl View {
    /// How many sealed segments are wholly below log start and recovery point. Only with `upkeep` held does it last.
    pub(in crate::log) fn below_start(&self) -> usize {
        let Some(active) = self.active.as_ref().filter(|_| self.trouble.is_none()) else { return 0 };
        let until = self.positions.log_start().min(self.positions.recovery_point());
        let ends = self.sealed.iter().skip(1).map(|next| next.segment.base).chain([active.base]);
        self.sealed.iter().zip(ends).take_while(|(_, end)| *end <= until).count()
    }

    /// A mark at the end of a segment that is not there any more is the start of the one behind it.
    pub(in crate::log) fn renew_marks(&mut self) {
        let first = self.sealed.first().map(|sealed| sealed.segment.base);
        let Some(first) = first.or(self.active.as_ref().map(|active| active.base)) else { return };
        self.positions.segments_removed(first);
    }
}
