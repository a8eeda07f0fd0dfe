//! Static members (KIP-345, KIP-814).

use super::*;

#[test]
fn a_static_member_comes_back_with_its_assignment_and_without_a_rebalance() {
    let (mut bench, ids) = Bench::stable(&[instance("i"), client("b")]);
    let old = ids.iter().find(|id| id.starts_with("i-")).expect("the static member").clone();
    let back = bench.join(&instance("i"));
    assert!(bench.joined(back).is_none(), "its new id is not durable yet");
    bench.stored(&Ok(()));
    let answer = bench.member(back);
    assert_ne!(answer.member, old);
    assert_eq!((answer.generation, bench.group.state()), (Generation(1), GroupState::Stable));
    let sync = bench.sync(&answer.member, 1, &[]);
    assert_eq!(bench.assignment(sync), "part");
    let fenced = Membership { instance: Some("i".into()), ..member_of(&old, 1) };
    let now = bench.now();
    assert!(matches!(bench.group.heartbeat(&fenced, now), Err(GroupError::FencedInstance { .. })));
}

#[test]
fn a_static_leader_that_comes_back_is_told_to_skip_the_assignment_where_it_can_kip_814() {
    let (mut bench, _) = Bench::stable(&[instance("i")]);
    let back = bench.join(&JoinRequest { supports_skip_assignment: true, ..instance("i") });
    bench.stored(&Ok(()));
    let answer = bench.member(back);
    assert!(answer.skip_assignment && answer.leader == answer.member && answer.members.len() == 1);
    let back = bench.join(&instance("i"));
    bench.stored(&Ok(()));
    let older = bench.member(back);
    assert_eq!(older.leader, answer.member, "an older client takes itself for a follower");
    assert!(!older.skip_assignment && older.members.is_empty());
}

#[test]
fn a_static_member_whose_new_id_cannot_be_stored_is_turned_back() {
    let (mut bench, ids) = Bench::stable(&[instance("i"), client("b")]);
    let old = ids.iter().find(|id| id.starts_with("i-")).expect("the static member").clone();
    let back = bench.join(&instance("i"));
    bench.stored(&log_failure());
    assert!(matches!(bench.joined(back), Some(Err(GroupError::Log(_)))));
    assert!(bench.beat(&old, 1).is_ok());
}

#[test]
fn whoever_waits_under_the_old_id_is_fenced() {
    let mut bench = Bench::new(Duration::from_secs(3));
    let first = bench.join(&instance("i"));
    let second = bench.join(&instance("i"));
    assert!(matches!(bench.joined(first), Some(Err(GroupError::FencedInstance { .. }))));
    bench.pass(Duration::from_secs(3));
    assert_eq!(bench.member(second).members.len(), 1);
}

#[test]
fn a_static_member_that_comes_back_during_the_sync_phase_begins_a_new_round() {
    let (mut bench, ids) = Bench::stable(&[instance("i"), client("b")]);
    let b = ids.iter().find(|id| id.starts_with("b-")).expect("the dynamic member").clone();
    let i = ids.iter().find(|id| id.starts_with("i-")).expect("the static member").clone();
    let leads_anew = |id: &str| JoinRequest { member: Some(id.to_owned()), ..client("x") };
    bench.join(&JoinRequest { instance: Some("i".into()), ..leads_anew(&i) });
    bench.join(&JoinRequest { protocols: vec![("range".into(), Bytes::from_static(b"n"))], ..leads_anew(&b) });
    assert_eq!(bench.group.state(), GroupState::CompletingRebalance);
    bench.join(&instance("i"));
    assert_eq!(bench.group.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_static_member_may_be_away_for_a_rebalance_and_keeps_its_place_until_its_session_ends() {
    let (mut bench, ids) = Bench::stable(&[client("b"), instance("i")]);
    let b = ids.iter().find(|id| id.starts_with("b-")).expect("the dynamic member").clone();
    let patient = JoinRequest { session_timeout: Duration::from_secs(600), ..instance("i") };
    bench.join(&patient);
    bench.stored(&Ok(()));
    let changed = JoinRequest { protocols: vec![("range".into(), Bytes::from_static(b"n"))], ..client("b") };
    let join = bench.join(&as_member(&changed, &b));
    bench.pass(REBALANCE);
    assert_eq!(bench.member(join).generation, Generation(2));
    let members = bench.group.describe().members;
    assert_eq!(members.iter().filter(|member| member.instance.as_deref() == Some("i")).count(), 1);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_name() {
    let (mut bench, _) = Bench::stable(&[instance("i")]);
    let outcomes = bench.leave(&[("", Some("other")), ("", Some("i"))]);
    assert!(matches!(outcomes[0], Err(GroupError::UnknownMember { .. })));
    assert!(outcomes[1].is_ok());
    assert_eq!(bench.group.state(), GroupState::Empty);
}

#[test]
fn a_static_member_that_asks_for_no_rebalance_time_does_not_keep_the_timer_busy() {
    let (mut bench, ids) = Bench::stable(&[instance("i")]);
    bench.join(&JoinRequest { rebalance_timeout: Duration::ZERO, ..instance("i") });
    bench.stored(&Ok(()));
    assert_eq!(bench.group.state(), GroupState::Stable, "it takes its assignment over");
    let asks = JoinRequest { require_known_member: true, ..client("b") };
    let promised = bench.join(&asks);
    let Some(Err(GroupError::MemberIdRequired { member })) = bench.joined(promised).cloned() else { panic!("no id") };
    assert!(bench.leave(&[(&member, None)])[0].is_ok());
    assert_eq!(bench.group.state(), GroupState::PreparingRebalance, "the static member has not joined again");
    let mut ticks = 0;
    while bench.group.describe().members.iter().any(|member| member.member != ids[0]) {
        let next = bench.group.wake_by().expect("its session ends at some time");
        bench.pass(next.saturating_duration_since(bench.now().mono));
        let wake_by = bench.group.wake_by();
        assert!(wake_by.is_none_or(|at| at > next), "what was due is due again");
        ticks += 1;
        assert!(ticks <= 11, "a tick a second until its session of ten seconds ends");
    }
    assert_eq!(bench.group.state(), GroupState::Empty);
}
