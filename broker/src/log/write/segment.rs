//! One segment of a partition: a `.log` and its two indexes. `ActiveSegment` is owned by the writer and has `append`;
//! `SealedSegment` has not. `Segment` is what readers share of either: positions, never the right to write.
//! Index entries of the active segment are kept in memory until they are written out in one go (`write_out`): at a
//! checkpoint, when it is full, and when there are many of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::ids::{Offset, TimestampMs};
use crate::limits::INDEX_ENTRIES_KEPT_MAX;
use crate::log::index::files::{IndexFile, OpenIndexes, floor_in};
use crate::log::index::offset_index::{self, IndexEntry, floor_by, relative};
use crate::log::index::time_index::{self, Newest, TimeEntry};
use crate::log::io::{CachedOnly, Disk, DiskFile, SharedFile};
use crate::log::layout::{SegmentFile, segment_file};
use crate::record::BatchHeader;

/// Kafka's positions are i32.
pub(in crate::log) const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// What readers share of a segment.
#[derive(Debug)]
pub(in crate::log) struct Segment {
    pub(in crate::log) base: Offset,
    pub(in crate::log) log: SharedFile,
    dir: PathBuf,
    lookup: RwLock<Lookup>,
}

#[derive(Debug)]
enum Lookup {
    /// Not to be touched on disk: everything in memory.
    Memory(Indexed),
    /// Active: the first entries in the files, those behind them in memory.
    Growing(Growing),
    /// Sealed: in the files.
    Files(Sealed),
}

/// The index of an active segment.
#[derive(Debug)]
struct Growing {
    offsets: SharedFile,
    times: SharedFile,
    /// Entries in the files.
    offsets_written: usize,
    times_written: usize,
    /// The entries behind these.
    indexed: Indexed,
}

/// Where a search goes on when the lock is given back.
enum In {
    File(SharedFile, usize),
    Sealed(Arc<IndexFile>),
}

/// The complete index files of a sealed segment.
#[derive(Clone, Debug)]
struct Sealed {
    offsets: Arc<IndexFile>,
    times: Arc<IndexFile>,
    newest: Option<Newest>,
}

/// How many entries the index files of a segment have, and the last time entry.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct IndexLengths {
    pub(in crate::log) offsets: usize,
    pub(in crate::log) times: usize,
    pub(in crate::log) newest: Option<Newest>,
}

/// The index entries of a segment as they arise from its batches, in order.
#[derive(Clone, Debug, Default)]
pub(in crate::log) struct Indexed {
    pub(in crate::log) offsets: Vec<IndexEntry>,
    pub(in crate::log) times: Vec<TimeEntry>,
    pub(in crate::log) newest: Option<Newest>,
    /// Of the last time entry.
    pub(in crate::log) last_time: Option<TimestampMs>,
    pub(in crate::log) unindexed_bytes: u64,
}

/// A segment that nothing is appended to any more.
#[derive(Clone, Debug)]
pub(in crate::log) struct SealedSegment {
    pub(in crate::log) segment: Arc<Segment>,
    /// Bytes of the `.log`.
    pub(in crate::log) size: u64,
}

/// The segment that appends go to.
#[derive(Debug)]
pub(in crate::log) struct ActiveSegment {
    segment: Arc<Segment>,
    size: u64,
    /// Bytes of a failed write may stand behind `size`.
    ragged: bool,
    /// A next segment was begun; its creation may have failed.
    finished: bool,
    /// The first batch's largest timestamp: `segment.ms` counts from it, as Kafka's does.
    first_timestamp: Option<TimestampMs>,
    created: TimestampMs,
}

/// What an append did to the segment.
#[derive(Debug)]
pub(in crate::log) struct Written {
    /// Where the segment ends now.
    pub(in crate::log) size: u64,
    /// An index entry arose.
    pub(in crate::log) indexed: bool,
    /// All index entries are in the files now, which are to be synced.
    pub(in crate::log) out: Option<Vec<SharedFile>>,
}

impl Indexed {
    /// The content of the two index files.
    pub(in crate::log) fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let offsets = self.offsets.iter().flat_map(|entry| entry.encode()).collect();
        (offsets, self.times.iter().flat_map(|entry| entry.encode()).collect())
    }

    /// Takes note of the batch at `position`: Kafka's `LogSegment.append`, entry for entry.
    pub(in crate::log) fn add(&mut self, base: Offset, header: &BatchHeader, position: u64, interval: u64) -> bool {
        let last_offset = header.last_offset();
        self.newest = Newest::or(self.newest, header.max_timestamp, last_offset);
        let due = self.unindexed_bytes > interval;
        if due {
            let entry = relative(base, last_offset).zip(u32::try_from(position).ok());
            self.offsets.extend(entry.map(|(relative, position)| IndexEntry { relative, position }));
            self.add_newest(base);
            self.unindexed_bytes = 0;
        }
        self.unindexed_bytes += header.size as u64;
        due
    }

    /// Adds a time entry for everything so far, unless the last one has the same time.
    pub(in crate::log) fn add_newest(&mut self, base: Offset) {
        let Some(newest) = self.newest else { return };
        if self.last_time.is_none_or(|last| newest.timestamp > last)
            && let Some(relative) = relative(base, newest.last_offset)
        {
            self.times.push(TimeEntry { timestamp: newest.timestamp, relative });
            self.last_time = Some(newest.timestamp);
        }
    }
}

impl In {
    /// The file, and how many entries it has. Blocking.
    fn open(self, indexes: &OpenIndexes) -> io::Result<(SharedFile, usize)> {
        match self {
            In::File(file, count) => Ok((file, count)),
            In::Sealed(index) => Ok((indexes.open(&index)?, index.count)),
        }
    }
}

impl Segment {
    /// A segment whose indexes are kept in memory.
    pub(in crate::log) fn in_memory(dir: &Path, base: Offset, log: SharedFile, indexed: Indexed) -> Segment {
        Segment { base, log, dir: dir.to_path_buf(), lookup: RwLock::new(Lookup::Memory(indexed)) }
    }

    fn sealed(&self, lengths: IndexLengths) -> Lookup {
        let file = |kind, count| IndexFile::new(self.dir.join(segment_file(self.base, kind)), count);
        Lookup::Files(Sealed {
            offsets: file(SegmentFile::Index, lengths.offsets),
            times: file(SegmentFile::TimeIndex, lengths.times),
            newest: lengths.newest,
        })
    }

    /// Other files are about to take the names of this segment's files: readers of the segment keep the old ones.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::log) fn hold_indexes(&self, indexes: &OpenIndexes) -> io::Result<()> {
        let (offsets, times) = match &*self.lookup.read() {
            Lookup::Memory(_) | Lookup::Growing(_) => return Ok(()),
            Lookup::Files(files) => (Arc::clone(&files.offsets), Arc::clone(&files.times)),
        };
        indexes.hold(&offsets).and_then(|()| indexes.hold(&times))
    }

    /// A position at or before the batch that holds `offset`. Blocking where the index is not in memory.
    pub(in crate::log) fn floor(&self, indexes: &OpenIndexes, offset: Offset) -> io::Result<u64> {
        let Some(wanted) = relative(self.base, offset) else { return Ok(0) };
        match self.offset_in(wanted) {
            Ok(position) => Ok(position),
            Err(elsewhere) => {
                let (file, count) = elsewhere.open(indexes)?;
                floor_of(&*file, count, wanted)
            }
        }
    }

    /// As `floor`; `None` when the index would have to be opened first, an error of kind `WouldBlock` when the disk would have
    /// to be waited for.
    pub(in crate::log) fn floor_cached(&self, offset: Offset) -> io::Result<Option<u64>> {
        let Some(wanted) = relative(self.base, offset) else { return Ok(Some(0)) };
        let (file, count) = match self.offset_in(wanted) {
            Ok(position) => return Ok(Some(position)),
            Err(In::File(file, count)) => (file, count),
            Err(In::Sealed(index)) => match index.if_open() {
                Some(file) => (file, index.count),
                None => return Ok(None),
            },
        };
        floor_of(&CachedOnly(&*file), count, wanted).map(Some)
    }

    /// The answer from memory, or where it is.
    fn offset_in(&self, wanted: u32) -> Result<u64, In> {
        let indexed = match &*self.lookup.read() {
            Lookup::Files(files) => return Err(In::Sealed(Arc::clone(&files.offsets))),
            Lookup::Growing(growing)
                if growing.offsets_written > 0
                    && growing.indexed.offsets.first().is_none_or(|first| first.relative > wanted) =>
            {
                return Err(In::File(SharedFile::clone(&growing.offsets), growing.offsets_written));
            }
            Lookup::Growing(Growing { indexed, .. }) | Lookup::Memory(indexed) => {
                floor_by(&indexed.offsets, |entry| *entry, |entry| entry.relative <= wanted)
            }
        };
        Ok(indexed.map_or(0, |entry| u64::from(entry.position)))
    }

    /// The last time entry for which `wanted` holds; time entries rise in time and offset. Blocking where the index is not in
    /// memory.
    pub(in crate::log) fn floor_time(
        &self,
        indexes: &OpenIndexes,
        wanted: impl Fn(Newest) -> bool,
    ) -> io::Result<Option<Newest>> {
        let absolute = |entry: &TimeEntry| entry.absolute(self.base);
        let elsewhere = match &*self.lookup.read() {
            Lookup::Files(files) => In::Sealed(Arc::clone(&files.times)),
            Lookup::Growing(growing)
                if growing.times_written > 0
                    && growing.indexed.times.first().is_none_or(|first| !wanted(absolute(first))) =>
            {
                In::File(SharedFile::clone(&growing.times), growing.times_written)
            }
            Lookup::Growing(Growing { indexed, .. }) | Lookup::Memory(indexed) => {
                return Ok(floor_by(&indexed.times, absolute, |entry| wanted(*entry)));
            }
        };
        let (file, count) = elsewhere.open(indexes)?;
        let decoded = |bytes: [u8; time_index::ENTRY_BYTES]| absolute(&TimeEntry::decode(bytes));
        floor_in(&*file, count, decoded, |entry| wanted(*entry))
    }

    /// Entries of both indexes.
    #[cfg(test)]
    pub(in crate::log) fn entries_in_memory(&self) -> usize {
        match &*self.lookup.read() {
            Lookup::Memory(indexed) | Lookup::Growing(Growing { indexed, .. }) => {
                indexed.offsets.len() + indexed.times.len()
            }
            Lookup::Files(_) => 0,
        }
    }

    /// The largest timestamp of the segment.
    pub(in crate::log) fn newest(&self) -> Option<Newest> {
        match &*self.lookup.read() {
            Lookup::Memory(indexed) | Lookup::Growing(Growing { indexed, .. }) => indexed.newest,
            Lookup::Files(files) => files.newest,
        }
    }
}

/// The index files of an active segment.
#[derive(Debug)]
pub(in crate::log) struct ActiveFiles {
    pub(in crate::log) index: SharedFile,
    pub(in crate::log) time_index: SharedFile,
    /// They hold what is in memory; else nothing yet.
    pub(in crate::log) written: bool,
}

impl Indexed {
    pub(in crate::log) fn lengths(&self) -> IndexLengths {
        IndexLengths { offsets: self.offsets.len(), times: self.times.len(), newest: self.newest }
    }
}

impl SealedSegment {
    /// A segment from an earlier run whose index files are complete.
    pub(in crate::log) fn of_files(
        dir: &Path,
        base: Offset,
        log: SharedFile,
        size: u64,
        lengths: IndexLengths,
    ) -> SealedSegment {
        let segment = Segment::in_memory(dir, base, log, Indexed::default());
        let lookup = segment.sealed(lengths);
        *segment.lookup.write() = lookup;
        SealedSegment { segment: Arc::new(segment), size }
    }
}

impl ActiveSegment {
    /// New empty files in `at`; their names are not durable yet. `dir` is what the directory will be called.
    pub(in crate::log) fn create(
        disk: &dyn Disk,
        at: &Path,
        dir: &Path,
        base: Offset,
        now: TimestampMs,
    ) -> io::Result<ActiveSegment> {
        let log = disk.create(&at.join(segment_file(base, SegmentFile::Log)))?;
        let index = disk.create(&at.join(segment_file(base, SegmentFile::Index)))?;
        let time_index = disk.create(&at.join(segment_file(base, SegmentFile::TimeIndex)))?;
        let segment = Segment::in_memory(dir, base, log, Indexed::default());
        Ok(ActiveSegment::reopen(segment, ActiveFiles { index, time_index, written: true }, 0, None, now))
    }

    /// The last segment of an earlier run, `size` bytes of which are whole.
    pub(in crate::log) fn reopen(
        segment: Segment,
        files: ActiveFiles,
        size: u64,
        first_timestamp: Option<TimestampMs>,
        now: TimestampMs,
    ) -> ActiveSegment {
        let ActiveFiles { index: offsets, time_index: times, written } = files;
        {
            let mut lookup = segment.lookup.write();
            if let Lookup::Memory(indexed) = &mut *lookup {
                let mut indexed = std::mem::take(indexed);
                let (mut offsets_written, mut times_written) = (0, 0);
                if written {
                    // What is in the files need not be in memory.
                    offsets_written = std::mem::take(&mut indexed.offsets).len();
                    times_written = std::mem::take(&mut indexed.times).len();
                }
                *lookup = Lookup::Growing(Growing { offsets, times, offsets_written, times_written, indexed });
            }
        }
        ActiveSegment {
            segment: Arc::new(segment),
            size,
            ragged: false,
            finished: false,
            first_timestamp,
            created: now,
        }
    }

    /// Bytes of the `.log`.
    pub(in crate::log) fn size(&self) -> u64 {
        self.size
    }

    pub(in crate::log) fn shared(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Kafka's `LogSegment.shouldRoll`: a batch of that size would not fit, is too much later than the segment's first, or
    /// its last offset would not fit an index entry.
    pub(in crate::log) fn must_roll(
        &self,
        size: usize,
        newest: TimestampMs,
        last: Offset,
        limits: RollLimits,
        now: TimestampMs,
    ) -> bool {
        let after = self.size + size as u64;
        let age = match (self.first_timestamp, newest) {
            (Some(first), TimestampMs(newest)) if newest >= 0 => newest.saturating_sub(first.0),
            _ => now.0.saturating_sub(self.created.0),
        };
        let full = after > limits.bytes.min(SEGMENT_BYTES_MAX) || age > limits.ms;
        (self.size > 0 && full) || self.finished || relative(self.segment.base, last).is_none()
    }

    /// Writes one stamped batch behind the last one. Cost: one system call.
    ///
    /// # Errors
    /// The write's. The file is cut back to its last whole batch, now or before the next append (rule 8).
    pub(in crate::log) fn append(
        &mut self,
        header: &BatchHeader,
        head: &[u8],
        body: &[u8],
        interval: u64,
    ) -> io::Result<Written> {
        self.cut_back()?;
        if let Err(error) = self.segment.log.write_at(head, body, self.size) {
            self.ragged = true;
            // When this fails too, the next append tries again before it writes.
            let _ = self.cut_back();
            return Err(error);
        }
        let position = self.size;
        self.size += header.size as u64;
        if self.first_timestamp.is_none() && header.max_timestamp.0 >= 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        let (indexed, many) = match &mut *self.segment.lookup.write() {
            Lookup::Growing(Growing { indexed, .. }) => {
                let due = indexed.add(self.segment.base, header, position, interval);
                (due, indexed.offsets.len() >= INDEX_ENTRIES_KEPT_MAX)
            }
            Lookup::Memory(_) | Lookup::Files(_) => (false, false),
        };
        let mut out = None;
        if indexed && many {
            let mut files = Vec::with_capacity(2);
            // Where there is no room now, the next entry tries again.
            out = self.write_out(&mut files).is_ok().then_some(files);
        }
        Ok(Written { size: self.size, indexed, out })
    }

    /// Nothing may stand behind the last whole batch: a later, shorter batch would leave a rest of the failed one.
    pub(in crate::log) fn cut_back(&mut self) -> io::Result<()> {
        if self.ragged {
            self.segment.log.truncate(self.size)?;
            self.ragged = false;
        }
        Ok(())
    }

    /// Brings the index files up to date; those that were written, also when a later one fails, are to be synced.
    pub(in crate::log) fn write_out(&mut self, written: &mut Vec<SharedFile>) -> io::Result<()> {
        // Not under the lock: whoever looks something up does not wait for a write.
        let (entries, files, at) = match &*self.segment.lookup.read() {
            Lookup::Growing(growing) => (
                growing.indexed.encode(),
                (SharedFile::clone(&growing.offsets), SharedFile::clone(&growing.times)),
                (growing.offsets_written, growing.times_written),
            ),
            Lookup::Memory(_) | Lookup::Files(_) => return Ok(()),
        };
        if !entries.0.is_empty() {
            files.0.write_at(&entries.0, &[], (at.0 * offset_index::ENTRY_BYTES) as u64)?;
            self.growing(|growing| growing.offsets_written += std::mem::take(&mut growing.indexed.offsets).len());
            written.push(files.0);
        }
        if !entries.1.is_empty() {
            files.1.write_at(&entries.1, &[], (at.1 * time_index::ENTRY_BYTES) as u64)?;
            self.growing(|growing| growing.times_written += std::mem::take(&mut growing.indexed.times).len());
            written.push(files.1);
        }
        Ok(())
    }

    fn growing(&mut self, change: impl FnOnce(&mut Growing)) {
        if let Lookup::Growing(growing) = &mut *self.segment.lookup.write() {
            change(growing);
        }
    }

    /// Completes the indexes for good. From here on only the next segment takes appends: its files may be there
    /// already, empty, when making them failed half way, and what they say must stay true.
    pub(in crate::log) fn finish(&mut self, written: &mut Vec<SharedFile>) -> io::Result<()> {
        self.finished = true;
        self.cut_back()?;
        let base = self.segment.base;
        self.growing(|growing| growing.indexed.add_newest(base));
        self.write_out(written)
    }

    /// No more appends: lookups use the files from here on. Call after `finish`.
    pub(in crate::log) fn seal(self) -> SealedSegment {
        let mut lookup = self.segment.lookup.write();
        if let Lookup::Growing(Growing { offsets_written: offsets, times_written: times, indexed, .. }) = &*lookup {
            *lookup = self.segment.sealed(IndexLengths { offsets: *offsets, times: *times, newest: indexed.newest });
        }
        drop(lookup);
        SealedSegment { segment: self.segment, size: self.size }
    }
}

fn floor_of(file: &dyn DiskFile, count: usize, wanted: u32) -> io::Result<u64> {
    let found = floor_in(file, count, IndexEntry::decode, |entry| entry.relative <= wanted)?;
    Ok(found.map_or(0, |entry| u64::from(entry.position)))
}

/// When a segment is full (`segment.bytes`, `segment.ms`).
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct RollLimits {
    pub(in crate::log) bytes: u64,
    pub(in crate::log) ms: i64,
}
