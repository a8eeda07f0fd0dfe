//! A group after a restart of the broker.

use super::*;

fn restarted(bench: &Bench, stored: GroupMetadata) -> Bench {
    let clock = ManualClock::at(bench.clock.wall().0);
    let now = Now { mono: clock.monotonic(), wall: clock.wall() };
    let payer = crate::coordinator::group::payer::Payer::broker(bench.memory.state());
    let group = ClassicGroup::restore("g", rules(Duration::ZERO), stored, &payer, now);
    Bench::over(clock, group)
}

fn last_record(bench: &mut Bench, ids: &[String]) -> GroupMetadata {
    bench.join(&as_member(&client("a"), &ids[0]));
    bench.join(&as_member(&client("b"), &ids[1]));
    bench.sync(&ids[1], 2, &[]);
    bench.sync(&ids[0], 2, &[(&ids[0], "x"), (&ids[1], "y")]);
    bench.storing.pop().expect("a record").0
}

#[test]
fn members_go_on_over_a_restart_in_their_generation() {
    let (mut before, ids) = Bench::stable(&[client("a"), client("b")]);
    let record = last_record(&mut before, &ids);
    let mut bench = restarted(&before, record);
    assert_eq!(bench.group.state(), GroupState::Stable);
    assert!(bench.beat(&ids[0], 2).is_ok());
    let sync = bench.sync(&ids[1], 2, &[]);
    assert_eq!(bench.assignment(sync), "y");
    let now = bench.now();
    assert!(bench.group.check_commit(&member_of(&ids[1], 2), now).is_ok());
    let follower = bench.join(&as_member(&client("b"), &ids[1]));
    assert_eq!(bench.member(follower).generation, Generation(2));
}

#[test]
fn members_who_do_not_show_themselves_are_gone_after_a_session() {
    let (mut before, ids) = Bench::stable(&[client("a"), client("b")]);
    let record = last_record(&mut before, &ids);
    let mut bench = restarted(&before, record);
    bench.pass(Duration::from_secs(9));
    assert!(bench.beat(&ids[0], 2).is_ok());
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.group.describe().members.len(), 1);
    bench.pass(SESSION);
    assert_eq!(bench.group.state(), GroupState::Empty);
}

#[test]
fn an_empty_group_keeps_its_generation() {
    let (mut before, ids) = Bench::stable(&[client("a")]);
    before.leave(&[(&ids[0], None)]);
    let record = before.storing.pop().expect("a record").0;
    let mut bench = restarted(&before, record);
    assert_eq!(bench.group.state(), GroupState::Empty);
    let join = bench.join(&client("a"));
    assert_eq!(bench.member(join).generation, Generation(3));
}
