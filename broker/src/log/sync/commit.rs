//! The decisions of group commit, without I/O: which partitions are synced together, in which way, and when the
//! checkpoint is written. The flusher asks `next`, does it, reports with `synced`; nothing waits while there is work, so
//! a group is what became dirty during the sync of the group before. A failed sync changes the way until the restart.

use std::time::{Duration, Instant};

/// How often indexes and recovery points are written while they move (Kafka's
/// `log.flush.offset.checkpoint.interval.ms`).
pub(in crate::log) const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// The recovery points of logs that have sealed a segment are written at most so often: topics with small segments roll
/// hundreds of times a second, and everybody's syncs wait meanwhile.
pub(in crate::log) const POINTS_EVERY: Duration = Duration::from_secs(1);

/// How a group is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) enum Way {
    /// Nothing is dirty.
    Nothing,
    /// One file: fdatasync in place.
    OneFile,
    /// Several: one syncfs for all.
    FileSystem,
    /// Every file by itself: after a failed sync the errors of a whole file system cannot be told apart any more.
    EachFile,
}

/// What the flusher is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::log) enum Step<K> {
    /// Sync these together.
    Sync(Vec<K>),
    /// Write out indexes, sync them, write the recovery points.
    Checkpoint,
    /// Write the recovery points of those that have sealed a segment: a start need not read it again.
    RecoveryPoints,
    /// Wait this long; `None`: until something is queued.
    Wait(Option<Duration>),
    /// Everything is done and nothing more will come.
    Stop,
}

/// Who waits for a sync, and what is due.
#[derive(Debug)]
pub(in crate::log) struct GroupCommit<K> {
    dirty: Vec<K>,
    checkpoint_at: Option<Instant>,
    points_at: Option<Instant>,
    /// When recovery points were written last.
    points_written: Option<Instant>,
    stopping: bool,
    suspect: bool,
}

impl<K> GroupCommit<K> {
    pub(in crate::log) fn new() -> GroupCommit<K> {
        GroupCommit {
            dirty: Vec::new(),
            checkpoint_at: None,
            points_at: None,
            points_written: None,
            stopping: false,
            suspect: false,
        }
    }

    /// `key` has something to sync. The caller queues each key once.
    pub(in crate::log) fn dirty(&mut self, key: K) {
        self.dirty.push(key);
    }

    /// How many wait for the next group.
    pub(in crate::log) fn waiting(&self) -> usize {
        self.dirty.len()
    }

    /// No more work will come: the queued work is done, then `Stop`.
    pub(in crate::log) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Something was synced that the recovery points on disk do not say yet.
    pub(in crate::log) fn moved(&mut self, now: Instant, sealed: bool) {
        self.checkpoint_at.get_or_insert(now + CHECKPOINT_EVERY);
        if sealed {
            let next = self.points_written.map_or(now, |written| now.max(written + POINTS_EVERY));
            self.points_at.get_or_insert(next);
        }
    }

    /// The next thing to do. A checkpoint that is due comes first: under steady load there is always other work.
    pub(in crate::log) fn next(&mut self, now: Instant) -> Step<K> {
        let due = |at: Option<Instant>| !self.stopping && at.is_some_and(|at| at <= now);
        let (checkpoint, points) = (due(self.checkpoint_at), due(self.points_at));
        if checkpoint || points {
            (self.points_at, self.points_written) = (None, Some(now));
            if checkpoint {
                self.checkpoint_at = None;
                return Step::Checkpoint;
            }
            return Step::RecoveryPoints;
        }
        if !self.dirty.is_empty() {
            return Step::Sync(std::mem::take(&mut self.dirty));
        }
        if self.stopping {
            return Step::Stop;
        }
        let next = self.checkpoint_at.into_iter().chain(self.points_at).min();
        Step::Wait(next.map(|at| at - now))
    }

    /// The way for a group with this many dirty files and directories.
    pub(in crate::log) fn way(&self, files: usize) -> Way {
        match (files, self.suspect) {
            (0, _) => Way::Nothing,
            (1, _) => Way::OneFile,
            (_, true) => Way::EachFile,
            (_, false) => Way::FileSystem,
        }
    }

    /// A sync failed (rule 8). From now on no sync of the whole file system counts: the kernel reports each lost page only
    /// once.
    pub(in crate::log) fn failed(&mut self) {
        self.suspect = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Event {
        Append(u8),
        Flush { fails: bool },
        Pass(i64),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => (0u8..5).prop_map(Event::Append),
            3 => proptest::bool::weighted(0.05).prop_map(|fails| Event::Flush { fails }),
            1 => (0i64..100_000).prop_map(Event::Pass),
        ];
        proptest::collection::vec(event, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_append_is_in_a_sync_that_began_after_it_and_nothing_is_synced_twice(events in events()) {
            let clock = ManualClock::at(0);
            let mut commit = GroupCommit::new();
            let mut unsynced = [0u32; 5];
            let mut moved_at: Option<i64> = None;
            let mut failed = false;
            for event in events {
                match event {
                    Event::Append(key) => {
                        if unsynced[usize::from(key)] == 0 {
                            commit.dirty(key);
                        }
                        unsynced[usize::from(key)] += 1;
                    }
                    Event::Pass(ms) => clock.advance_ms(ms),
                    Event::Flush { fails } => match commit.next(clock.monotonic()) {
                        Step::Sync(group) => {
                            let expected: Vec<u8> = (0u8..5).filter(|key| unsynced[usize::from(*key)] > 0).collect();
                            let mut sorted = group.clone();
                            sorted.sort_unstable();
                            prop_assert_eq!(sorted, expected, "all that is dirty is in one group, once");
                            let way = commit.way(group.len());
                            prop_assert_eq!(way == Way::FileSystem, group.len() > 1 && !failed);
                            prop_assert_eq!(way == Way::OneFile, group.len() == 1);
                            unsynced = [0; 5];
                            if fails {
                                commit.failed();
                                failed = true;
                            } else {
                                commit.moved(clock.monotonic(), false);
                                moved_at.get_or_insert(clock.wall().0);
                            }
                        }
                        Step::Checkpoint => {
                            let since = moved_at.take();
                            prop_assert!(since.is_some_and(|at| clock.wall().0 - at >= 60_000));
                        }
                        Step::RecoveryPoints => prop_assert!(false, "nothing was sealed"),
                        Step::Wait(Some(wait)) => {
                            let at = moved_at.expect("waits for a checkpoint of something that moved");
                            prop_assert_eq!(i64::try_from(wait.as_millis()).unwrap(), at + 60_000 - clock.wall().0);
                        }
                        Step::Wait(None) => prop_assert!(moved_at.is_none()),
                        Step::Stop => prop_assert!(false, "nobody asked it to stop"),
                    },
                }
            }
            commit.stop();
            if unsynced.iter().any(|count| *count > 0) {
                prop_assert!(matches!(commit.next(clock.monotonic()), Step::Sync(_)));
            }
            prop_assert_eq!(commit.next(clock.monotonic()), Step::Stop);
        }
    }

    #[test]
    fn rolls_bring_the_recovery_points_forward_once_a_second_and_the_checkpoint_never() {
        let clock = ManualClock::at(0);
        let mut commit: GroupCommit<u8> = GroupCommit::new();
        commit.moved(clock.monotonic(), false);
        assert_eq!(commit.next(clock.monotonic()), Step::Wait(Some(CHECKPOINT_EVERY)));
        let mut written = Vec::new();
        for ms in 0..60_000 {
            commit.moved(clock.monotonic(), true);
            match commit.next(clock.monotonic()) {
                Step::RecoveryPoints => written.push(ms),
                step => assert!(matches!(step, Step::Wait(Some(_))), "{step:?} after {ms} ms"),
            }
            clock.advance_ms(1);
        }
        assert_eq!(written, (0..60).map(|second| second * 1_000).collect::<Vec<_>>());
        assert_eq!(commit.next(clock.monotonic()), Step::Checkpoint, "it is not put off either");
        assert_eq!(commit.next(clock.monotonic()), Step::Wait(None));
    }
}
