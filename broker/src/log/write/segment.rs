//! One segment of a partition: a `.log` and its two indexes. `ActiveSegment` is owned by the writer and has `append`;
//! `SealedSegment` has not. `Segment` is what readers share of either: positions, never the right to write.
//! Index entries of the active segment are kept in memory and written out in one go (`write_out`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::ids::{Offset, TimestampMs};
use crate::log::index::maps::{IndexFile, IndexMaps};
use crate::log::index::offset_index::{self, IndexEntry, floor_by, relative};
use crate::log::index::time_index::{self, Newest, TimeEntry};
use crate::log::io::{Disk, SharedFile};
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
    /// Active (or not to be touched on disk): everything in memory.
    Memory(Indexed),
    /// Sealed: in the files.
    Files(Sealed),
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
    index: SharedFile,
    time_index: SharedFile,
    size: u64,
    /// Entries already in the files.
    offsets_written: usize,
    times_written: usize,
    /// Bytes of a failed write may stand behind `size`.
    ragged: bool,
    /// A next segment was begun; its creation may have failed.
    finished: bool,
    /// The first batch's largest timestamp: `segment.ms` counts from it, as Kafka's does.
    first_timestamp: Option<TimestampMs>,
    created: TimestampMs,
}

/// What an append did to the segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct Written {
    /// Where the segment ends now.
    pub(in crate::log) size: u64,
    /// An index entry arose that is not in the file yet.
    pub(in crate::log) indexed: bool,
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
        if self.times.last().is_none_or(|last| newest.timestamp > last.timestamp)
            && let Some(relative) = relative(base, newest.last_offset)
        {
            self.times.push(TimeEntry { timestamp: newest.timestamp, relative });
        }
    }
}

impl Segment {
    /// A segment whose indexes are kept in memory.
    pub(in crate::log) fn in_memory(dir: &Path, base: Offset, log: SharedFile, indexed: Indexed) -> Segment {
        Segment { base, log, dir: dir.to_path_buf(), lookup: RwLock::new(Lookup::Memory(indexed)) }
    }

    fn sealed(&self, lengths: IndexLengths) -> Lookup {
        let file = |kind, bytes| IndexFile::new(self.dir.join(segment_file(self.base, kind)), bytes);
        Lookup::Files(Sealed {
            offsets: file(SegmentFile::Index, lengths.offsets * offset_index::ENTRY_BYTES),
            times: file(SegmentFile::TimeIndex, lengths.times * time_index::ENTRY_BYTES),
            newest: lengths.newest,
        })
    }

    /// Other files are about to take the names of this segment's files: readers of the segment keep the old ones.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::log) fn hold_indexes(&self, maps: &IndexMaps) -> io::Result<()> {
        match &*self.lookup.read() {
            Lookup::Memory(_) => Ok(()),
            Lookup::Files(files) => maps.hold(&files.offsets).and_then(|()| maps.hold(&files.times)),
        }
    }

    /// A position at or before the batch that holds `offset`.
    pub(in crate::log) fn floor(&self, maps: &IndexMaps, offset: Offset) -> io::Result<u64> {
        let Some(wanted) = relative(self.base, offset) else { return Ok(0) };
        let at_or_below = |entry: &IndexEntry| entry.relative <= wanted;
        let found = match &*self.lookup.read() {
            Lookup::Memory(indexed) => floor_by(&indexed.offsets, |entry| *entry, at_or_below),
            Lookup::Files(files) => {
                let bytes = maps.bytes(&files.offsets)?;
                floor_by((*bytes).as_ref().as_chunks().0, |entry| IndexEntry::decode(*entry), at_or_below)
            }
        };
        Ok(found.map_or(0, |entry| u64::from(entry.position)))
    }

    /// As `floor`; `None` when the index would have to be mapped first, which may wait for the disk.
    pub(in crate::log) fn floor_if_mapped(&self, maps: &IndexMaps, offset: Offset) -> io::Result<Option<u64>> {
        let ready = match &*self.lookup.read() {
            Lookup::Memory(_) => true,
            Lookup::Files(files) => files.offsets.is_mapped(),
        };
        if ready { self.floor(maps, offset).map(Some) } else { Ok(None) }
    }

    /// The last time entry for which `wanted` holds; time entries rise in time and offset.
    pub(in crate::log) fn floor_time(
        &self,
        maps: &IndexMaps,
        wanted: impl Fn(Newest) -> bool,
    ) -> io::Result<Option<Newest>> {
        let absolute = |entry: &TimeEntry| entry.absolute(self.base);
        Ok(match &*self.lookup.read() {
            Lookup::Memory(indexed) => floor_by(&indexed.times, absolute, |entry| wanted(*entry)),
            Lookup::Files(files) => {
                let bytes = maps.bytes(&files.times)?;
                let decoded = |bytes: &[u8; time_index::ENTRY_BYTES]| absolute(&TimeEntry::decode(*bytes));
                floor_by((*bytes).as_ref().as_chunks().0, decoded, |entry| wanted(*entry))
            }
        })
    }

    /// The largest timestamp of the segment.
    pub(in crate::log) fn newest(&self) -> Option<Newest> {
        match &*self.lookup.read() {
            Lookup::Memory(indexed) => indexed.newest,
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
        Ok(ActiveSegment {
            segment: Arc::new(Segment::in_memory(dir, base, log, Indexed::default())),
            index,
            time_index,
            size: 0,
            offsets_written: 0,
            times_written: 0,
            ragged: false,
            finished: false,
            first_timestamp: None,
            created: now,
        })
    }

    /// The last segment of an earlier run, `size` bytes of which are whole.
    pub(in crate::log) fn reopen(
        segment: Segment,
        files: ActiveFiles,
        size: u64,
        first_timestamp: Option<TimestampMs>,
        now: TimestampMs,
    ) -> ActiveSegment {
        let (offsets_written, times_written) = match &*segment.lookup.read() {
            Lookup::Memory(indexed) if files.written => (indexed.offsets.len(), indexed.times.len()),
            Lookup::Memory(_) | Lookup::Files(_) => (0, 0),
        };
        ActiveSegment {
            segment: Arc::new(segment),
            index: files.index,
            time_index: files.time_index,
            size,
            offsets_written,
            times_written,
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

    /// Kafka's `LogSegment.shouldRoll`: the batch would not fit, is too much later than the segment's first, or its
    /// last offset would not fit an index entry.
    pub(in crate::log) fn must_roll(
        &self,
        header: &BatchHeader,
        last: Offset,
        limits: RollLimits,
        now: TimestampMs,
    ) -> bool {
        let after = self.size + header.size as u64;
        let age = match (self.first_timestamp, header.max_timestamp) {
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
        let indexed = match &mut *self.segment.lookup.write() {
            Lookup::Memory(indexed) => indexed.add(self.segment.base, header, position, interval),
            Lookup::Files(_) => false,
        };
        Ok(Written { size: self.size, indexed })
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
        if let Lookup::Memory(indexed) = &*self.segment.lookup.read() {
            let bytes: Vec<u8> =
                indexed.offsets[self.offsets_written..].iter().flat_map(|entry| entry.encode()).collect();
            if !bytes.is_empty() {
                self.index.write_at(&bytes, &[], (self.offsets_written * offset_index::ENTRY_BYTES) as u64)?;
                self.offsets_written = indexed.offsets.len();
                written.push(Arc::clone(&self.index));
            }
            let bytes: Vec<u8> = indexed.times[self.times_written..].iter().flat_map(|entry| entry.encode()).collect();
            if !bytes.is_empty() {
                self.time_index.write_at(&bytes, &[], (self.times_written * time_index::ENTRY_BYTES) as u64)?;
                self.times_written = indexed.times.len();
                written.push(Arc::clone(&self.time_index));
            }
        }
        Ok(())
    }

    /// Completes the indexes for good. From here on only the next segment takes appends: its files may be there
    /// already, empty, when making them failed half way, and what they say must stay true.
    pub(in crate::log) fn finish(&mut self, written: &mut Vec<SharedFile>) -> io::Result<()> {
        self.finished = true;
        self.cut_back()?;
        if let Lookup::Memory(indexed) = &mut *self.segment.lookup.write() {
            indexed.add_newest(self.segment.base);
        }
        self.write_out(written)
    }

    /// No more appends: lookups use the files from here on. Call after `finish`.
    pub(in crate::log) fn seal(self) -> SealedSegment {
        let mut lookup = self.segment.lookup.write();
        if let Lookup::Memory(indexed) = &*lookup {
            let lengths =
                IndexLengths { offsets: self.offsets_written, times: self.times_written, newest: indexed.newest };
            *lookup = self.segment.sealed(lengths);
        }
        drop(lookup);
        SealedSegment { segment: self.segment, size: self.size }
    }
}

/// When a segment is full (`segment.bytes`, `segment.ms`).
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct RollLimits {
    pub(in crate::log) bytes: u64,
    pub(in crate::log) ms: i64,
}
