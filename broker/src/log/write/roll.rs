//! A new segment: when one is due, and how it is begun. Its three files are created here, which may wait for the disk: a
//! network thread finds out with `must_roll`, or asks for the roll ahead of need, and leaves it to another thread. The flusher
//! syncs both segments before HW passes the new one's base.

use std::sync::Arc;

use crate::ids::{Offset, TimestampMs};
use crate::log::config::LogConfig;
use crate::log::error::LogError;
use crate::log::partition::Partition;
use crate::log::state::Writer;
use crate::log::write::producer_snapshot;
use crate::log::write::segment::{ActiveSegment, RollLimits, SEGMENT_BYTES_MAX};
use crate::record::BatchHeader;

/// A segment that has less than this part of its bytes left is rolled ahead of need, where nobody may wait.
const AHEAD_PART: u64 = 8;

impl Partition {
    /// Seals the active segment and begins a new one at `base`; the flusher syncs both before HW passes `base`.
    pub(in crate::log) fn roll(&self, writer: &mut Writer, base: Offset, now: TimestampMs) -> Result<(), LogError> {
        let Some(active) = writer.active.as_mut() else { return Err(self.no_active_segment()) };
        let mut files = Vec::new();
        let fresh = active
            .finish(&mut files)
            .and_then(|()| ActiveSegment::create(&*self.around.disk, &self.dir, &self.dir, base, now));
        self.view().pending.files.append(&mut files);
        let fresh = fresh.map_err(|error| LogError::io("cannot begin a new segment in", &self.dir, error))?;
        let shared = Arc::clone(fresh.shared());
        let Some(full) = writer.active.replace(fresh) else { return Err(self.no_active_segment()) };
        let sealed = full.seal();
        self.queue_snapshot(writer, base);
        let mut view = self.view();
        view.pending.files.push(Arc::clone(&sealed.segment.log));
        view.pending.dir = true;
        view.pending.sealed = true;
        view.positions.rolled();
        view.sealed.push(sealed);
        view.active = Some(shared);
        Ok(())
    }

    /// The producers as they are before `at`, for the flusher to write: a start reads no batches before it.
    pub(in crate::log) fn queue_snapshot(&self, writer: &mut Writer, at: Offset) {
        let bytes = producer_snapshot::encode(&writer.producers.entries());
        let mut view = self.view();
        let at_base = |before: &Offset| view.sealed.iter().any(|sealed| sealed.segment.base == *before);
        let active = view.active.as_ref().map(|active| active.base);
        // A newer snapshot replaces one that was taken at a stop; those at a segment's base are removed with the segment.
        let before = writer.snapshot_at.filter(|before| *before != at && Some(*before) != active && !at_base(before));
        view.obsolete = match view.obsolete {
            Some((older, _)) => Some((older, at)),
            None => before.map(|before| (before, at)),
        };
        view.pending.snapshots.push((at, bytes));
        writer.snapshot_at = Some(at);
    }

    /// Begins a new segment where the log ends, unless one begins there already; returns that offset. Blocking.
    ///
    /// # Errors
    /// The log's.
    pub(crate) fn seal(&self) -> Result<Offset, LogError> {
        let mut writer = self.writer();
        self.usable()?;
        let leo = self.view().positions.leo();
        if leo.position > 0 {
            self.roll(&mut writer, leo.offset, self.around.clock.wall())?;
            drop(writer);
            self.mark_dirty();
        }
        Ok(leo.offset)
    }

    /// The active segment is nearly full, and nobody was told yet: `roll_ahead` is due on a thread that may wait for the disk.
    /// For a caller that cannot leave the append itself to such a thread.
    pub(crate) fn wants_roll(&self) -> bool {
        let mut view = self.view();
        let wants = !view.roll_asked && self.nearly_full(view.positions.leo().position);
        view.roll_asked |= wants;
        wants
    }

    /// Rolls if the active segment is still nearly full. Blocking.
    ///
    /// # Errors
    /// The disk's; the next append asks again.
    pub(crate) fn roll_ahead(&self) -> Result<(), LogError> {
        let mut writer = self.writer();
        let leo = {
            let mut view = self.view();
            view.roll_asked = false;
            view.positions.leo()
        };
        if self.nearly_full(leo.position) && self.usable().is_ok() {
            self.roll(&mut writer, leo.offset, self.around.clock.wall())?;
            drop(writer);
            self.mark_dirty();
        }
        Ok(())
    }

    fn nearly_full(&self, used: u64) -> bool {
        let bytes = self.config.load().segment_bytes.min(SEGMENT_BYTES_MAX);
        used > 0 && used >= bytes - bytes / AHEAD_PART
    }
}

/// The active segment does not take a batch that is appended at `base` now.
pub(super) fn must_roll(
    writer: &Writer,
    config: &LogConfig,
    header: &BatchHeader,
    base: Offset,
    append_time: Option<TimestampMs>,
    now: TimestampMs,
) -> bool {
    let Some(active) = &writer.active else { return false };
    // As Kafka's `LogConfig.maxSegmentMs`: what is in the active segment cannot be compacted.
    let lag = config.cleanup.compact.as_ref().map_or(i64::MAX, |compact| compact.max_lag_ms);
    let limits = RollLimits { bytes: config.segment_bytes, ms: config.segment_ms.min(lag) };
    let last = Offset(base.0.saturating_add(i64::from(header.last_offset_delta)));
    active.must_roll(header.size, append_time.unwrap_or(header.max_timestamp), last, limits, now)
}
