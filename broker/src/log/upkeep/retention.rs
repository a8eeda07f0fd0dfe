//! Which segments leave a log from its start on: those below the log start, those that `retention.bytes` has no room
//! for, those whose newest record is older than `retention.ms`. Pure: sizes, times and offsets in, a plan out. Source:
//! Kafka's `UnifiedLog.deleteOldSegments`.

use crate::ids::{Offset, TimestampMs};
use crate::log::upkeep::policy::Cleanup;

/// A segment, as far as its removal goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct Piece {
    /// Where the next one begins.
    pub(in crate::log) end: Offset,
    pub(in crate::log) bytes: u64,
    /// The largest timestamp; `None`: no record has one, and time alone never removes it.
    pub(in crate::log) newest: Option<TimestampMs>,
}

/// What must not be passed.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct Bounds {
    pub(in crate::log) log_start: Offset,
    /// Only what is synced is removed (rule 3).
    pub(in crate::log) recovery_point: Offset,
    pub(in crate::log) hw: Offset,
    /// A service of the broker still needs what is at and above it.
    pub(in crate::log) held: Offset,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct Plan {
    /// The log is to begin here; segments wholly below are removed.
    pub(in crate::log) log_start: Offset,
    /// The active segment is too old as well: it is sealed, and removed at the next pass.
    pub(in crate::log) roll: bool,
}

/// Looks at the segments in order, the active one last.
pub(in crate::log) fn plan(pieces: &[Piece], rules: &Cleanup, bounds: Bounds, now: TimestampMs) -> Plan {
    let mut plan = Plan { log_start: bounds.log_start, roll: false };
    let mut left: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    for (at, piece) in pieces.iter().enumerate() {
        let active = at + 1 == pieces.len();
        let below = !active && piece.end <= bounds.log_start;
        let too_much = rules.retention_bytes.is_some_and(|keep| left - piece.bytes >= keep);
        let too_old =
            rules.retention_ms.zip(piece.newest).is_some_and(|(keep, newest)| now.0.saturating_sub(newest.0) > keep);
        if !below && !(rules.delete && (too_much || too_old)) {
            break;
        }
        if piece.end > bounds.hw.min(bounds.held) {
            break;
        }
        if active {
            plan.roll = piece.bytes > 0;
            break;
        }
        if piece.end > bounds.recovery_point {
            break;
        }
        left -= piece.bytes;
        plan.log_start = plan.log_start.max(piece.end);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FREE: Bounds =
        Bounds { log_start: Offset(0), recovery_point: Offset(1_000), hw: Offset(1_000), held: Offset(1_000) };

    /// Segments of ten offsets and 100 bytes each with these newest timestamps; the last one is active.
    fn pieces(newest: &[i64]) -> Vec<Piece> {
        let piece = |(at, time): (usize, &i64)| Piece {
            end: Offset(10 * (at as i64 + 1)),
            bytes: 100,
            newest: (*time >= 0).then_some(TimestampMs(*time)),
        };
        newest.iter().enumerate().map(piece).collect()
    }

    fn keep(ms: Option<i64>, bytes: Option<u64>) -> Cleanup {
        Cleanup { delete: true, retention_ms: ms, retention_bytes: bytes, file_delete_delay_ms: 0, compact: None }
    }

    fn planned(newest: &[i64], rules: &Cleanup, bounds: Bounds) -> (i64, bool) {
        let Plan { log_start, roll } = plan(&pieces(newest), rules, bounds, TimestampMs(1_000));
        (log_start.0, roll)
    }

    #[test]
    fn time_removes_from_the_start_up_to_the_first_segment_that_is_young_enough() {
        assert_eq!(planned(&[100, 899, 900, 100], &keep(Some(100), None), FREE), (20, false));
        assert_eq!(planned(&[100, 200, 300], &keep(Some(100), None), FREE), (20, true), "the active one is rolled");
        assert_eq!(planned(&[100, 2_000, 300], &keep(Some(100), None), FREE), (10, false), "the future is never old");
        assert_eq!(planned(&[-1, 1], &keep(Some(100), None), FREE), (0, false), "without timestamps never by time");
        assert_eq!(planned(&[1, 1], &keep(None, None), FREE), (0, false));
    }

    #[test]
    fn size_removes_while_the_rest_is_still_large_enough() {
        let newest = [1_000; 4];
        for (bytes, start) in [(400, 0), (301, 0), (300, 10), (299, 10), (200, 20), (100, 30)] {
            assert_eq!(planned(&newest, &keep(None, Some(bytes)), FREE), (start, false), "{bytes}");
        }
        assert_eq!(planned(&newest, &keep(None, Some(0)), FREE), (30, true));
    }

    #[test]
    fn rule_3_only_sealed_segments_below_the_recovery_point_and_hw_go() {
        let all = keep(Some(0), None);
        let newest = [1, 1, 1, 1];
        assert_eq!(planned(&newest, &all, Bounds { recovery_point: Offset(29), ..FREE }), (20, false));
        assert_eq!(planned(&newest, &all, Bounds { hw: Offset(39), ..FREE }), (30, false), "not rolled either");
        assert_eq!(planned(&newest, &all, Bounds { held: Offset(10), ..FREE }), (10, false));
    }

    #[test]
    fn without_delete_only_what_is_below_the_log_start_goes() {
        let rules = Cleanup { delete: false, ..keep(Some(0), Some(0)) };
        assert_eq!(planned(&[1; 4], &rules, FREE), (0, false));
        assert_eq!(planned(&[1; 4], &rules, Bounds { log_start: Offset(25), ..FREE }), (25, false));
    }

    proptest! {
        #[test]
        fn the_start_never_goes_back_nor_passes_a_bound(
            newest in proptest::collection::vec(-1i64..2_000, 1..8),
            ms in proptest::option::of(0i64..2_000),
            bytes in proptest::option::of(0u64..900),
            limits in (0i64..80, 0i64..80, 0i64..80),
        ) {
            let hw = Offset(limits.0);
            let bounds = Bounds { log_start: Offset(limits.1.min(limits.0)), recovery_point: hw, hw, held: Offset(limits.2) };
            let Plan { log_start, .. } = plan(&pieces(&newest), &keep(ms, bytes), bounds, TimestampMs(1_000));
            prop_assert!(log_start >= bounds.log_start);
            prop_assert!(log_start == bounds.log_start || (log_start <= hw && log_start <= bounds.held));
            prop_assert!(log_start == bounds.log_start || log_start.0 < 10 * newest.len() as i64, "never the active one");
        }
    }
}
