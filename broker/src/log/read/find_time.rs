//! Offsets by time (ListOffsets): the first record at or after a time, and the one with the largest timestamp. Both
//! look below HW only, ask the time indexes where to begin, and open no more than the one batch they end at.

use crate::ids::{LeaderEpoch, Offset, TimestampMs};
use crate::log::error::LogError;
use crate::log::index::time_index::Newest;
use crate::log::partition::Partition;
use crate::log::positions::Offsets;
use crate::log::read::scan::{Found, HeaderScan, read_bytes};
use crate::log::read::spans::Span;
use crate::record::{RecordView, check_stored, records};

/// Bytes read at once while headers are looked at.
const LOOK_AHEAD_BYTES: usize = 16 * 1_024;

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: TimestampMs,
    /// The epoch it was written in.
    pub epoch: LeaderEpoch,
}

impl Partition {
    /// First record below HW whose timestamp is at or after `at`.
    ///
    /// # Errors
    /// `Corrupt` where the log is damaged; `Deleted`, `Offline`, `Io`.
    pub fn find_time(&self, at: TimestampMs) -> Result<Option<TimedOffset>, LogError> {
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
                let wanted = |record: &RecordView| record.timestamp >= at && record.offset >= log_start;
                Ok(self.open(&span, found)?.into_iter().find(wanted).map(|record| timed(found, &record)))
            })?;
            if hit.is_some() {
                return Ok(hit);
            }
        }
        Ok(None)
    }

    /// The record below HW with the largest timestamp (the first of those).
    ///
    /// # Errors
    /// As `find_time`.
    pub fn find_max_time(&self) -> Result<Option<TimedOffset>, LogError> {
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
        let batch = self.open(&span, &found)?;
        let kept = batch.into_iter().filter(|record| record.offset >= log_start);
        // The first of the largest: `max_by_key` would take the last.
        Ok(kept
            .reduce(|best, next| if next.timestamp > best.timestamp { next } else { best })
            .map(|r| timed(&found, &r)))
    }

    /// The largest timestamp below HW in the segment that HW is in.
    fn newest_below(&self, span: &Span, hw: Offset) -> Result<Option<Newest>, LogError> {
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
        mut visit: impl FnMut(&Found) -> Result<Option<T>, LogError>,
    ) -> Result<Option<T>, LogError> {
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

    fn open(&self, span: &Span, found: &Found) -> Result<Vec<RecordView>, LogError> {
        let bytes = read_bytes(&*span.segment.log, found.position, found.header.size)
            .map_err(|error| self.read_failed(&span.segment, error))?;
        check_stored(bytes)
            .and_then(|batch| records(&batch))
            .map_err(|error| self.damaged(&span.segment, found.position, &error.to_string()))
    }
}

fn timed(found: &Found, record: &RecordView) -> TimedOffset {
    TimedOffset { offset: record.offset, timestamp: record.timestamp, epoch: found.header.leader_epoch }
}
