//! Which leader epoch the offsets of a partition were written in (rule 5): Kafka's `LeaderEpochFileCache` and its file
//! `leader-epoch-checkpoint`. One entry an epoch, made with the first append of a term. Pure: the caller writes the file
//! before it keeps a change.

use crate::ids::{LeaderEpoch, Offset};

/// Epochs and where they begin, both rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::log) struct Epochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl Epochs {
    /// Reads the file's text; `None` when it is not one.
    pub(in crate::log) fn parse(text: &str) -> Option<Epochs> {
        let mut lines = text.lines();
        if lines.next()?.trim() != "0" {
            return None;
        }
        let count: usize = lines.next()?.trim().parse().ok()?;
        let mut epochs = Epochs::default();
        for line in lines {
            let (epoch, start) = line.trim().split_once(' ')?;
            if !epochs.begin(LeaderEpoch(epoch.parse().ok()?), Offset(start.parse().ok()?)) {
                return None;
            }
        }
        (epochs.entries.len() == count).then_some(epochs)
    }

    /// The file's text.
    pub(in crate::log) fn text(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for (epoch, start) in &self.entries {
            text.push_str(&format!("{epoch} {start}\n"));
        }
        text
    }

    /// Adds an entry; `false` (and nothing changes) when epoch or offset would not rise.
    pub(in crate::log) fn begin(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let rises = self.entries.last().is_none_or(|(last, from)| epoch > *last && start >= *from);
        if rises {
            // An epoch in which nothing was kept has no offsets of its own (Kafka drops it as well).
            self.entries.retain(|(_, from)| *from < start);
            self.entries.push((epoch, start));
        }
        rises
    }

    /// The newest epoch.
    pub(in crate::log) fn last(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// Drops what begins at or above the end of the log.
    pub(in crate::log) fn cut(&mut self, end: Offset) {
        self.entries.retain(|(_, start)| *start < end);
    }

    /// Drops epochs that end at or before the start of the log; the one that is open there begins with it (Kafka's
    /// `truncateFromStart`).
    pub(in crate::log) fn cut_start(&mut self, start: Offset) {
        let begun = self.entries.partition_point(|(_, from)| *from <= start);
        if begun > 0 {
            self.entries.drain(..begun - 1);
            self.entries[0].1 = start;
        }
    }

    /// The epoch of `offset`; at and above the end it is `current`, in which the next append will be.
    pub(in crate::log) fn at(&self, offset: Offset, current: LeaderEpoch, leo: Offset) -> Option<LeaderEpoch> {
        if offset >= leo {
            return Some(current);
        }
        self.entries.iter().rev().find(|(_, start)| *start <= offset).map(|(epoch, _)| *epoch)
    }

    /// Kafka's `endOffsetFor`: the largest epoch at or below `asked` and where the next one begins, `end` for `current`.
    /// `None`: `asked` is newer than `current`. Older than everything known: `asked` itself, ending at the first start.
    pub(in crate::log) fn end_of(
        &self,
        asked: LeaderEpoch,
        current: LeaderEpoch,
        leo: Offset,
        end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if asked > current {
            return None;
        }
        if asked == current {
            return Some((current, end));
        }
        // A term in which nothing was appended yet begins at the end of the log.
        let open = (self.last() != Some(current)).then_some((current, leo));
        let mut below = None;
        for (epoch, start) in self.entries.iter().copied().chain(open) {
            if epoch > asked {
                return Some((below.unwrap_or(asked), start.min(end)));
            }
            below = Some(epoch);
        }
        below.map(|epoch| (epoch, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        for (epoch, start) in entries {
            assert!(epochs.begin(LeaderEpoch(*epoch), Offset(*start)));
        }
        epochs
    }

    fn end_of(epochs: &Epochs, asked: i32) -> Option<(i32, i64)> {
        let end = epochs.end_of(LeaderEpoch(asked), LeaderEpoch(7), Offset(50), Offset(45));
        end.map(|(epoch, end)| (epoch.0, end.0))
    }

    #[test]
    fn the_file_is_kafkas_and_is_read_back() {
        let written = epochs(&[(0, 0), (3, 20)]);
        assert_eq!(written.text(), "0\n2\n0 0\n3 20\n");
        assert_eq!(Epochs::parse(&written.text()), Some(written));
        assert_eq!(Epochs::parse("0\n0\n"), Some(Epochs::default()));
        for damaged in ["", "1\n0\n", "0\n2\n0 0\n", "0\n2\n3 0\n0 20\n", "0\n1\nx y\n"] {
            assert_eq!(Epochs::parse(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn rule_5_an_epoch_ends_where_the_next_begins_and_never_above_the_high_watermark() {
        let written = epochs(&[(2, 10), (4, 20), (7, 40)]);
        assert_eq!(end_of(&written, 1), Some((1, 10)));
        assert_eq!(end_of(&written, 2), Some((2, 20)));
        assert_eq!(end_of(&written, 3), Some((2, 20)));
        assert_eq!(end_of(&written, 6), Some((4, 40)));
        assert_eq!(end_of(&written, 7), Some((7, 45)));
        assert_eq!(end_of(&written, 8), None);
    }

    #[test]
    fn rule_5_a_term_without_appends_begins_at_the_end() {
        let written = epochs(&[(2, 10)]);
        assert_eq!(end_of(&written, 2), Some((2, 45)));
        assert_eq!(end_of(&written, 7), Some((7, 45)));
        assert_eq!(end_of(&Epochs::default(), 0), Some((0, 45)));
        assert_eq!(written.at(Offset(50), LeaderEpoch(7), Offset(50)), Some(LeaderEpoch(7)));
        assert_eq!(written.at(Offset(49), LeaderEpoch(7), Offset(50)), Some(LeaderEpoch(2)));
        assert_eq!(written.at(Offset(9), LeaderEpoch(7), Offset(50)), None);
    }

    #[test]
    fn epochs_below_the_start_are_dropped_and_the_open_one_begins_with_it() {
        for (start, left) in [
            (5, vec![(2, 10), (4, 20)]),
            (10, vec![(2, 10), (4, 20)]),
            (15, vec![(2, 15), (4, 20)]),
            (20, vec![(4, 20)]),
            (90, vec![(4, 90)]),
        ] {
            let mut written = epochs(&[(2, 10), (4, 20)]);
            written.cut_start(Offset(start));
            assert_eq!(written, epochs(&left), "{start}");
        }
        let mut none = Epochs::default();
        none.cut_start(Offset(3));
        assert_eq!(none, Epochs::default());
    }

    #[test]
    fn entries_above_the_end_are_dropped_and_epochs_never_go_back() {
        let mut written = epochs(&[(2, 10), (4, 20)]);
        written.cut(Offset(20));
        assert_eq!(written, epochs(&[(2, 10)]));
        assert!(!written.begin(LeaderEpoch(2), Offset(30)));
        assert!(!written.begin(LeaderEpoch(1), Offset(30)));
        assert!(written.begin(LeaderEpoch(9), Offset(10)));
        assert_eq!(written, epochs(&[(9, 10)]));
    }
}
