//! The order of recovery's steps: finish swaps, skip what is vouched for, walk the rest, then damage or repair.

use std::sync::Arc;

use super::progress::{Recovered, Recovery, Replayed};
use super::walk::Walked;
use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::io::{DirEntry, SharedFile};
use crate::log::layout::{LEADER_EPOCHS, SegmentFile, parse_segment_file};
use crate::log::positions::Mark;
use crate::log::sync::checkpoint;
use crate::log::write::segment::{ActiveSegment, SealedSegment, Segment};

impl Recovery<'_> {
    /// # Errors
    /// `Io`; `Offline` when there is no segment at all (rule 17: never a new empty log).
    pub(in crate::log) fn run(&self) -> Result<Recovered, LogError> {
        let mut names = self.names()?;
        if self.finish_swaps(&names)? {
            names = self.names()?;
        }
        let mut bases: Vec<Offset> = names
            .iter()
            .filter_map(|entry| parse_segment_file(&entry.name))
            .filter_map(|(base, file)| (file == SegmentFile::Log).then_some(base))
            .collect();
        bases.sort_unstable();
        // Segments wholly below the log start were being removed; any of them may be missing.
        bases.drain(..bases.partition_point(|base| *base <= self.log_start).saturating_sub(1));
        let Some(first) = bases.first().copied() else {
            return Err(self.no_segment());
        };
        let log_start = first.max(self.log_start);
        let (skipped, mut replayed) = self.skip(&names, &bases)?;
        if let Some(recovered) = self.reopen(log_start, &skipped, &bases, &mut replayed)? {
            self.remove_removed(&names, first)?;
            return Ok(recovered);
        }
        let (walked, broken) = self.walk_all(&bases[skipped.len()..], &mut replayed)?;
        match broken {
            Some(reason) if replayed.end < self.trusted => {
                Ok(self.damaged(log_start, skipped, walked, replayed, &reason))
            }
            _ => {
                // Not before the end is known: a log start behind it is damage too, and what it says goes is not to go.
                self.remove_removed(&names, first)?;
                self.repair(log_start, &names, &bases, skipped, walked, replayed)
            }
        }
    }

    fn names(&self) -> Result<Vec<DirEntry>, LogError> {
        self.disk.list(self.dir).map_err(|error| LogError::io("cannot list", self.dir, error))
    }

    /// The segments in order, until one does not go on; with the reason.
    fn walk_all(&self, bases: &[Offset], replayed: &mut Replayed) -> Result<(Vec<Walked>, Option<String>), LogError> {
        let mut walked = Vec::new();
        for (at, base) in bases.iter().enumerate() {
            // Segments always join: compaction leaves the end of each. One between the two never reached the disk, or was
            // lost, or the end of the one before was; the recovery point says which.
            if *base != replayed.end {
                let reason = format!("the segment that follows begins at offset {base}, and {} is next", replayed.end);
                return Ok((walked, Some(reason)));
            }
            let mut segment = self.walk(*base, bases.get(at + 1).copied(), replayed)?;
            let bad = segment.bad.take();
            walked.push(segment);
            if bad.is_some() {
                return Ok((walked, bad));
            }
        }
        let short = replayed.end < self.trusted;
        Ok((walked, short.then(|| format!("the log ends at offset {}", replayed.end))))
    }

    /// Rule 10: damage below the recovery point. Nothing on disk is touched; readable up to the damage.
    fn damaged(
        &self,
        log_start: Offset,
        mut sealed: Vec<SealedSegment>,
        walked: Vec<Walked>,
        replayed: Replayed,
        reason: &str,
    ) -> Recovered {
        let log_start = log_start.min(replayed.end);
        let before = sealed.last().map_or((log_start, 0), |last| (last.segment.base, last.size));
        let (base, position) = walked.last().map_or(before, |last| (last.base, last.size));
        let damage = LogError::Corrupt {
            path: self.path(base, SegmentFile::Log),
            position,
            reason: format!("{reason}, and everything below offset {} was durable", self.trusted),
        };
        sealed.extend(walked.into_iter().map(|segment| SealedSegment {
            segment: Arc::new(Segment::in_memory(self.dir, segment.base, segment.log, segment.indexed)),
            size: segment.size,
        }));
        let end = Mark { offset: replayed.end, segment: base, position };
        Recovered { sealed, damage: Some(damage), ..Recovered::of(log_start, end, replayed) }
    }

    /// Cuts what is torn, completes what is missing, and syncs all of it.
    fn repair(
        &self,
        log_start: Offset,
        names: &[DirEntry],
        bases: &[Offset],
        mut sealed: Vec<SealedSegment>,
        mut walked: Vec<Walked>,
        mut replayed: Replayed,
    ) -> Result<Recovered, LogError> {
        let mut cuts = Vec::new();
        if let Some(last) = walked.last() {
            cuts.extend(self.cut_tail(last, replayed.end)?);
        }
        let kept = sealed.len() + walked.len();
        for base in &bases[kept..] {
            cuts.extend(self.cut_segment(*base)?);
        }
        self.remove_leftovers(names, &bases[..kept], &replayed)?;
        let touched: Vec<SharedFile> =
            walked.iter().filter(|segment| segment.above_trusted).map(|segment| Arc::clone(&segment.log)).collect();
        let Some(mut last) = walked.pop() else { return Err(self.no_segment()) };
        for mut segment in walked {
            segment.indexed.add_newest(segment.base);
            let entries = segment.files.complete(self, &segment.indexed)?;
            sealed.push(SealedSegment::of_files(self.dir, segment.base, segment.log, segment.size, entries.lengths()));
        }
        let files = last.files.exactly(self, &last.indexed)?;
        let unindexed_from = (!files.written).then(|| self.trusted.clamp(log_start, replayed.end));
        self.recover_epochs(&mut replayed)?;
        for log in touched {
            log.sync_data().map_err(|error| LogError::io("cannot sync a log in", self.dir, error))?;
        }
        // After a crash the names themselves may be in the page cache only.
        if self.changed.get() || !self.clean {
            self.disk.sync_dir(self.dir).map_err(|error| LogError::io("cannot sync", self.dir, error))?;
        }
        let segment = Segment::in_memory(self.dir, last.base, last.log, std::mem::take(&mut last.indexed));
        let end = Mark { offset: replayed.end, segment: last.base, position: last.size };
        let now = self.clock.wall();
        let active = ActiveSegment::reopen(segment, files, last.size, last.first_timestamp, now);
        Ok(Recovered { sealed, active: Some(active), cuts, unindexed_from, ..Recovered::of(log_start, end, replayed) })
    }

    /// The file's entries up to the end of the log, completed by what the batches say.
    fn recover_epochs(&self, replayed: &mut Replayed) -> Result<(), LogError> {
        let (text, stored) = self.stored_epochs()?;
        let mut epochs = stored.clone().unwrap_or_default();
        epochs.cut(replayed.end);
        // What the batches said is complete; the file may know epochs of which no batch is left.
        if epochs.last() != replayed.epochs.last() {
            epochs = std::mem::take(&mut replayed.epochs);
        }
        if stored.as_ref() != Some(&epochs) && (text || epochs.last().is_some()) {
            checkpoint::replace(self.disk, &self.dir.join(LEADER_EPOCHS), &epochs.text())?;
            self.changed.set(true);
        }
        replayed.epochs = epochs;
        Ok(())
    }
}
