//! Joins and syncs through the shell: restarts, clients that go away, the stop.

use super::*;
use crate::log::io::faulty::WriteFault;

#[tokio::test]
async fn nothing_is_made_before_a_group_needs_it() {
    let rig = Rig::new().await;
    assert!(rig.groups.heartbeat("g", &Membership::default()).await.is_err());
    assert!(rig.groups.committed("g", None).await.expect("an answer").is_empty());
    assert!(rig.catalog.topic(OFFSETS_TOPIC).is_err());
    rig.groups.join(client("a")).await.expect("a member");
    let topic = rig.catalog.topic(OFFSETS_TOPIC).expect("the offsets topic");
    assert_eq!((topic.partition_count(), topic.internal(), topic.configs().compacted()), (50, true, true));
}

#[tokio::test]
async fn a_member_goes_on_over_a_restart_of_the_broker() {
    let rig = Rig::new().await;
    let who = rig.stable_member().await;
    let rig = rig.restarted().await;
    rig.groups.heartbeat("g", &who).await.expect("still a member");
    let description = rig.groups.describe("g").expect("a group");
    assert_eq!((description.state, description.members.len()), (GroupState::Stable, 1));
    assert_eq!(description.members[0].assignment, "all");
    rig.pass(Duration::from_secs(11));
    assert!(matches!(rig.groups.heartbeat("g", &who).await, Err(GroupError::UnknownMember { .. })));
    let rig = rig.restarted().await;
    assert_eq!(rig.groups.describe("g").expect("a group").state, GroupState::Empty);
    assert_eq!(rig.groups.join(client("b")).await.expect("a member").generation, Generation(3));
}

#[tokio::test]
async fn an_assignment_is_told_only_when_it_is_durable_rule_2() {
    let rig = Rig::new().await;
    rig.stable_member().await;
    let home = rig.home();
    let offsets = home.offsets();
    assert_eq!(offsets.hw, offsets.leo);
    assert_eq!(offsets.hw, Offset(1), "one record: the generation with its assignment");
}

#[tokio::test]
async fn followers_get_their_part_when_the_leaders_client_is_gone() {
    let rig = Rig::new().await;
    let first = rig.groups.join(client("a")).await.expect("a member");
    let b = rig.groups.join(client("b"));
    let mut b = std::pin::pin!(b);
    arrived(b.as_mut()).await;
    let a = rig.groups.join(as_member("a", &first.member)).await.expect("the next generation");
    let b = b.await.expect("the next generation");
    assert_eq!(a.leader, a.member);
    let follower = rig.groups.sync(sync_of(&b, Vec::new()));
    let mut follower = std::pin::pin!(follower);
    arrived(follower.as_mut()).await;
    {
        let parts = vec![(b.member.clone(), Bytes::from_static(b"half"))];
        let leader = rig.groups.sync(sync_of(&a, parts));
        arrived(std::pin::pin!(leader).as_mut()).await;
    }
    assert_eq!(follower.await.expect("an assignment").assignment, "half");
}

#[tokio::test]
async fn a_client_that_goes_away_while_joining_holds_nobody_up_for_ever() {
    let rig = Rig::new().await;
    let who = rig.stable_member().await;
    {
        let gone = rig.groups.join(client("b"));
        arrived(std::pin::pin!(gone).as_mut()).await;
    }
    let mut rejoined = Box::pin(rig.groups.join(as_member("a", &who.member)));
    let answer = match futures::poll!(rejoined.as_mut()) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => rejoined.await,
    };
    assert_eq!(answer.expect("the next generation").generation, Generation(2));
    rig.pass(Duration::from_secs(11));
    let members = rig.groups.describe("g").expect("a group").members;
    assert!(members.is_empty(), "neither of them has shown itself: {members:?}");
}

#[tokio::test]
async fn an_id_that_is_never_used_leaves_no_group_behind() {
    let rig = Rig::new().await;
    let asks = JoinRequest { require_known_member: true, ..client("a") };
    assert!(matches!(rig.groups.join(asks).await, Err(GroupError::MemberIdRequired { .. })));
    assert_eq!(rig.list().await.len(), 1);
    rig.pass(Duration::from_secs(11));
    assert!(rig.list().await.is_empty());
}

#[tokio::test]
async fn the_timer_task_ends_sessions_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = BrokerConfig { group_min_session_timeout_ms: 1, ..BrokerConfig::default() };
    let rig = Rig::over(folder, config.clone(), 0).await;
    let machine = Groups::open(Arc::clone(&rig.catalog), &config, Arc::new(MachineClock), rig.memory.state().clone())
        .await
        .expect("groups");
    let quick = JoinRequest { session_timeout: Duration::from_millis(20), ..client("a") };
    machine.join(quick).await.expect("a member");
    let second = JoinRequest { session_timeout: Duration::from_millis(20), ..client("b") };
    let joined = machine.join(second).await.expect("the first is removed, so this one need not wait for it");
    assert_eq!((joined.generation, joined.leader == joined.member), (Generation(2), true));
    machine.stop();
    machine.closed().await;
}

#[tokio::test]
async fn a_stop_answers_who_waits_and_ends_every_task() {
    let rig = Rig::new().await;
    rig.stable_member().await;
    let waiting = rig.groups.join(client("b"));
    let mut waiting = std::pin::pin!(waiting);
    arrived(waiting.as_mut()).await;
    rig.groups.stop();
    assert!(matches!(waiting.await, Err(GroupError::Stopping)));
    assert!(matches!(rig.groups.join(client("c")).await, Err(GroupError::Stopping)));
    rig.groups.closed().await;
}

#[tokio::test]
async fn empty_ids_and_unknown_groups_are_refused() {
    let rig = Rig::new().await;
    let nameless = JoinRequest { group: String::new(), ..client("a") };
    assert!(matches!(rig.groups.join(nameless).await, Err(GroupError::InvalidGroupId { .. })));
    let stranger = rig.groups.join(as_member("a", "a-1")).await;
    assert!(matches!(stranger, Err(GroupError::UnknownMember { .. })));
    assert!(matches!(rig.groups.describe("g"), Err(GroupError::NotFound { .. })));
    assert!(rig.list().await.is_empty());
}

#[tokio::test]
async fn leaving_is_answered_member_by_member_and_is_durable() {
    let rig = Rig::new().await;
    let who = rig.stable_member().await;
    let leaving = |member: &str| LeavingMember { member: member.to_owned(), instance: None };
    let outcomes = rig.groups.leave("g", &[leaving("x"), leaving(&who.member)]).await.expect("outcomes");
    assert!(outcomes[0].is_err() && outcomes[1].is_ok());
    let rig = rig.restarted().await;
    assert_eq!(rig.groups.describe("g").expect("a group").state, GroupState::Empty);
}

#[tokio::test]
async fn leaving_is_answered_when_the_log_refuses_the_record_of_the_empty_group() {
    let disk = FaultyDisk::new();
    let rig = Rig::on(disk.clone(), 1_000_000_000).await;
    let who = rig.stable_member().await;
    disk.fail_write(1, WriteFault::NoSpace);
    let leaving = LeavingMember { member: who.member.clone(), instance: None };
    let outcomes = rig.groups.leave("g", &[leaving]).await.expect("the member is out");
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    let group = rig.groups.describe("g").expect("a group");
    assert_eq!((group.state, group.members.len()), (GroupState::Empty, 0));
    assert!(matches!(rig.groups.heartbeat("g", &who).await, Err(GroupError::UnknownMember { .. })));
}
