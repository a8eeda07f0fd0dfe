//! One compaction pass over one partition: the last offset of each key in what is dirty, then every sealed segment up to
//! there written anew without what is superseded, group by group, each put in its place (`swap.rs`) before the next.
//! A group that loses nothing is not rewritten. What it must keep: offsets, the last value of a key, tombstones
//! until their time, the last batch of every producer, and the end of each segment. Appends and reads go on meanwhile.

use std::collections::HashMap;

use bytes::Bytes;

use crate::ids::{Offset, ProducerId, TimestampMs};
use crate::log::error::LogError;
use crate::log::partition::Partition;
use crate::log::read::scan::{HeaderScan, read_bytes};
use crate::log::sync::checkpoint::CheckpointFile;
use crate::log::upkeep::compaction::{self, Piece, Standing, Work};
use crate::log::upkeep::last_offsets::Latest;
use crate::log::upkeep::swap::Output;
use crate::log::write::segment::SealedSegment;
use crate::record::{BatchHeader, Compression, Filtered, StoredBatch, check_stored};

/// Headers that are read at once.
const LOOK_AHEAD_BYTES: usize = 64 * 1_024;

/// How fast a pass may go, and whether it must end early.
pub(in crate::log) trait Pace {
    /// So many bytes were read or written; `false`: stop.
    fn spend(&mut self, bytes: u64) -> bool;
}

/// What a pass goes by.
#[derive(Debug)]
struct Filter {
    latest: Latest,
    /// The last batch of each producer stays, if empty: sequences go on from it.
    last_of: HashMap<ProducerId, Offset>,
    now: TimestampMs,
    /// What tombstones get that are met for the first time.
    horizon: TimestampMs,
}

/// Why a pass did not come to its end.
#[derive(Debug)]
pub(in crate::log) enum Ended {
    /// The upkeep stops, or the topic was deleted.
    Stopped,
    /// The disk or the log; not to be tried again before the next start.
    Failed(LogError),
}

impl From<LogError> for Ended {
    fn from(error: LogError) -> Ended {
        Ended::Failed(error)
    }
}

impl Partition {
    /// A pass, if one is due. `true`: something was done, and more may be due.
    pub(in crate::log) fn compact(
        &self,
        cleaned: &CheckpointFile,
        point: Offset,
        map_bytes: usize,
        pace: &mut dyn Pace,
    ) -> Result<bool, Ended> {
        let Some(mut upkeep) = self.try_upkeep() else { return Ok(false) };
        let now = self.around.clock.wall();
        let Some((work, sealed)) = self.due(cleaned, point, now)? else { return Ok(false) };
        if upkeep.failed {
            return Ok(false);
        }
        let outcome = self.pass(work, &sealed, map_bytes, now, pace).and_then(|until| {
            let name = self.name_if_usable().ok_or(Ended::Stopped)?;
            Ok(cleaned.update(|offsets| {
                offsets.insert(name, until);
            })?)
        });
        match outcome {
            Ok(()) => Ok(true),
            // Its directory went while we worked in it.
            Err(_) if self.usable().is_err() => Err(Ended::Stopped),
            Err(ended) => {
                upkeep.failed |= matches!(ended, Ended::Failed(_));
                Err(ended)
            }
        }
    }

    /// The stretch that is due, and the segments up to its end.
    fn due(
        &self,
        cleaned: &CheckpointFile,
        point: Offset,
        now: TimestampMs,
    ) -> Result<Option<(Work, Vec<SealedSegment>)>, LogError> {
        let config = self.config.load();
        let Some(rules) = &config.cleanup.compact else { return Ok(None) };
        let (sealed, pieces, log_start, recovery_point) = {
            let view = self.view();
            let Some(active) = view.active.as_ref().filter(|_| view.trouble.is_none()) else { return Ok(None) };
            let sealed: Vec<SealedSegment> =
                view.sealed.iter().filter(|sealed| sealed.segment.base < point).cloned().collect();
            (sealed, pieces(&view.sealed, active.base), view.positions.log_start(), view.positions.recovery_point())
        };
        let cleaned = cleaned.get(&self.ident().name());
        let point = point.min(recovery_point);
        let mut standing = Standing { log_start, point, cleaned, oldest_dirty: None };
        if rules.max_lag_ms < i64::MAX {
            standing.oldest_dirty = self.first_timestamp(&sealed, &pieces, compaction::first_dirty(&standing))?;
        }
        let Some(work) = compaction::due(&pieces, rules, &standing, now) else { return Ok(None) };
        let count = pieces.iter().filter(|piece| piece.end <= work.until).count();
        Ok(Some((work, sealed.into_iter().take(count).collect())))
    }

    /// The timestamp of the first batch at or after `from`.
    fn first_timestamp(
        &self,
        sealed: &[SealedSegment],
        pieces: &[Piece],
        from: Offset,
    ) -> Result<Option<TimestampMs>, LogError> {
        let Some((dirty, _)) = sealed.iter().zip(pieces).find(|(_, piece)| piece.end > from) else { return Ok(None) };
        let mut scan = HeaderScan::new(&*dirty.segment.log, 0, dirty.size, LOOK_AHEAD_BYTES);
        while let Some(found) = scan.next().map_err(|stop| self.scan_stopped(&dirty.segment, stop))? {
            if found.header.last_offset() >= from && found.header.max_timestamp.0 >= 0 {
                return Ok(Some(found.header.max_timestamp));
            }
        }
        Ok(None)
    }

    /// Returns where the next pass begins.
    fn pass(
        &self,
        work: Work,
        sealed: &[SealedSegment],
        map_bytes: usize,
        now: TimestampMs,
        pace: &mut dyn Pace,
    ) -> Result<Offset, Ended> {
        let config = self.config.load_full();
        let pieces = pieces(sealed, work.until);
        let latest = self.map(work, sealed, &pieces, map_bytes, pace)?;
        let until = latest.until();
        let retention = config.cleanup.compact.as_ref().map_or(0, |rules| rules.delete_retention_ms);
        let filter = Filter {
            latest,
            last_of: self.writer().producers.last_offsets(),
            now,
            horizon: TimestampMs(now.0.saturating_add(retention)),
        };
        let below = pieces.iter().take_while(|piece| piece.base < until).count();
        for group in compaction::groups(&pieces[..below], config.segment_bytes) {
            let end = pieces[group.end - 1].end;
            self.rewrite(&sealed[group], end, &filter, config.index_interval_bytes, pace)?;
        }
        Ok(until)
    }

    /// The last offset of each key in what is dirty, as far as memory goes.
    fn map(
        &self,
        work: Work,
        sealed: &[SealedSegment],
        pieces: &[Piece],
        map_bytes: usize,
        pace: &mut dyn Pace,
    ) -> Result<Latest, Ended> {
        let mut latest = Latest::new(work.from, map_bytes);
        for (sealed, piece) in sealed.iter().zip(pieces).filter(|(_, piece)| piece.end > work.from) {
            self.each_batch(sealed, pace, |header, batch, _| {
                // A batch that cannot be opened is kept unchanged, and no key of it is newer than another: so a compressed one,
                // which nobody has looked through before, is opened to its end first.
                let wanted = !header.control && header.last_offset() >= work.from;
                let opens = || header.compression == Compression::None || batch.keys(|_| ()).is_ok();
                if wanted && opens() {
                    let _ = batch.keys(|record| latest.see(record.offset, record.key));
                }
                latest.pass(header.next_offset());
                Ok(!latest.full())
            })?;
            if latest.full() {
                break;
            }
            latest.pass(piece.end);
        }
        Ok(latest)
    }

    /// Writes a group of segments anew, as one, and puts it in their place; or leaves them, where nothing would change.
    fn rewrite(
        &self,
        group: &[SealedSegment],
        end: Offset,
        filter: &Filter,
        interval: u64,
        pace: &mut dyn Pace,
    ) -> Result<(), Ended> {
        let Some(first) = group.first() else { return Ok(()) };
        let mut output = Output::create(self, first.segment.base, interval)?;
        let mut changed = group.len() > 1;
        let written = group.iter().enumerate().try_for_each(|(at, sealed)| {
            self.each_batch(sealed, pace, |header, batch, behind| {
                let last = at + 1 == group.len() && behind == sealed.size;
                let left = filter.left(header, batch, last);
                changed |= left.as_ref().is_none_or(|left| left.len() != header.size || left != batch.bytes());
                if let Some(left) = left {
                    output.add(&left)?;
                }
                Ok(true)
            })
        });
        if let Err(ended) = written {
            output.discard(self);
            return Err(ended);
        }
        if !changed {
            output.discard(self);
            return Ok(());
        }
        Ok(output.replace(self, group, end)?)
    }

    /// Shows every batch of a segment and where it ends, until `see` says `false`.
    fn each_batch(
        &self,
        sealed: &SealedSegment,
        pace: &mut dyn Pace,
        mut see: impl FnMut(&BatchHeader, &StoredBatch, u64) -> Result<bool, LogError>,
    ) -> Result<(), Ended> {
        let segment = &sealed.segment;
        let mut scan = HeaderScan::new(&*segment.log, 0, sealed.size, LOOK_AHEAD_BYTES);
        while let Some(found) = scan.next().map_err(|stop| self.scan_stopped(segment, stop))? {
            let bytes = read_bytes(&*segment.log, found.position, found.header.size)
                .map_err(|error| self.read_failed(segment, error))?;
            let batch =
                check_stored(bytes).map_err(|error| self.damaged(segment, found.position, &error.to_string()))?;
            let size = found.header.size as u64;
            if !pace.spend(size) || self.usable().is_err() {
                return Err(Ended::Stopped);
            }
            if !see(&found.header, &batch, found.position + size)? {
                break;
            }
        }
        Ok(())
    }
}

impl Filter {
    /// What is left of a batch; `last`: it is the one by which its segment's end is known.
    fn left(&self, header: &BatchHeader, batch: &StoredBatch, last: bool) -> Option<Bytes> {
        let same = || Bytes::clone(batch.bytes());
        if header.control || header.base_offset >= self.latest.until() {
            return Some(same());
        }
        let expired = header.delete_horizon && self.now >= header.base_timestamp;
        let filtered = batch.filtered(self.horizon, |record| {
            let gone = record.tombstone && expired && record.offset < self.latest.until();
            !gone && self.latest.keeps(record.offset, record.key)
        });
        match filtered {
            Ok(Filtered::Other(bytes)) => Some(bytes),
            // What cannot be opened is kept as it is.
            Ok(Filtered::Same) | Err(_) => Some(same()),
            Ok(Filtered::Nothing) => {
                let of_producer = header.producer.and_then(|stamp| self.last_of.get(&stamp.id));
                let kept = last || of_producer == Some(&header.last_offset());
                match header.record_count {
                    _ if !kept => None,
                    0 => Some(same()),
                    _ => Some(batch.emptied().unwrap_or_else(|_| same())),
                }
            }
        }
    }
}

fn pieces(sealed: &[SealedSegment], end: Offset) -> Vec<Piece> {
    let ends = sealed.iter().skip(1).map(|next| next.segment.base).chain([end]);
    let piece = |(sealed, end): (&SealedSegment, Offset)| Piece {
        base: sealed.segment.base,
        end,
        bytes: sealed.size,
        newest: sealed.segment.newest().map(|newest| newest.timestamp),
    };
    sealed.iter().zip(ends).map(piece).collect()
}
