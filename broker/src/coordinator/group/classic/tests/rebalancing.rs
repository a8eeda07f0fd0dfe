//! Dynamic members: ids, join and sync phases, sessions, protocols.

use super::*;

#[test]
fn a_lone_member_is_leader_of_generation_1_at_once_when_there_is_no_delay() {
    let mut bench = Bench::new(Duration::ZERO);
    let join = bench.join(&client("a"));
    let answer = bench.member(join);
    assert_eq!((answer.generation, answer.protocol.as_str()), (Generation(1), "range"));
    assert_eq!(answer.leader, answer.member);
    assert_eq!(answer.members, vec![(answer.member.clone(), None, Bytes::from_static(b"sub"))]);
    let sync = bench.sync(&answer.member, 1, &[(&answer.member, "all")]);
    assert!(bench.synced(sync).is_none(), "the assignment is not durable yet");
    bench.stored(&Ok(()));
    assert_eq!(bench.assignment(sync), "all");
    assert_eq!(bench.group.state(), GroupState::Stable);
}

#[test]
fn a_new_client_gets_an_id_first_and_joins_with_it_kip_394() {
    let mut bench = Bench::new(Duration::ZERO);
    let asks = JoinRequest { require_known_member: true, ..client("a") };
    let first = bench.join(&asks);
    let Some(Err(GroupError::MemberIdRequired { member })) = bench.joined(first).cloned() else { panic!("no id") };
    assert!(member.starts_with("a-"));
    assert_eq!(bench.group.state(), GroupState::Empty);
    let second = bench.join(&as_member(&asks, &member));
    assert_eq!(bench.member(second).member, member);
}

#[test]
fn an_id_that_is_not_used_lapses_after_a_session() {
    let mut bench = Bench::new(Duration::ZERO);
    let asks = JoinRequest { require_known_member: true, ..client("a") };
    let first = bench.join(&asks);
    let Some(Err(GroupError::MemberIdRequired { member })) = bench.joined(first).cloned() else { panic!("no id") };
    assert!(!bench.group.is_vacant());
    bench.pass(SESSION);
    assert!(bench.group.is_vacant());
    let late = bench.join(&as_member(&asks, &member));
    assert!(matches!(bench.joined(late), Some(Err(GroupError::UnknownMember { .. }))));
}

#[test]
fn the_first_rebalance_waits_while_members_keep_coming() {
    let mut bench = Bench::new(Duration::from_secs(3));
    let a = bench.join(&client("a"));
    bench.pass(Duration::from_secs(2));
    let b = bench.join(&client("b"));
    bench.pass(Duration::from_secs(1));
    assert!(bench.joined(a).is_none(), "b came in the meantime: three more seconds");
    bench.pass(Duration::from_secs(3));
    let (a, b) = (bench.member(a), bench.member(b));
    assert_eq!((a.generation, b.generation), (Generation(1), Generation(1)));
    assert_eq!(a.leader, a.member, "the first member leads");
    assert_eq!((a.members.len(), b.members.len()), (2, 0), "only the leader learns of everybody");
}

#[test]
fn followers_wait_for_the_leader_and_get_their_parts() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    let leader = bench.join(&as_member(&client("a"), &ids[0]));
    assert_eq!(bench.beat(&ids[1], 1).map_err(|e| e.to_string()), Err("group 'g' is rebalancing: join again".into()));
    bench.join(&as_member(&client("b"), &ids[1]));
    assert_eq!(bench.member(leader).generation, Generation(2));
    let follower = bench.sync(&ids[1], 2, &[]);
    assert!(bench.synced(follower).is_none());
    bench.sync(&ids[0], 2, &[(&ids[0], "x"), (&ids[1], "y")]);
    bench.stored(&Ok(()));
    assert_eq!(bench.assignment(follower), "y");
    let again = bench.sync(&ids[1], 2, &[]);
    assert_eq!(bench.assignment(again), "y", "a stable group tells again");
}

#[test]
fn a_follower_that_joins_again_unchanged_gets_the_current_generation() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    let again = bench.join(&as_member(&client("b"), &ids[1]));
    assert_eq!((bench.member(again).generation, bench.group.state()), (Generation(1), GroupState::Stable));
    let changed = JoinRequest { protocols: vec![("range".into(), Bytes::from_static(b"other"))], ..client("b") };
    bench.join(&as_member(&changed, &ids[1]));
    assert_eq!(bench.group.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_third_member_makes_waiting_syncs_rebalance() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    bench.join(&as_member(&client("a"), &ids[0]));
    bench.join(&as_member(&client("b"), &ids[1]));
    let waiting = bench.sync(&ids[1], 2, &[]);
    let third = bench.join(&client("c"));
    assert!(matches!(bench.synced(waiting), Some(Err(GroupError::RebalanceInProgress { .. }))));
    bench.join(&as_member(&client("a"), &ids[0]));
    bench.join(&as_member(&client("b"), &ids[1]));
    assert_eq!(bench.member(third).generation, Generation(3));
}

#[test]
fn an_assignment_that_became_durable_too_late_is_not_adopted() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    bench.join(&as_member(&client("a"), &ids[0]));
    bench.join(&as_member(&client("b"), &ids[1]));
    let leader = bench.sync(&ids[0], 2, &[]);
    bench.join(&client("c"));
    assert!(matches!(bench.synced(leader), Some(Err(GroupError::RebalanceInProgress { .. }))));
    bench.stored(&Ok(()));
    assert_eq!(bench.group.state(), GroupState::PreparingRebalance);
}

#[test]
fn an_assignment_that_cannot_be_stored_is_an_error_for_all_and_a_new_round() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    bench.join(&as_member(&client("a"), &ids[0]));
    bench.join(&as_member(&client("b"), &ids[1]));
    let follower = bench.sync(&ids[1], 2, &[]);
    let leader = bench.sync(&ids[0], 2, &[]);
    bench.stored(&log_failure());
    for at in [leader, follower] {
        assert!(matches!(bench.synced(at), Some(Err(GroupError::Log(_)))));
    }
    assert_eq!(bench.group.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_member_without_heartbeats_is_removed_after_its_session() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    bench.pass(Duration::from_secs(9));
    assert!(bench.beat(&ids[0], 1).is_ok());
    bench.pass(Duration::from_secs(2));
    assert!(matches!(bench.beat(&ids[1], 1), Err(GroupError::UnknownMember { .. })));
    assert!(matches!(bench.beat(&ids[0], 1), Err(GroupError::RebalanceInProgress { .. })));
    let alone = bench.join(&as_member(&client("a"), &ids[0]));
    assert_eq!(bench.member(alone).members.len(), 1);
}

#[test]
fn members_who_do_not_come_back_are_left_behind_when_the_rebalance_ends() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    let leader = bench.join(&as_member(&client("a"), &ids[0]));
    for _ in 0..12 {
        bench.pass(Duration::from_secs(5));
        let _ = bench.beat(&ids[1], 1);
    }
    let answer = bench.member(leader);
    assert_eq!((answer.generation, answer.members.len()), (Generation(2), 1));
    assert!(matches!(bench.beat(&ids[1], 2), Err(GroupError::UnknownMember { .. })));
}

#[test]
fn a_leader_that_does_not_come_back_loses_its_place() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    let changed = JoinRequest { protocols: vec![("range".into(), Bytes::from_static(b"new"))], ..client("b") };
    let follower = bench.join(&as_member(&changed, &ids[1]));
    bench.pass(SESSION);
    assert_eq!(bench.member(follower).leader, ids[1]);
}

#[test]
fn members_who_never_sync_are_removed_when_their_time_is_over() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    bench.join(&as_member(&client("a"), &ids[0]));
    bench.join(&as_member(&client("b"), &ids[1]));
    let follower = bench.sync(&ids[1], 2, &[]);
    for _ in 0..12 {
        bench.pass(Duration::from_secs(5));
        let _ = bench.beat(&ids[0], 2);
    }
    assert!(matches!(bench.synced(follower), Some(Err(GroupError::RebalanceInProgress { .. }))));
    assert!(matches!(bench.beat(&ids[0], 2), Err(GroupError::UnknownMember { .. })));
}

#[test]
fn a_new_member_whose_client_went_away_is_removed_after_five_minutes() {
    let long = JoinRequest { rebalance_timeout: Duration::from_secs(3600), ..client("a") };
    let (mut bench, ids) = Bench::stable(&[long]);
    let gone = bench.join(&client("b"));
    for _ in 0..60 {
        bench.pass(Duration::from_secs(5));
        let _ = bench.beat(&ids[0], 1);
    }
    assert!(matches!(bench.joined(gone), Some(Err(GroupError::UnknownMember { .. }))));
}

#[test]
fn the_last_one_out_leaves_an_empty_group_in_the_log() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    let outcomes = bench.leave(&[(&ids[0], None), ("nobody", None), (&ids[1], None)]);
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert!(matches!(&outcomes[1], Err(GroupError::UnknownMember { member, .. }) if member == "nobody"));
    assert_eq!(bench.group.state(), GroupState::Empty);
    let (stored, _) = bench.storing.pop().expect("a record");
    assert_eq!((stored.generation, stored.protocol, stored.leader), (Generation(2), None, None));
    assert!(stored.members.is_empty());
}

#[test]
fn a_member_that_leaves_while_it_waits_is_told_so() {
    let mut bench = Bench::new(Duration::from_secs(3));
    let waiting = bench.join(&client("a"));
    assert!(bench.leave(&[("a-u1", None)])[0].is_ok());
    assert!(matches!(bench.joined(waiting), Some(Err(GroupError::UnknownMember { .. }))));
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    bench.join(&as_member(&client("a"), &ids[0]));
    bench.join(&as_member(&client("b"), &ids[1]));
    let waiting = bench.sync(&ids[1], 2, &[]);
    assert!(bench.leave(&[(&ids[1], None)])[0].is_ok());
    assert!(matches!(bench.synced(waiting), Some(Err(GroupError::UnknownMember { .. }))));
}

#[test]
fn a_second_request_of_one_member_sends_the_first_away() {
    let (mut bench, ids) = Bench::stable(&[client("a"), client("b")]);
    let first = bench.join(&as_member(&client("a"), &ids[0]));
    let second = bench.join(&as_member(&client("a"), &ids[0]));
    assert!(matches!(bench.joined(first), Some(Err(GroupError::RebalanceInProgress { .. }))));
    bench.join(&as_member(&client("b"), &ids[1]));
    assert_eq!(bench.member(second).generation, Generation(2));
    let first = bench.sync(&ids[1], 2, &[]);
    let second = bench.sync(&ids[1], 2, &[]);
    assert!(matches!(bench.synced(first), Some(Err(GroupError::RebalanceInProgress { .. }))));
    bench.sync(&ids[0], 2, &[]);
    bench.stored(&Ok(()));
    assert_eq!(bench.assignment(second), "");
}

#[test]
fn the_protocol_is_chosen_by_vote_among_those_that_all_support() {
    let with = |name: &str, protocols: &[&str]| JoinRequest {
        protocols: protocols.iter().map(|p| ((*p).to_owned(), Bytes::new())).collect(),
        ..client(name)
    };
    let mut bench = Bench::new(Duration::from_secs(3));
    let a = bench.join(&with("a", &["range", "sticky", "odd"]));
    bench.join(&with("b", &["sticky", "range"]));
    bench.join(&with("c", &["sticky", "range"]));
    let other = bench.join(&with("d", &["roundrobin"]));
    assert!(matches!(bench.joined(other), Some(Err(GroupError::InconsistentProtocol { .. }))));
    let other = bench.join(&JoinRequest { protocol_type: "connect".into(), ..client("e") });
    assert!(matches!(bench.joined(other), Some(Err(GroupError::InconsistentProtocol { .. }))));
    bench.pass(Duration::from_secs(3));
    bench.pass(Duration::from_secs(3));
    assert_eq!(bench.member(a).protocol, "sticky");
}

#[test]
fn generations_and_members_are_checked_before_anything_is_done() {
    let (mut bench, ids) = Bench::stable(&[client("a")]);
    assert!(matches!(bench.beat(&ids[0], 2), Err(GroupError::IllegalGeneration { current: Generation(1), .. })));
    assert!(matches!(bench.beat("x", 1), Err(GroupError::UnknownMember { .. })));
    let sync = bench.sync(&ids[0], 0, &[]);
    assert!(matches!(bench.synced(sync), Some(Err(GroupError::IllegalGeneration { .. }))));
    let short = JoinRequest { session_timeout: Duration::from_secs(5), ..client("b") };
    let join = bench.join(&short);
    let expect = |answer: &GroupError| matches!(answer, GroupError::InvalidSessionTimeout { min_ms: 6_000, .. });
    assert!(bench.joined(join).is_some_and(|answer| answer.as_ref().is_err_and(expect)));
}

#[test]
fn a_full_group_turns_the_next_one_away() {
    let (mut bench, _) = Bench::stable(&[client("a"), client("b"), client("c"), client("d")]);
    let fifth = bench.join(&client("e"));
    assert!(matches!(bench.joined(fifth), Some(Err(GroupError::Full { limit: 4, .. }))));
    assert_eq!(bench.group.state(), GroupState::Stable);
}

#[test]
fn commits_need_the_current_membership_unless_the_group_is_empty() {
    let nobody = Membership::default();
    let mut bench = Bench::new(Duration::ZERO);
    let now = bench.now();
    assert!(bench.group.check_commit(&nobody, now).is_ok());
    let (mut bench, ids) = Bench::stable(&[client("a")]);
    let now = bench.now();
    assert!(bench.group.check_commit(&member_of(&ids[0], 1), now).is_ok());
    assert!(matches!(bench.group.check_commit(&nobody, now), Err(GroupError::UnknownMember { .. })));
    let old = bench.group.check_commit(&member_of(&ids[0], 0), now);
    assert!(matches!(old, Err(GroupError::IllegalGeneration { .. })));
    bench.join(&as_member(&client("a"), &ids[0]));
    assert_eq!(bench.group.state(), GroupState::CompletingRebalance);
    let early = bench.group.check_commit(&member_of(&ids[0], 2), now);
    assert!(matches!(early, Err(GroupError::RebalanceInProgress { .. })));
}

#[test]
fn a_broker_that_stops_answers_everybody() {
    let mut bench = Bench::new(Duration::from_secs(3));
    let waiting = bench.join(&client("a"));
    let effects = bench.group.give_up(&GroupError::Stopping);
    bench.take(effects);
    assert!(matches!(bench.joined(waiting), Some(Err(GroupError::Stopping))));
}

#[test]
fn a_member_inside_of_the_broker_leads_only_while_there_is_none_from_outside() {
    let inside = |name: &str| JoinRequest { in_process: true, ..client(name) };
    let (mut bench, ids) = Bench::stable(&[inside("a"), inside("b")]);
    let outside = bench.join(&client("c"));
    for (name, id) in ["a", "b"].into_iter().zip(&ids) {
        bench.join(&as_member(&inside(name), id));
    }
    let outside = bench.member(outside);
    assert_eq!((&outside.leader, outside.members.len()), (&outside.member, 3));
    assert!(bench.leave(&[(&outside.member, None)])[0].is_ok());
    let again: Vec<u64> =
        ["a", "b"].into_iter().zip(&ids).map(|(name, id)| bench.join(&as_member(&inside(name), id))).collect();
    let leaders: Vec<String> = again.into_iter().map(|at| bench.member(at).leader).collect();
    assert_eq!(leaders[0], leaders[1]);
    assert!(ids.contains(&leaders[0]), "one of those who are left");
}

#[test]
fn a_member_whose_metadata_would_make_the_groups_record_too_large_is_refused() {
    let mut bench = Bench::new(Duration::from_secs(3));
    let large = |name: &str| {
        let metadata = Bytes::from(vec![0; limits::GROUP_MEMBERS_BYTES_MAX / 2 - 1_000]);
        JoinRequest { protocols: vec![("range".into(), metadata)], ..client(name) }
    };
    let (a, _) = (bench.join(&large("a")), bench.join(&large("b")));
    let c = bench.join(&large("c"));
    let refused = bench.joined(c).cloned().expect("an answer").expect_err("a refusal");
    assert!(matches!(refused, GroupError::MembersTooLarge { .. }), "{refused}");
    bench.join(&client("d"));
    bench.pass(Duration::from_secs(3));
    bench.pass(Duration::from_secs(3));
    let a = bench.member(a);
    assert_eq!(a.members.len(), 3, "a small one is taken");
    let again = bench.join(&as_member(&large("a"), &a.member));
    assert!(bench.joined(again).is_none_or(Result::is_ok), "it replaces its own metadata");
}
