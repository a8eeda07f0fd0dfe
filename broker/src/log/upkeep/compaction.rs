//! Which stretch of a log is to be compacted now, and which of its segments become one. Pure: sizes, times and offsets
//! in, decisions out. Source: Kafka's `LogCleanerManager.grabFilthiestCompactedLog` and `Cleaner.groupSegmentsBySize`.

use std::ops::Range;

use crate::ids::{Offset, TimestampMs};
use crate::log::upkeep::policy::Compaction;

/// A sealed segment, as far as compaction goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct Piece {
    pub(in crate::log) base: Offset,
    /// Where the next one begins.
    pub(in crate::log) end: Offset,
    pub(in crate::log) bytes: u64,
    /// The largest timestamp.
    pub(in crate::log) newest: Option<TimestampMs>,
}

/// What is known of the log.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct Standing {
    pub(in crate::log) log_start: Offset,
    /// The recovery point that is on disk: nothing above is touched (rule 3).
    pub(in crate::log) point: Offset,
    /// Up to where earlier passes have come.
    pub(in crate::log) cleaned: Option<Offset>,
    /// The timestamp of the first record that no pass has seen.
    pub(in crate::log) oldest_dirty: Option<TimestampMs>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct Work {
    /// The first offset that no pass has seen.
    pub(in crate::log) from: Offset,
    /// Nothing at or above is touched; the end of a segment.
    pub(in crate::log) until: Offset,
}

/// The first offset that no pass has seen.
pub(in crate::log) fn first_dirty(standing: &Standing) -> Offset {
    standing.cleaned.map_or(standing.log_start, |cleaned| cleaned.max(standing.log_start))
}

/// The stretch that is due for a pass.
pub(in crate::log) fn due(pieces: &[Piece], rules: &Compaction, standing: &Standing, now: TimestampMs) -> Option<Work> {
    let young = |piece: &Piece| {
        rules.min_lag_ms > 0 && piece.newest.is_none_or(|newest| now.0.saturating_sub(newest.0) < rules.min_lag_ms)
    };
    let open = pieces.iter().take_while(|piece| piece.end <= standing.point && !young(piece));
    let until = open.last().map(|piece| piece.end)?;
    // A checkpoint beyond the end belongs to another log: start from the beginning.
    let from = Some(first_dirty(standing)).filter(|from| pieces.last().is_some_and(|last| *from <= last.end));
    let from = from.unwrap_or(standing.log_start);
    let (mut clean, mut dirty) = (0u128, 0u128);
    for piece in pieces.iter().filter(|piece| piece.end <= until) {
        *(if piece.end > from { &mut dirty } else { &mut clean }) += u128::from(piece.bytes);
    }
    let overdue = standing.oldest_dirty.is_some_and(|oldest| now.0.saturating_sub(oldest.0) > rules.max_lag_ms);
    let ratio = dirty * 1_000_000 > u128::from(rules.min_dirty_millionths) * (clean + dirty);
    (dirty > 0 && (ratio || overdue)).then_some(Work { from, until })
}

/// Segments side by side that fit into one: of their bytes, and of the offsets that an index entry can say.
pub(in crate::log) fn groups(pieces: &[Piece], segment_bytes: u64) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, piece) in pieces.iter().enumerate() {
        bytes += piece.bytes;
        match groups.last_mut() {
            Some(group)
                if bytes <= segment_bytes && piece.end.0 - pieces[group.start].base.0 <= i64::from(i32::MAX) =>
            {
                group.end = at + 1;
            }
            _ => {
                bytes = piece.bytes;
                groups.push(at..at + 1);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(10_000);

    fn rules() -> Compaction {
        Compaction { min_dirty_millionths: 500_000, min_lag_ms: 0, max_lag_ms: i64::MAX, delete_retention_ms: 0 }
    }

    /// Segments of ten offsets and these bytes, written at 1,000, 2,000, ….
    fn pieces(bytes: &[u64]) -> Vec<Piece> {
        let piece = |(at, bytes): (usize, &u64)| {
            let base = 10 * i64::try_from(at).unwrap();
            let newest = Some(TimestampMs(100 * (base + 10)));
            Piece { base: Offset(base), end: Offset(base + 10), bytes: *bytes, newest }
        };
        bytes.iter().enumerate().map(piece).collect()
    }

    fn standing(cleaned: i64) -> Standing {
        Standing { log_start: Offset(0), point: Offset(1_000), cleaned: Some(Offset(cleaned)), oldest_dirty: None }
    }

    fn due_at(rules: &Compaction, standing: &Standing) -> Option<(i64, i64)> {
        due(&pieces(&[100, 100, 100, 100]), rules, standing, NOW).map(|work| (work.from.0, work.until.0))
    }

    #[test]
    fn a_pass_is_due_when_enough_is_dirty_or_old() {
        assert_eq!(due_at(&rules(), &standing(0)), Some((0, 40)));
        assert_eq!(due_at(&rules(), &standing(10)), Some((10, 40)));
        assert_eq!(due_at(&rules(), &standing(20)), None, "half is not more than half");
        assert_eq!(due_at(&rules(), &standing(40)), None);
        let any = Compaction { min_dirty_millionths: 0, ..rules() };
        assert_eq!(due_at(&any, &standing(30)), Some((30, 40)));
        assert_eq!(due_at(&any, &standing(40)), None, "nothing is dirty");
        let old = Standing { oldest_dirty: Some(TimestampMs(4_000)), ..standing(30) };
        assert_eq!(due_at(&Compaction { max_lag_ms: 6_000, ..rules() }, &old), None);
        assert_eq!(due_at(&Compaction { max_lag_ms: 5_999, ..rules() }, &old), Some((30, 40)));
        assert_eq!(due_at(&any, &standing(70)), Some((0, 40)), "a checkpoint of another log");
    }

    #[test]
    fn rule_3_nothing_above_the_recovery_point_and_nothing_young_is_touched() {
        assert_eq!(due_at(&rules(), &Standing { point: Offset(39), ..standing(0) }), Some((0, 30)));
        assert_eq!(due_at(&Compaction { min_lag_ms: 7_000, ..rules() }, &standing(0)), Some((0, 30)));
        assert_eq!(due_at(&Compaction { min_lag_ms: 9_500, ..rules() }, &standing(0)), None);
    }

    #[test]
    fn small_neighbours_become_one_segment() {
        let parts = |bytes: &[u64]| groups(&pieces(bytes), 100);
        assert_eq!(parts(&[40, 40, 40, 100, 10, 200, 10]), [0..2, 2..3, 3..4, 4..5, 5..6, 6..7]);
        assert_eq!(parts(&[50, 50, 1]), [0..2, 2..3]);
        let mut far = pieces(&[1, 1]);
        far[1].end = Offset(i64::from(i32::MAX) + 1);
        assert_eq!(groups(&far, 100), [0..1, 1..2]);
    }
}
