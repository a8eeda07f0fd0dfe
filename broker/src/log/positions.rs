//! Where a log stands: log start, recovery point, synced mark, HW, LSO and LEO. The fields are private and move only by
//! the transitions below, each of which asserts rule 1: log start <= recovery point <= HW <= LEO, and LSO <= HW (rule 2).
//! A broken rule is a bug that would lose or invent records, so the assertions hold in release builds as well: the panic
//! poisons the partition. Pure: no I/O, no lock; the partition keeps its positions under the view's lock.

use super::error::LogError;
use crate::ids::Offset;

/// The positions that callers outside of the log see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// The first offset that can be read.
    pub log_start: Offset,
    /// Below it log, indexes and names are synced.
    pub recovery_point: Offset,
    /// The high watermark: the end of what may be shown.
    pub hw: Offset,
    /// The last stable offset: the end of what a consumer with `read_committed` may see.
    pub(crate) lso: Offset,
    /// The log end offset: where the next append goes. Never shown outside of the broker.
    pub leo: Offset,
}

/// An offset and the place of its batch's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct Mark {
    pub(in crate::log) offset: Offset,
    /// Base offset of the segment.
    pub(in crate::log) segment: Offset,
    /// Byte of the segment's `.log`.
    pub(in crate::log) position: u64,
}

impl Mark {
    /// The first byte of the segment that begins at `base`.
    pub(in crate::log) fn start_of(base: Offset) -> Mark {
        Mark { offset: base, segment: base, position: 0 }
    }
}

/// How far a sync will reach that begins now.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct Reach {
    until: Mark,
    recovery_point: Offset,
    /// The active segment's `.log` has to be synced for it.
    pub(in crate::log) takes_active: bool,
    /// Its completion moves the synced mark or the recovery point.
    pub(in crate::log) moves: bool,
}

impl Reach {
    /// The recovery point stays: something that it stands for could not be written.
    pub(in crate::log) fn keep_recovery_point(&mut self) {
        self.recovery_point = Offset::ZERO;
    }
}

/// The positions of one log.
#[derive(Debug)]
pub(in crate::log) struct Positions {
    log_start: Offset,
    recovery_point: Offset,
    /// Everything below is synced in the `.log`.
    synced: Mark,
    hw: Mark,
    lso: Offset,
    leo: Mark,
    /// The first batch whose index entry is not in the index file yet: the recovery point may not pass it.
    unindexed_from: Option<Offset>,
    /// A sync up to here was asked for, whatever `sluice.flush` says.
    wanted: Offset,
}

impl Positions {
    /// A new, empty log.
    pub(in crate::log) fn empty() -> Positions {
        Positions::recovered(Offset::ZERO, Mark::start_of(Offset::ZERO), None)
    }

    /// A log that recovery has synced up to `end`.
    pub(in crate::log) fn recovered(log_start: Offset, end: Mark, unindexed_from: Option<Offset>) -> Positions {
        let positions = Positions {
            log_start,
            recovery_point: unindexed_from.unwrap_or(end.offset),
            synced: end,
            hw: end,
            lso: end.offset,
            leo: end,
            unindexed_from,
            wanted: end.offset,
        };
        positions.checked()
    }

    pub(in crate::log) fn log_start(&self) -> Offset {
        self.log_start
    }

    pub(in crate::log) fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    pub(in crate::log) fn synced(&self) -> Offset {
        self.synced.offset
    }

    pub(in crate::log) fn hw(&self) -> Mark {
        self.hw
    }

    pub(in crate::log) fn leo(&self) -> Mark {
        self.leo
    }

    pub(in crate::log) fn offsets(&self) -> Offsets {
        Offsets {
            log_start: self.log_start,
            recovery_point: self.recovery_point,
            hw: self.hw.offset,
            lso: self.lso,
            leo: self.leo.offset,
        }
    }

    /// A batch was written that ends at `end`. `indexed`: it has an index entry, which is in memory only.
    pub(in crate::log) fn appended(&mut self, end: Mark, indexed: bool) {
        assert!(end.offset > self.leo.offset, "an append moved LEO from {} to {}", self.leo.offset, end.offset);
        if indexed {
            self.unindexed_from.get_or_insert(self.leo.offset);
        }
        self.leo = end;
    }

    /// A new segment begins at LEO; the indexes of the one before are complete in their files.
    pub(in crate::log) fn rolled(&mut self) {
        self.leo = Mark::start_of(self.leo.offset);
        self.unindexed_from = None;
    }

    /// All index entries are in their files.
    pub(in crate::log) fn indexed(&mut self) {
        self.unindexed_from = None;
    }

    /// Asks for a sync up to `until`, or to LEO if that comes first.
    pub(in crate::log) fn want(&mut self, until: Offset) {
        self.wanted = self.wanted.max(until.min(self.leo.offset));
    }

    /// Asks for a sync of everything that is there.
    pub(in crate::log) fn want_all(&mut self) {
        self.wanted = self.leo.offset;
    }

    /// How far a sync reaches that begins now; `all`: the topic waits for its syncs. `active` is the base of the active
    /// segment.
    pub(in crate::log) fn reach(&self, all: bool, active: Offset) -> Reach {
        // Also where only the recovery point is behind and this sync would move it: a new log start waits for that.
        let indexed = self.unindexed_from.is_none_or(|from| from >= self.wanted);
        let with_active = all || self.wanted > self.synced.offset || (indexed && self.wanted > self.recovery_point);
        let until = if with_active { self.leo } else { Mark::start_of(active) };
        let recovery_point = self.unindexed_from.map_or(until.offset, |from| from.min(until.offset));
        Reach {
            until,
            recovery_point,
            takes_active: with_active && until.position > 0 && until.offset > self.synced.offset,
            moves: until.offset > self.synced.offset || recovery_point > self.recovery_point,
        }
    }

    /// The sync that was to reach so far is complete: the recovery point moves, and HW where it waited for it.
    pub(in crate::log) fn sync_completed(&mut self, reach: Reach) {
        if reach.until.offset > self.synced.offset {
            self.synced = reach.until;
        }
        if self.synced.offset > self.hw.offset {
            self.raise_hw(self.synced);
        }
        self.recovery_point = self.recovery_point.max(reach.recovery_point);
        self.check();
    }

    /// HW = LEO, in a topic that does not wait for syncs (rule 1).
    pub(in crate::log) fn show_all(&mut self) {
        self.raise_hw(self.leo);
        self.check();
    }

    /// Rule 1: a log start above the recovery point could be durable without the records at it. Asked before the
    /// checkpoint of log starts is written.
    pub(in crate::log) fn may_begin_at(&self, start: Offset) -> Result<(), LogError> {
        if start <= self.recovery_point {
            return Ok(());
        }
        Err(LogError::Internal { what: format!("log start {start} would pass recovery point {}", self.recovery_point) })
    }

    /// The log begins at `start`, which is durable in the checkpoint. `false`: it began there or later already.
    pub(in crate::log) fn log_start_moved(&mut self, start: Offset) -> bool {
        if start <= self.log_start {
            return false;
        }
        self.log_start = start;
        self.check();
        true
    }

    /// The segments below `first`, the base of one that stays, are removed: a mark at the end of one of them is the start
    /// of `first`.
    pub(in crate::log) fn segments_removed(&mut self, first: Offset) {
        self.renew_marks(first, |segment| segment < first);
    }

    /// The segments from `base` to `end`, the base of the one behind them, are replaced: positions in them have changed.
    pub(in crate::log) fn segments_replaced(&mut self, base: Offset, end: Offset) {
        self.renew_marks(end, |segment| (base..end).contains(&segment));
    }

    fn renew_marks(&mut self, next: Offset, changed: impl Fn(Offset) -> bool) {
        for mark in [&mut self.synced, &mut self.hw, &mut self.leo] {
            if changed(mark.segment) {
                // Rule 3: only segments wholly below the recovery point are touched, so nothing but their end is marked.
                assert!(mark.offset == next, "a mark at {} was in a segment that ends at {next}", mark.offset);
                *mark = Mark::start_of(next);
            }
        }
    }

    /// LSO moves with HW: there are no transactions that would hold it back.
    fn raise_hw(&mut self, to: Mark) {
        self.hw = to;
        self.lso = to.offset;
    }

    fn checked(self) -> Positions {
        self.check();
        self
    }

    /// Rule 1, with the synced mark in its place.
    fn check(&self) {
        let ordered = self.log_start <= self.recovery_point
            && self.recovery_point <= self.synced.offset
            && self.synced.offset <= self.hw.offset
            && self.hw.offset <= self.leo.offset
            && self.lso <= self.hw.offset;
        assert!(ordered, "rule 1 is broken: {self:?}");
    }
}

#[cfg(test)]
mod tests;
