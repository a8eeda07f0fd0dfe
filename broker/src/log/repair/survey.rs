//! Looking: every batch of a log with its checksum, and behind a damaged place the next whole one. Reads only.

use std::path::Path;

use super::{Damage, Repair, Survey};
use crate::ids::{Offset, TopicPartition};
use crate::limits::{BATCH_HEADER_BYTES, FRAME_BYTES_MAX};
use crate::log::error::LogError;
use crate::log::index::offset_index;
use crate::log::io::{Disk, DiskFile};
use crate::log::layout::{SegmentFile, parse_segment_file, segment_file};
use crate::log::read::scan::read_bytes;
use crate::record::{BatchHeader, check_stored};

/// Bytes searched at once for the batch behind a damage.
const SEARCH_BYTES: usize = 1024 * 1024;
/// Where a batch has its format's number, and what it is.
const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// One segment being looked through.
struct Look<'a> {
    path: &'a Path,
    log: &'a dyn DiskFile,
    base: Offset,
    next_base: Option<Offset>,
    len: u64,
    trusted: Offset,
}

impl Repair {
    /// Reads all of a partition's log. `progress` hears of the bytes read so far, often.
    ///
    /// # Errors
    /// `Io`.
    pub fn survey(&self, partition: &TopicPartition, progress: &mut dyn FnMut(u64)) -> Result<Survey, LogError> {
        let (dir, trusted) = (self.dir(partition), self.trusted(partition));
        let bases = segment_bases(&*self.disk, &dir)?;
        let log_start = bases.first().copied().unwrap_or_default();
        let mut survey = Survey { log_start, end: log_start, ..Survey::default() };
        for (at, base) in bases.iter().enumerate() {
            let path = dir.join(segment_file(*base, SegmentFile::Log));
            let failed = |error| LogError::io("cannot read", &path, error);
            let log = self.disk.open(&path).map_err(failed)?;
            let len = log.len().map_err(failed)?;
            let next_base = bases.get(at + 1).copied();
            let look = Look { path: &path, log: &*log, base: *base, next_base, len, trusted };
            let go_on = look.through(&mut survey, progress).map_err(failed)?;
            if !go_on {
                let rest = bases[at + 1..].iter().map(|base| dir.join(segment_file(*base, SegmentFile::Log)));
                for path in rest {
                    let len = self.disk.open(&path).and_then(|log| log.len());
                    survey.torn_bytes += len.map_err(|error| LogError::io("cannot read", &path, error))?;
                }
                break;
            }
        }
        Ok(survey)
    }
}

/// Where the segments of a directory begin, in order.
pub(super) fn segment_bases(disk: &dyn Disk, dir: &Path) -> Result<Vec<Offset>, LogError> {
    let names = disk.list(dir).map_err(|error| LogError::io("cannot list", dir, error))?;
    let files = names.iter().filter_map(|entry| parse_segment_file(&entry.name));
    let mut bases: Vec<Offset> = files.filter_map(|(base, file)| (file == SegmentFile::Log).then_some(base)).collect();
    bases.sort_unstable();
    Ok(bases)
}

impl Look<'_> {
    /// `false` when the log ends here: nothing behind was durable.
    fn through(&self, survey: &mut Survey, progress: &mut dyn FnMut(u64)) -> std::io::Result<bool> {
        let before = survey.bytes;
        let mut at = 0;
        while at < self.len {
            let reason = match self.whole_at(at, survey.end)? {
                Ok(header) => {
                    survey.batches += 1;
                    survey.batches_behind += u64::from(!survey.damages.is_empty());
                    survey.end = header.next_offset();
                    survey.leader_epoch = header.leader_epoch;
                    at += header.size as u64;
                    survey.bytes = before + at;
                    progress(survey.bytes);
                    continue;
                }
                Err(reason) => reason,
            };
            if survey.end >= self.trusted {
                survey.torn_bytes += self.len - at;
                return Ok(false);
            }
            let (to, resumed) = match self.resume(at, survey.end)? {
                Some((position, to)) => (to, position),
                None => (self.next_base.unwrap_or(self.trusted), self.len),
            };
            self.note(survey, (at, resumed - at), to, reason);
            at = resumed;
            survey.bytes = before + at;
            progress(survey.bytes);
        }
        match self.next_base {
            Some(next) if next == survey.end => Ok(true),
            // Above the recovery point a segment between the two never reached the disk.
            Some(next) if next > self.trusted => Ok(false),
            // Compaction leaves the end of each segment: segments always join.
            Some(next) => {
                let reason = format!("the segment that follows begins at offset {next}, and {} is next", survey.end);
                self.note(survey, (self.len, 0), next, reason);
                Ok(true)
            }
            None => {
                if survey.end < self.trusted {
                    let reason = format!("the log ends at offset {}", survey.end);
                    self.note(survey, (self.len, 0), self.trusted, reason);
                }
                Ok(true)
            }
        }
    }

    fn note(&self, survey: &mut Survey, (position, bytes): (u64, u64), to: Offset, reason: String) {
        let (path, segment, from) = (self.path.to_path_buf(), self.base, survey.end);
        let leader_epoch = survey.leader_epoch;
        survey.damages.push(Damage { path, segment, position, bytes, from, to, leader_epoch, reason });
        // What is missing is accounted for: the next batch is expected behind it.
        survey.end = to;
    }

    /// The batch at a byte, if it is whole and may stand there.
    fn whole_at(&self, at: u64, end: Offset) -> std::io::Result<Result<BatchHeader, String>> {
        let left = self.len - at;
        let head = read_bytes(self.log, at, BATCH_HEADER_BYTES)?;
        let header = match BatchHeader::parse(&head) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if header.size as u64 > left || header.size > FRAME_BYTES_MAX {
            return Ok(Err(format!("a batch of {} bytes where {left} bytes are left", header.size)));
        }
        if !self.may_follow(&header, end) {
            let (base, last) = (header.base_offset, header.last_offset());
            return Ok(Err(format!("a batch with offsets {base}..={last} where {end} is next")));
        }
        let checked = check_stored(read_bytes(self.log, at, header.size)?);
        Ok(checked.map(|_| header).map_err(|error| error.to_string()))
    }

    /// Rule 4: stored logs may have holes; only below the recovery point, and never into the next segment.
    fn may_follow(&self, header: &BatchHeader, end: Offset) -> bool {
        let hole = header.base_offset > end && header.next_offset() > self.trusted;
        header.base_offset >= end
            && !hole
            && self.next_base.is_none_or(|next| header.last_offset() < next)
            && offset_index::relative(self.base, header.last_offset()).is_some()
    }

    /// The first whole batch behind a bad one, and its base offset. The bad one's own length is believed first: what
    /// looks like a batch inside of it may be a producer's value.
    fn resume(&self, bad: u64, end: Offset) -> std::io::Result<Option<(u64, Offset)>> {
        let head = read_bytes(self.log, bad, BATCH_HEADER_BYTES)?;
        if let Ok(header) = BatchHeader::parse(&head)
            && bad + (header.size as u64) < self.len
            && let Ok(next) = self.whole_at(bad + header.size as u64, end)?
        {
            return Ok(Some((bad + header.size as u64, next.base_offset)));
        }
        let mut from = bad + 1;
        while from + BATCH_HEADER_BYTES as u64 <= self.len {
            let piece = read_bytes(self.log, from, SEARCH_BYTES)?;
            let starts = (piece.len() + 1).saturating_sub(BATCH_HEADER_BYTES);
            for start in 0..starts {
                if piece[start + MAGIC_AT] != MAGIC {
                    continue;
                }
                let plausible = BatchHeader::parse(&piece[start..]).is_ok_and(|header| self.may_follow(&header, end));
                let at = from + start as u64;
                if plausible && let Ok(header) = self.whole_at(at, end)? {
                    return Ok(Some((at, header.base_offset)));
                }
            }
            if starts == 0 {
                break;
            }
            from += starts as u64;
        }
        Ok(None)
    }
}
