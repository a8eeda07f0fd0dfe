//! Offsets by time (ListOffsets): the first record at or after a time, and the one with the largest timestamp. Both
//! look below HW only, ask the time indexes where to begin, and open no more than the one batch they end at, piece by piece:
//! neither the batch nor its records are ever held.

use crate::ids::{LeaderEpoch, Offset, TimestampMs};
use crate::log::error::LogError;
use crate::log::index::time_index::Newest;
use crate::log::partition::Partition;
use crate::log::positions::Offsets;
use crate::log::read::open_batch::{NotOpened, open_batch};
use crate::log::read::scan::{Found, HeaderScan};
use crate::log::read::spans::Span;
use crate::record::{Means, RecordError, RecordTimes, Stop};

/// Bytes read at once while headers are looked at.
const LOOK_AHEAD_BYTES: usize = 16 * 1_024;

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's offset.
    pub(crate) offset: Offset,
    /// The record's timestamp.
    pub(crate) timestamp: TimestampMs,
    /// The epoch it was written in.
    pub(crate) epoch: LeaderEpoch,
}

/// Why a look-up ended without an answer.
#[derive(Clone, Debug)]
pub(crate) enum LookUpEnd {
    /// The log's.
    Log(LogError),
    /// More has to be opened than it may.
    TooLong,
    /// So many more bytes are not free for the batch that it ends at, whose beginning this is.
    NoMemory { bytes: usize, batch: TimedOffset },
}

impl From<LogError> for LookUpEnd {
    fn from(error: LogError) -> LookUpEnd {
        LookUpEnd::Log(error)
    }
}

impl Partition {
    /// First record below HW whose timestamp is at or after `at`.
    ///
    /// # Errors
    /// `Corrupt` where the log is damaged; `Deleted`, `Offline`, `Io`.
    pub fn find_time(&self, at: TimestampMs) -> Result<Option<TimedOffset>, LogError> {
        self.unlimited(|means| self.find_time_within(at, means))
    }

    /// The record below HW with the largest timestamp (the first of those).
    ///
    /// # Errors
    /// As `find_time`.
    pub fn find_max_time(&self) -> Result<Option<TimedOffset>, LogError> {
        self.unlimited(|means| self.find_max_time_within(means))
    }

    fn unlimited<T>(&self, look: impl FnOnce(&mut Means<'_>) -> Result<T, LookUpEnd>) -> Result<T, LogError> {
        Means::unlimited(look).map_err(|end| match end {
            LookUpEnd::Log(error) => error,
            LookUpEnd::TooLong | LookUpEnd::NoMemory { .. } => {
                let reason = "a look-up without a bound has met one".to_owned();
                LogError::Corrupt { path: self.dir.clone(), position: 0, reason }
            }
        })
    }

    /// As `find_time`.
    ///
    /// # Errors
    /// As `find_time`; the end of the means.
    pub(crate) fn find_time_within(
        &self,
        at: TimestampMs,
        means: &mut Means<'_>,
    ) -> Result<Option<TimedOffset>, LookUpEnd> {
        let (Offsets { log_start, .. }, spans) = self.everything()?;
        for span in spans {
            if span.segment.newest().is_none_or(|newest| newest.timestamp < at) {
                continue;
            }
            // Nothing up to and with that entry's batch reaches `at`.
            let passed = self.time_entry(&span, |entry| entry.timestamp < at)?;
            let hit = self.each_from(&span, passed, |found| {
                if found.header.max_timestamp < at || found.header.control {
                    return Ok(None);
                }
                let mut hit = None;
                let opened = self.each_record(&span, found, means, |offset, timestamp| {
                    hit = Some((offset, timestamp)).filter(|_| timestamp >= at && offset >= log_start);
                    hit.is_none()
                })?;
                // What a client has compressed wrongly: whoever reads from there is told so.
                let hit = hit.or_else(|| {
                    (!opened).then_some((found.header.base_offset.max(log_start), found.header.max_timestamp))
                });
                Ok(hit.map(|hit| timed(found, hit)))
            })?;
            if hit.is_some() {
                return Ok(hit);
            }
        }
        Ok(None)
    }

    /// As `find_max_time`.
    ///
    /// # Errors
    /// As `find_time_within`.
    pub(crate) fn find_max_time_within(&self, means: &mut Means<'_>) -> Result<Option<TimedOffset>, LookUpEnd> {
        let (Offsets { log_start, hw, .. }, spans) = self.everything()?;
        let mut best: Option<(Newest, Span)> = None;
        for span in spans {
            let newest = match span.segment.newest() {
                Some(newest) if newest.last_offset < log_start => self.newest_from(&span, log_start)?,
                Some(newest) if newest.last_offset >= hw => self.newest_below(&span, hw)?,
                other => other,
            };
            if let Some(newest) = newest
                && best.as_ref().is_none_or(|(best, _)| newest.timestamp > best.timestamp)
            {
                best = Some((newest, span));
            }
        }
        let Some((newest, span)) = best else { return Ok(None) };
        let Some(found) = self.first_holding(&span, newest.last_offset)? else { return Ok(None) };
        let mut best: Option<(Offset, TimestampMs)> = None;
        let opened = self.each_record(&span, &found, means, |offset, timestamp| {
            // The first of the largest.
            if offset >= log_start && best.is_none_or(|(_, largest)| timestamp > largest) {
                best = Some((offset, timestamp));
            }
            true
        })?;
        let best = best.or_else(|| (!opened).then_some((found.header.base_offset.max(log_start), newest.timestamp)));
        Ok(best.map(|best| timed(&found, best)))
    }

    /// The largest timestamp below HW in the segment that HW is in.
    fn newest_below(&self, span: &Span, hw: Offset) -> Result<Option<Newest>, LookUpEnd> {
        let mut newest = self.time_entry(span, |entry| entry.last_offset < hw)?;
        self.each_from(span, newest, |found| {
            newest = Newest::or(newest, found.header.max_timestamp, found.header.last_offset());
            Ok(None::<()>)
        })?;
        Ok(newest)
    }

    /// The largest timestamp from the log start on in the segment that the log start is in, below HW.
    fn newest_from(&self, span: &Span, log_start: Offset) -> Result<Option<Newest>, LogError> {
        let Some(first) = self.first_holding(span, log_start)? else { return Ok(None) };
        let mut newest = None;
        let mut scan = HeaderScan::new(&*span.segment.log, first.position, span.limit, LOOK_AHEAD_BYTES);
        while let Some(found) = scan.next().map_err(|stop| self.scan_stopped(&span.segment, stop))? {
            newest = Newest::or(newest, found.header.max_timestamp, found.header.last_offset());
        }
        Ok(newest)
    }

    fn everything(&self) -> Result<(Offsets, Vec<Span>), LogError> {
        let view = self.view();
        view.readable()?;
        // Segments below the log start may wait to be removed.
        Ok((view.positions.offsets(), view.spans(Some(view.positions.log_start())).collect()))
    }

    fn time_entry(&self, span: &Span, wanted: impl Fn(Newest) -> bool) -> Result<Option<Newest>, LogError> {
        let entry = span.segment.floor_time(&self.around.indexes, wanted);
        entry.map_err(|error| self.read_failed(&span.segment, error))
    }

    /// Shows `visit` the batches from that of `after` on, until it returns something.
    fn each_from<T>(
        &self,
        span: &Span,
        after: Option<Newest>,
        mut visit: impl FnMut(&Found) -> Result<Option<T>, LookUpEnd>,
    ) -> Result<Option<T>, LookUpEnd> {
        let segment = &span.segment;
        let from = match after {
            Some(after) => segment.floor(&self.around.indexes, after.last_offset),
            None => Ok(0),
        };
        let from = from.map_err(|error| self.read_failed(segment, error))?;
        let mut scan = HeaderScan::new(&*segment.log, from, span.limit, LOOK_AHEAD_BYTES);
        while let Some(found) = scan.next().map_err(|stop| self.scan_stopped(segment, stop))? {
            if let Some(hit) = visit(&found)? {
                return Ok(Some(hit));
            }
        }
        Ok(None)
    }

    /// Shows the records of a batch until `see` says `false`. Returns `false` where the batch is as its client wrote it and
    /// cannot be opened (to its end).
    fn each_record(
        &self,
        span: &Span,
        found: &Found,
        means: &mut Means<'_>,
        mut see: impl FnMut(Offset, TimestampMs) -> bool,
    ) -> Result<bool, LookUpEnd> {
        let segment = &span.segment;
        let bad = |error: RecordError| match error {
            RecordError::Unread { reason } => self.read_failed(segment, std::io::Error::other(reason)),
            error => self.damaged(segment, found.position, &error.to_string()),
        };
        let opened = open_batch(&segment.log, found.position, found.header.size).map_err(|error| match error {
            NotOpened::Io(error) => self.read_failed(segment, error),
            NotOpened::Record(error) => bad(error),
        })?;
        // Behind the checksum, so what is wrong from here on was wrong when it came.
        let mut records = match RecordTimes::open(opened) {
            Ok(records) => records,
            Err(error @ RecordError::Unread { .. }) => return Err(bad(error).into()),
            Err(_) => return Ok(false),
        };
        loop {
            match records.next(means) {
                Ok(None) => return Ok(true),
                Ok(Some((offset, timestamp))) if see(offset, timestamp) => {}
                Ok(Some(_)) => return Ok(true),
                Err(Stop::Bad(error @ RecordError::Unread { .. })) => return Err(bad(error).into()),
                Err(Stop::Bad(_)) => return Ok(false),
                Err(Stop::TooLong) => return Err(LookUpEnd::TooLong),
                Err(Stop::NoMemory(bytes)) => {
                    let begins = found.header.base_offset.max(self.offsets().log_start);
                    return Err(LookUpEnd::NoMemory {
                        bytes,
                        batch: timed(found, (begins, found.header.max_timestamp)),
                    });
                }
            }
        }
    }
}

fn timed(found: &Found, (offset, timestamp): (Offset, TimestampMs)) -> TimedOffset {
    TimedOffset { offset, timestamp, epoch: found.header.leader_epoch }
}
