//! What need not be walked: segments wholly below a producer snapshot and the recovery point, whose index files agree
//! with the end of their logs; after a clean stop the last segment too. Reads a few hundred bytes a segment, so that a
//! start does not read whole logs. Where anything looks odd the answer is to walk: nothing here is ever an error of its
//! own, and nothing on disk is changed.

use std::io;
use std::path::Path;

use super::progress::{Recovered, Recovery, Replayed};
use crate::ids::{Offset, TimestampMs};
use crate::log::error::LogError;
use crate::log::index::offset_index;
use crate::log::index::time_index::{self, Newest, TimeEntry};
use crate::log::io::{DirEntry, DiskFile, SharedFile};
use crate::log::layout::{SegmentFile, parse_segment_file};
use crate::log::positions::Mark;
use crate::log::read::scan::{HeaderScan, ScanStop};
use crate::log::write::producer_snapshot::{self, SnapshotEntry};
use crate::log::write::producers::Producers;
use crate::log::write::segment::{
    ActiveFiles, ActiveSegment, IndexLengths, Indexed, SEGMENT_BYTES_MAX, SealedSegment, Segment,
};
use crate::record::{BatchHeader, TimestampType};

/// Bytes of a log that are read at once behind its last index entry.
const TAIL_BYTES: usize = 8 * 1_024;
/// A snapshot larger than this is none of ours: some 200,000 producers with five batches each.
const SNAPSHOT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The batches behind the last index entry of a segment.
#[derive(Debug, Default)]
struct Tail {
    last: Option<BatchHeader>,
    newest: Option<Newest>,
}

impl Recovery<'_> {
    /// The segments from the first on that are taken as they are, and where the walk goes on.
    pub(super) fn skip(
        &self,
        names: &[DirEntry],
        bases: &[Offset],
    ) -> Result<(Vec<SealedSegment>, Replayed), LogError> {
        let first = bases.first().copied().unwrap_or_default();
        let Some((at, entries)) = self.newest_snapshot(names) else {
            return Ok((Vec::new(), Replayed { end: first, ..Replayed::default() }));
        };
        let producers = Producers::of_entries(&entries, self.append_times);
        // The batches of some producers were removed with their segments: only the snapshot knows these.
        let everything = |producers| Replayed { end: first, producers, snapshot_at: Some(at), ..Replayed::default() };
        let (_, Some(mut epochs)) = self.stored_epochs()? else { return Ok((Vec::new(), everything(producers))) };
        let below = bases.partition_point(|base| *base <= at).saturating_sub(1);
        let mut skipped = Vec::with_capacity(below);
        let mut last_append_time = None;
        for (base, next) in bases.iter().zip(&bases[1..]).take(below) {
            match self.glance(*base, *next) {
                Ok(Some((segment, tail))) => {
                    last_append_time = append_time(&tail).or(last_append_time);
                    skipped.push(segment);
                }
                // Its producers are in the snapshot, but its indexes are not to be trusted: walk everything.
                Ok(None) | Err(_) => return Ok((Vec::new(), everything(producers))),
            }
        }
        let end = bases.get(below).copied().unwrap_or(first);
        epochs.cut(end);
        Ok((skipped, Replayed { end, producers, snapshot_at: Some(at), epochs, last_append_time }))
    }

    /// The newest snapshot at or below the recovery point that can be read. One above may describe what was cut.
    fn newest_snapshot(&self, names: &[DirEntry]) -> Option<(Offset, Vec<SnapshotEntry>)> {
        let mut offsets: Vec<Offset> = snapshots(names).filter(|at| *at <= self.trusted).collect();
        offsets.sort_unstable();
        offsets.into_iter().rev().find_map(|at| {
            let bytes = self.small(&self.path(at, SegmentFile::Snapshot), SNAPSHOT_BYTES_MAX).ok()?;
            Some((at, producer_snapshot::decode(&bytes).ok()?))
        })
    }

    /// A sealed segment, if its index files are whole and lead to the end of its log.
    fn glance(&self, base: Offset, next: Offset) -> io::Result<Option<(SealedSegment, Tail)>> {
        let log = self.disk.open(&self.path(base, SegmentFile::Log))?;
        let size = log.len()?;
        let offsets = self.disk.open(&self.path(base, SegmentFile::Index))?;
        let times = self.disk.open(&self.path(base, SegmentFile::TimeIndex))?;
        let (Some(offset_count), Some(time_count)) =
            (count::<{ offset_index::ENTRY_BYTES }>(&*offsets)?, count::<{ time_index::ENTRY_BYTES }>(&*times)?)
        else {
            return Ok(None);
        };
        let entry = last_of(&*offsets, offset_count)?.map(offset_index::IndexEntry::decode);
        let time = last_of(&*times, time_count)?.map(|bytes| TimeEntry::decode(bytes).absolute(base));
        let from = entry.map_or(0, |entry| u64::from(entry.position));
        let Some(tail) = tail(&log, from, size)? else { return Ok(None) };
        let ends_right = tail.last.as_ref().is_some_and(|last| last.next_offset() == next && last.base_offset >= base);
        // The last time entry of a sealed segment is its largest.
        let newest_known = tail.newest.is_none_or(|newest| time.is_some_and(|time| time.timestamp >= newest.timestamp));
        if !ends_right || !newest_known {
            return Ok(None);
        }
        let lengths = IndexLengths { offsets: offset_count, times: time_count, newest: time };
        Ok(Some((SealedSegment::of_files(self.dir, base, log, size, lengths), tail)))
    }

    /// After a clean stop, with a snapshot of its very end, the last segment is as its index files say.
    pub(super) fn reopen(
        &self,
        log_start: Offset,
        skipped: &[SealedSegment],
        bases: &[Offset],
        replayed: &mut Replayed,
    ) -> Result<Option<Recovered>, LogError> {
        let [base] = bases[skipped.len()..] else { return Ok(None) };
        let empty = base == self.trusted && replayed.end == base;
        if !self.clean || (replayed.snapshot_at != Some(self.trusted) && !(empty && self.trusted == Offset::ZERO)) {
            return Ok(None);
        }
        // A log that begins after its end, or anything else that does not fit, is for the walk to report.
        if log_start > self.trusted {
            return Ok(None);
        }
        let Ok(Some((active, tail))) = self.glance_at_active(base) else { return Ok(None) };
        let end = Mark { offset: self.trusted, segment: base, position: active.size() };
        // Epochs were cut at the segment's base for the walk that is not needed now.
        let (_, stored) = self.stored_epochs()?;
        if stored.is_none() && self.trusted > Offset::ZERO {
            return Ok(None);
        }
        let mut epochs = stored.unwrap_or_default();
        epochs.cut(self.trusted);
        let replayed = Replayed {
            end: self.trusted,
            epochs,
            last_append_time: append_time(&tail).or(replayed.last_append_time),
            ..std::mem::take(replayed)
        };
        let sealed = skipped.to_vec();
        Ok(Some(Recovered { sealed, active: Some(active), ..Recovered::of(log_start, end, replayed) }))
    }

    fn glance_at_active(&self, base: Offset) -> io::Result<Option<(ActiveSegment, Tail)>> {
        let log = self.disk.open(&self.path(base, SegmentFile::Log))?;
        let size = log.len()?;
        let (index_path, times_path) = (self.path(base, SegmentFile::Index), self.path(base, SegmentFile::TimeIndex));
        let (offsets, times) =
            (self.small(&index_path, SEGMENT_BYTES_MAX)?, self.small(&times_path, SEGMENT_BYTES_MAX)?);
        let (Some(offsets), Some(times)) = (offset_index::decode_all(&offsets), time_index::decode_all(&times)) else {
            return Ok(None);
        };
        let from = offsets.last().map_or(0, |entry| u64::from(entry.position));
        let Some(tail) = tail(&log, from, size)? else { return Ok(None) };
        let ends = tail.last.as_ref().map_or(base, BatchHeader::next_offset);
        if ends != self.trusted {
            return Ok(None);
        }
        let before = times.last().map(|entry| entry.absolute(base));
        let newest = match (before, tail.newest) {
            (Some(before), Some(newest)) => Newest::or(Some(before), newest.timestamp, newest.last_offset),
            (before, newest) => before.or(newest),
        };
        let first_timestamp = match HeaderScan::new(&*log, 0, size, offset_index::ENTRY_BYTES).next() {
            Ok(first) => first.map(|first| first.header.max_timestamp).filter(|time| time.0 >= 0),
            Err(_) => return Ok(None),
        };
        let last_time = times.last().map(|entry| entry.timestamp);
        let indexed = Indexed { offsets, times, newest, last_time, unindexed_bytes: size - from };
        let (index, time_index) = (self.disk.open(&index_path)?, self.disk.open(&times_path)?);
        let files = ActiveFiles { index, time_index, written: true };
        let segment = Segment::in_memory(self.dir, base, log, indexed);
        let active = ActiveSegment::reopen(segment, files, size, first_timestamp, self.clock.wall());
        Ok(Some((active, tail)))
    }

    fn small(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let file = self.disk.open(path)?;
        let len = file.len()?;
        if len > bytes_max {
            return Err(io::Error::other("too large for such a file"));
        }
        let mut bytes = Vec::new();
        file.read_at(&mut bytes, usize::try_from(len).unwrap_or(0), 0)?;
        Ok(bytes)
    }
}

/// The offsets of which there are snapshots.
pub(super) fn snapshots(names: &[DirEntry]) -> impl Iterator<Item = Offset> {
    let parsed = names.iter().filter_map(|entry| parse_segment_file(&entry.name));
    parsed.filter_map(|(at, file)| (file == SegmentFile::Snapshot).then_some(at))
}

/// Entries of `N` bytes in an index file; `None` when it is no index.
fn count<const N: usize>(file: &dyn DiskFile) -> io::Result<Option<usize>> {
    let len = file.len()?;
    let whole = len <= SEGMENT_BYTES_MAX && len % N as u64 == 0;
    Ok(whole.then(|| usize::try_from(len).unwrap_or(0) / N))
}

fn last_of<const N: usize>(file: &dyn DiskFile, count: usize) -> io::Result<Option<[u8; N]>> {
    let Some(last) = count.checked_sub(1) else { return Ok(None) };
    let mut bytes = Vec::with_capacity(N);
    file.read_at(&mut bytes, N, (last * N) as u64)?;
    Ok(bytes.try_into().ok())
}

/// The batches from `from` to the end of the log; `None` when they do not end where the file does, or go back.
fn tail(log: &SharedFile, from: u64, size: u64) -> io::Result<Option<Tail>> {
    if from > size {
        return Ok(None);
    }
    let mut scan = HeaderScan::new(&**log, from, size, TAIL_BYTES);
    let mut tail = Tail::default();
    loop {
        match scan.next() {
            Ok(None) => return Ok(Some(tail)),
            Ok(Some(found)) => {
                let header = found.header;
                if tail.last.as_ref().is_some_and(|last| header.base_offset <= last.last_offset()) {
                    return Ok(None);
                }
                tail.newest = Newest::or(tail.newest, header.max_timestamp, header.last_offset());
                tail.last = Some(header);
            }
            Err(ScanStop::Bad { .. }) => return Ok(None),
            Err(ScanStop::Io(error)) => return Err(error),
        }
    }
}

fn append_time(tail: &Tail) -> Option<TimestampMs> {
    let last = tail.last.as_ref()?;
    (last.timestamp_type == TimestampType::LogAppendTime).then_some(last.max_timestamp)
}
