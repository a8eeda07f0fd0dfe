//! Random sequences of what a partition does with its positions: rule 1 holds after each, nothing that must not go back
//! goes back, and HW moves by nothing but a completed sync or a topic that waits for none.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Append { count: i64, bytes: u64, indexed: bool },
    Roll,
    WriteIndexes,
    Want(i64),
    WantAll,
    BeginSync,
    EndSync,
    ShowAll,
    MoveStart(i64),
    RemoveSegments,
    Compact,
}

fn steps() -> impl Strategy<Value = (bool, Vec<Step>)> {
    let step = prop_oneof![
        6 => (1i64..5, 1u64..300, any::<bool>())
            .prop_map(|(count, bytes, indexed)| Step::Append { count, bytes, indexed }),
        2 => Just(Step::Roll),
        2 => Just(Step::WriteIndexes),
        1 => (0i64..60).prop_map(Step::Want),
        1 => Just(Step::WantAll),
        3 => Just(Step::BeginSync),
        3 => Just(Step::EndSync),
        2 => Just(Step::ShowAll),
        2 => (0i64..60).prop_map(Step::MoveStart),
        1 => Just(Step::RemoveSegments),
        1 => Just(Step::Compact),
    ];
    (any::<bool>(), proptest::collection::vec(step, 0..80))
}

/// A log as far as its positions go: the bases of its segments, and the sync under way.
struct Log {
    sync: bool,
    positions: Positions,
    bases: Vec<Offset>,
    under_way: Option<(Reach, Offset)>,
    /// Where the first index entry is that is in memory only.
    unindexed: Option<Offset>,
    /// The end of what a completed sync has covered.
    covered: Offset,
}

impl Log {
    fn new(sync: bool) -> Log {
        Log {
            sync,
            positions: Positions::empty(),
            bases: vec![Offset::ZERO],
            under_way: None,
            unindexed: None,
            covered: Offset::ZERO,
        }
    }

    fn step(&mut self, step: Step) {
        let positions = &mut self.positions;
        let leo = positions.leo();
        match step {
            Step::Append { count, bytes, indexed } => {
                let end = Mark { offset: Offset(leo.offset.0 + count), position: leo.position + bytes, ..leo };
                positions.appended(end, indexed);
                if indexed {
                    self.unindexed.get_or_insert(leo.offset);
                }
            }
            Step::Roll if leo.position > 0 => {
                positions.rolled();
                self.unindexed = None;
                self.bases.push(leo.offset);
            }
            Step::Roll => {}
            Step::WriteIndexes => {
                positions.indexed();
                self.unindexed = None;
            }
            Step::Want(until) => positions.want(Offset(until)),
            Step::WantAll => positions.want_all(),
            // There is one flusher.
            Step::BeginSync if self.under_way.is_none() => {
                let reach = positions.reach(self.sync, self.bases[self.bases.len() - 1]);
                assert!(!reach.takes_active || reach.until == leo, "whatever is in the file is synced with it");
                assert!(self.unindexed.is_none_or(|from| reach.recovery_point <= from));
                self.under_way = Some((reach, reach.until.offset));
            }
            Step::BeginSync => {}
            Step::EndSync => {
                if let Some((reach, until)) = self.under_way.take() {
                    self.covered = self.covered.max(until);
                    positions.sync_completed(reach);
                }
            }
            Step::ShowAll if !self.sync => positions.show_all(),
            Step::ShowAll => {}
            Step::MoveStart(to) => {
                let allowed = positions.may_begin_at(Offset(to)).is_ok();
                assert_eq!(allowed, Offset(to) <= positions.recovery_point());
                if allowed {
                    positions.log_start_moved(Offset(to));
                }
            }
            Step::RemoveSegments => {
                let until = positions.log_start();
                let count = self.bases.iter().skip(1).take_while(|base| **base <= until).count();
                self.bases.drain(..count);
                positions.segments_removed(self.bases[0]);
            }
            Step::Compact => {
                let until = positions.recovery_point();
                if let Some(end) = self.bases.iter().skip(1).rev().find(|base| **base <= until).copied() {
                    positions.segments_replaced(self.bases[0], end);
                    let first = self.bases[0];
                    self.bases.retain(|base| *base == first || *base >= end);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn rule_1_holds_after_whatever_happens_and_nothing_goes_back((sync, steps) in steps()) {
        let mut log = Log::new(sync);
        for step in steps {
            let before = log.positions.offsets();
            log.step(step);
            let now = log.positions.offsets();
            prop_assert!(now.log_start <= now.recovery_point && now.recovery_point <= now.hw && now.hw <= now.leo);
            prop_assert!(now.lso == now.hw, "there are no transactions");
            prop_assert!(before.log_start <= now.log_start && before.recovery_point <= now.recovery_point);
            prop_assert!(before.hw <= now.hw && before.leo <= now.leo);
            prop_assert!(now.recovery_point <= log.covered, "only a completed sync moves the recovery point");
            if sync {
                prop_assert_eq!(now.hw, log.covered, "HW is the end of what is synced");
            }
            for mark in [log.positions.synced, log.positions.hw, log.positions.leo] {
                prop_assert!(log.bases.contains(&mark.segment), "{mark:?} is in no segment of {:?}", log.bases);
            }
        }
    }
}

#[test]
fn a_sync_of_what_was_asked_for_reaches_the_active_segment_whatever_the_topic_waits_for() {
    let mut log = Log::new(false);
    log.step(Step::Append { count: 3, bytes: 100, indexed: false });
    assert!(!log.positions.reach(false, Offset::ZERO).takes_active);
    log.positions.want(Offset(1));
    let reach = log.positions.reach(false, Offset::ZERO);
    assert!(reach.takes_active && reach.moves);
    log.positions.show_all();
    assert_eq!(log.positions.offsets().recovery_point, Offset::ZERO, "shown, not synced");
    log.positions.sync_completed(reach);
    assert_eq!(log.positions.offsets().recovery_point, Offset(3));
}

#[test]
fn a_log_start_may_not_pass_the_recovery_point() {
    let mut log = Log::new(false);
    log.step(Step::Append { count: 3, bytes: 100, indexed: false });
    log.step(Step::ShowAll);
    assert!(matches!(log.positions.may_begin_at(Offset(1)), Err(LogError::Internal { .. })));
    let moved = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| log.positions.log_start_moved(Offset(1))));
    assert!(moved.is_err(), "rule 1");
}

#[test]
#[should_panic(expected = "an append moved LEO")]
fn leo_never_goes_back() {
    let mut positions = Positions::recovered(Offset::ZERO, Mark { position: 100, ..Mark::start_of(Offset(5)) }, None);
    positions.appended(Mark { position: 50, ..Mark::start_of(Offset(5)) }, false);
}
