//! Opens a log that is there: walks every batch (producers and epochs are rebuilt from headers), verifies and rewrites
//! what lies above the recovery point (rules 9 and 14), cuts the torn tail and keeps its bytes (rule 10), rebuilds
//! indexes that disagree. Repeats itself after a crash in any place: nothing is removed before it is kept elsewhere.

mod indexes;
mod tail;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint;
use super::epochs::Epochs;
use super::error::LogError;
use super::index;
use super::io::{Disk, SharedFile};
use super::layout::{LEADER_EPOCHS, SegmentFile, parse_segment_file, segment_file};
use super::partition::Mark;
use super::producers::Producers;
use super::scan::{HeaderScan, ScanStop, read_bytes};
use super::segment::{ActiveSegment, Indexed, SealedSegment, Segment};
use crate::ids::{Offset, TimestampMs};
use crate::record::{BatchHeader, TimestampType, check_stored};
use indexes::IndexFiles;

pub use tail::CutReport;

/// Headers of small batches that are read at once.
const LOOK_AHEAD_BYTES: usize = 64 * 1_024;

/// What is to be recovered, and what is known of it.
#[derive(Debug)]
pub(super) struct Recovery<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: &'a Path,
    /// Everything below was synced once: damage there is corruption.
    pub(super) trusted: Offset,
    pub(super) index_interval: u64,
    pub(super) now: TimestampMs,
}

/// A recovered log.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) log_start: Offset,
    pub(super) end: Mark,
    pub(super) sealed: Vec<SealedSegment>,
    /// `None` when the log is damaged and therefore read-only.
    pub(super) active: Option<ActiveSegment>,
    pub(super) epochs: Epochs,
    pub(super) producers: Producers,
    pub(super) last_append_time: Option<TimestampMs>,
    pub(super) cuts: Vec<CutReport>,
    pub(super) damage: Option<LogError>,
}

/// What is carried from one segment to the next.
#[derive(Debug, Default)]
struct Replayed {
    end: Offset,
    producers: Producers,
    epochs: Epochs,
    last_append_time: Option<TimestampMs>,
}

/// One segment as it was found.
#[derive(Debug)]
struct Walked {
    base: Offset,
    log: SharedFile,
    /// Bytes that are whole batches.
    size: u64,
    /// Bytes in the file.
    len: u64,
    indexed: Indexed,
    files: IndexFiles,
    first_timestamp: Option<TimestampMs>,
    /// Why the walk ended before the file did.
    bad: Option<String>,
    above_trusted: bool,
}

impl Recovery<'_> {
    /// # Errors
    /// `Io`; `Offline` when there is no segment at all (rule 17: never a new empty log).
    pub(super) fn run(&self) -> Result<Recovered, LogError> {
        let names = self.disk.list(self.dir).map_err(|error| LogError::io("cannot list", self.dir, error))?;
        let mut bases: Vec<Offset> = names
            .iter()
            .filter_map(|entry| parse_segment_file(&entry.name))
            .filter_map(|(base, file)| (file == SegmentFile::Log).then_some(base))
            .collect();
        bases.sort_unstable();
        let Some(log_start) = bases.first().copied() else {
            return Err(self.no_segment());
        };
        let mut replayed = Replayed { end: log_start, ..Replayed::default() };
        let (mut walked, mut broken) = (Vec::new(), None);
        for (at, base) in bases.iter().enumerate() {
            if *base != replayed.end {
                // A segment between the two never reached the disk (or is lost).
                broken = Some(format!("the segment that should follow begins at {base}"));
                break;
            }
            let mut segment = self.walk(*base, bases.get(at + 1).copied(), &mut replayed)?;
            let bad = segment.bad.take();
            walked.push(segment);
            if bad.is_some() {
                broken = bad;
                break;
            }
        }
        if broken.is_none() && replayed.end < self.trusted {
            broken = Some(format!("the log ends at offset {}", replayed.end));
        }
        match broken {
            Some(reason) if replayed.end < self.trusted => Ok(self.damaged(log_start, walked, replayed, &reason)),
            _ => self.repair(log_start, &names, &bases, walked, replayed),
        }
    }

    /// Walks one segment from its start; verifies, and rewrites, what is above the recovery point.
    fn walk(&self, base: Offset, next_base: Option<Offset>, replayed: &mut Replayed) -> Result<Walked, LogError> {
        let path = self.path(base, SegmentFile::Log);
        let failed = |error| LogError::io("cannot read", &path, error);
        let log = self.disk.open(&path).map_err(failed)?;
        let len = log.len().map_err(failed)?;
        let mut files = IndexFiles::load(self.disk, self.dir, base)?;
        let mut walked = Walked {
            base,
            log: Arc::clone(&log),
            size: 0,
            len,
            indexed: Indexed::default(),
            files: IndexFiles::default(),
            first_timestamp: None,
            bad: None,
            above_trusted: false,
        };
        if next_base.is_none_or(|next| next > self.trusted) {
            // A write-back that failed before the restart is reported once to whoever syncs next. Not to the sync that
            // counts: everything that may be lost is written again after this one.
            let _ = log.sync_data();
        }
        let mut scan = HeaderScan::new(&*log, 0, len, LOOK_AHEAD_BYTES);
        walked.bad = loop {
            let found = match scan.next() {
                Ok(Some(found)) => found,
                Ok(None) => break None,
                Err(ScanStop::Bad { reason, .. }) => break Some(reason),
                Err(ScanStop::Io(error)) => return Err(failed(error)),
            };
            let header = &found.header;
            let beyond = next_base.is_some_and(|next| header.last_offset() >= next)
                || index::relative(base, header.last_offset()).is_none();
            let verify = header.next_offset() > self.trusted;
            // No CRC covers the base offset. Only compaction makes holes, and only below the recovery point (rule 3).
            let hole = verify && header.base_offset > replayed.end;
            if header.base_offset < replayed.end || hole || beyond {
                let (base, last) = (header.base_offset, header.last_offset());
                break Some(format!("a batch with offsets {base}..={last} where {} is next", replayed.end));
            }
            if verify {
                walked.above_trusted = true;
                if let Err(reason) = self.verify(&log, found.position, header.size).map_err(failed)? {
                    break Some(reason);
                }
            }
            if walked.first_timestamp.is_none() && header.max_timestamp.0 >= 0 {
                walked.first_timestamp = Some(header.max_timestamp);
            }
            walked.indexed.add(base, header, found.position, self.index_interval);
            files.check(base, header, found.position, walked.indexed.newest);
            walked.size = found.position + header.size as u64;
            replayed.add(header, self.now);
        };
        walked.files = files;
        Ok(walked)
    }

    /// The inner error: the batch is bad. Rule 9: after a failed fsync the page cache shows bytes that the disk never
    /// got and that no sync will write; written again, they are dirty again. Where HW does not wait for syncs too: the
    /// recovery point must not claim such bytes either, or their loss would pass for damage.
    fn verify(&self, log: &SharedFile, position: u64, size: usize) -> io::Result<Result<(), String>> {
        let bytes = read_bytes(&**log, position, size)?;
        if let Err(error) = check_stored(bytes.clone()) {
            return Ok(Err(error.to_string()));
        }
        log.write_at(&bytes, &[], position)?;
        Ok(Ok(()))
    }

    /// Rule 10: damage below the recovery point. Nothing on disk is touched; readable up to the damage.
    fn damaged(&self, log_start: Offset, walked: Vec<Walked>, replayed: Replayed, reason: &str) -> Recovered {
        let (base, position) = walked.last().map_or((log_start, 0), |last| (last.base, last.size));
        let damage = LogError::Corrupt {
            path: self.path(base, SegmentFile::Log),
            position,
            reason: format!("{reason}, and everything below offset {} was durable", self.trusted),
        };
        let sealed = walked
            .into_iter()
            .map(|segment| SealedSegment {
                segment: Arc::new(Segment::in_memory(self.dir, segment.base, segment.log, segment.indexed)),
                size: segment.size,
            })
            .collect();
        let end = Mark { offset: replayed.end, segment: base, position };
        Recovered { sealed, damage: Some(damage), ..Recovered::of(log_start, end, replayed) }
    }

    /// Cuts what is torn, completes what is missing, and syncs all of it.
    fn repair(
        &self,
        log_start: Offset,
        names: &[super::io::DirEntry],
        bases: &[Offset],
        mut walked: Vec<Walked>,
        mut replayed: Replayed,
    ) -> Result<Recovered, LogError> {
        let mut cuts = Vec::new();
        if let Some(last) = walked.last() {
            cuts.extend(self.cut_tail(last, replayed.end)?);
        }
        for base in &bases[walked.len()..] {
            cuts.extend(self.cut_segment(*base)?);
        }
        self.remove_leftovers(names, &bases[..walked.len()])?;
        let touched: Vec<SharedFile> =
            walked.iter().filter(|segment| segment.above_trusted).map(|segment| Arc::clone(&segment.log)).collect();
        let Some(mut last) = walked.pop() else { return Err(self.no_segment()) };
        let mut sealed = Vec::with_capacity(walked.len());
        for mut segment in walked {
            segment.indexed.add_newest(segment.base);
            let entries = segment.files.complete(self.disk, &segment.indexed)?;
            sealed.push(SealedSegment::of_files(self.dir, segment.base, segment.log, segment.size, &entries));
        }
        let files = last.files.exactly(self.disk, &last.indexed)?;
        self.recover_epochs(&mut replayed)?;
        for log in touched {
            log.sync_data().map_err(|error| LogError::io("cannot sync a log in", self.dir, error))?;
        }
        self.disk.sync_dir(self.dir).map_err(|error| LogError::io("cannot sync", self.dir, error))?;
        let segment = Segment::in_memory(self.dir, last.base, last.log, std::mem::take(&mut last.indexed));
        let end = Mark { offset: replayed.end, segment: last.base, position: last.size };
        let active = ActiveSegment::reopen(segment, files, last.size, last.first_timestamp, self.now);
        Ok(Recovered { sealed, active: Some(active), cuts, ..Recovered::of(log_start, end, replayed) })
    }

    /// The file's entries up to the end of the log, completed by what the batches say.
    fn recover_epochs(&self, replayed: &mut Replayed) -> Result<(), LogError> {
        let text = checkpoint::read_text(self.disk, &self.dir.join(LEADER_EPOCHS))?;
        let stored = text.as_deref().and_then(Epochs::parse);
        let mut epochs = stored.clone().unwrap_or_default();
        epochs.cut(replayed.end);
        // With every batch at hand, what they say is complete; the file may know epochs of which no batch is left.
        if epochs.last() != replayed.epochs.last() {
            epochs = std::mem::take(&mut replayed.epochs);
        }
        if stored.as_ref() != Some(&epochs) && (text.is_some() || epochs.last().is_some()) {
            checkpoint::replace(self.disk, &self.dir.join(LEADER_EPOCHS), &epochs.text())?;
        }
        replayed.epochs = epochs;
        Ok(())
    }

    fn path(&self, base: Offset, file: SegmentFile) -> PathBuf {
        self.dir.join(segment_file(base, file))
    }

    fn no_segment(&self) -> LogError {
        let reason = format!("{} holds no segment", self.dir.display());
        LogError::Offline { partition: String::new(), reason }
    }
}

impl Replayed {
    fn add(&mut self, header: &BatchHeader, now: TimestampMs) {
        let append_time = (header.timestamp_type == TimestampType::LogAppendTime).then_some(header.max_timestamp);
        self.end = header.next_offset();
        self.producers.record(header, append_time, now);
        self.last_append_time = append_time.or(self.last_append_time);
        self.epochs.begin(header.leader_epoch, header.base_offset);
    }
}

impl Recovered {
    fn of(log_start: Offset, end: Mark, replayed: Replayed) -> Recovered {
        Recovered {
            log_start,
            end,
            sealed: Vec::new(),
            active: None,
            epochs: replayed.epochs,
            producers: replayed.producers,
            last_append_time: replayed.last_append_time,
            cuts: Vec::new(),
            damage: None,
        }
    }
}
