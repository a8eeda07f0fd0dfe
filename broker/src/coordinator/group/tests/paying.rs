//! What groups keep is charged to whoever made them keep it, refused above a share, and free again when it is gone.

use super::*;
use crate::limits;

const NETWORKS: [[u8; 4]; 2] = [[10, 0, 0, 1], [10, 0, 0, 2]];

fn from(network: usize) -> Owner {
    Owner::Address(NETWORKS[network].into())
}

async fn small_rig() -> Rig {
    let config = BrokerConfig { memory_max_bytes: 64 << 20, ..BrokerConfig::default() };
    Rig::over(tempfile::tempdir().expect("a folder"), config, 1_000_000_000).await
}

fn held(rig: &Rig) -> usize {
    rig.memory.state().usage().held
}

/// A join of a group of its own, with so much metadata, that asks for an id first.
fn asks(number: usize, network: usize) -> JoinRequest {
    JoinRequest { group: format!("g-{number}"), require_known_member: true, owner: from(network), ..client("a") }
}

#[tokio::test]
async fn promised_ids_of_one_owner_end_at_its_share_and_are_free_after_a_session() {
    let rig = small_rig().await;
    let share = rig.memory.state().share();
    let mut promised = 0;
    let refused = loop {
        match rig.groups.join(asks(promised, 0)).await.expect_err("an id or a refusal") {
            GroupError::MemberIdRequired { .. } => promised += 1,
            refused => break refused,
        }
    };
    assert!(matches!(refused, GroupError::OverShare(_)), "{refused}");
    assert!(promised > 100 && promised < limits::GROUPS_MAX / 16, "{promised} groups of {share} bytes");
    assert!(held(&rig) <= share && held(&rig) > share / 2);
    let other = rig.groups.join(asks(promised + 1, 1)).await;
    assert!(matches!(other, Err(GroupError::MemberIdRequired { .. })), "somebody else has a share of its own");
    rig.clock.advance_ms(11_000);
    // A pass of the timer works off a part.
    for _ in 0..promised {
        rig.groups.run_due();
    }
    assert_eq!((rig.list().await.len(), held(&rig)), (0, 0));
    assert!(matches!(rig.groups.join(asks(0, 0)).await, Err(GroupError::MemberIdRequired { .. })));
}

#[tokio::test]
async fn metadata_of_members_is_charged_and_free_when_they_are_gone() {
    let rig = small_rig().await;
    let share = rig.memory.state().share();
    let large = |group: usize| JoinRequest {
        require_known_member: false,
        protocols: vec![("range".into(), Bytes::from(vec![0; share / 3]))],
        ..asks(group, 0)
    };
    for group in 0..2 {
        rig.groups.join(large(group)).await.expect("a member");
    }
    assert!(held(&rig) > share / 2);
    let refused = rig.groups.join(large(2)).await;
    assert!(matches!(refused, Err(GroupError::OverShare(_))), "{refused:?}");
    assert_eq!(rig.list().await.len(), 2, "no group is left of the refused one");
    rig.pass(Duration::from_secs(11));
    rig.pass(Duration::from_secs(61));
    let home = |group: &str| Arc::clone(rig.groups.find(group).expect("the topic exists").partition());
    for group in ["g-0", "g-1"] {
        home(group).durable(home(group).offsets().leo).await.expect("durable");
    }
    assert!(held(&rig) < 8_192, "two empty groups hold {} bytes", held(&rig));
    rig.groups.join(large(2)).await.expect("there is room again");
}

#[tokio::test]
async fn a_member_that_does_not_grow_is_never_refused() {
    let rig = small_rig().await;
    let share = rig.memory.state().share();
    let join = |metadata: usize| JoinRequest {
        protocols: vec![("range".into(), Bytes::from(vec![0; metadata]))],
        ..client("a")
    };
    let joined = rig.groups.join(join(share * 2 / 3)).await.expect("a member");
    let again = |metadata| JoinRequest { member: Some(joined.member.clone()), ..join(metadata) };
    let grown = rig.groups.join(again(share * 3 / 4)).await;
    assert!(matches!(grown, Err(GroupError::OverShare(_))), "{grown:?}");
    let generation = rig.groups.join(again(share / 2)).await.expect("it is smaller").generation;
    let before = held(&rig);
    rig.groups.sync(SyncRequest { generation, ..sync_of(&joined, Vec::new()) }).await.expect("an assignment");
    assert!(held(&rig) >= before);
}

#[tokio::test]
async fn new_offsets_of_an_owner_above_its_share_are_refused_and_committed_ones_go_on() {
    let rig = small_rig().await;
    rig.topic("t", 10).await;
    let note = "x".repeat(limits::COMMIT_METADATA_BYTES_MAX);
    let commit = |group: usize, network: usize| {
        let offset = |partition| OffsetToCommit {
            target: target("t", partition),
            offset: Offset(1),
            epoch: None,
            metadata: Some(note.clone()),
        };
        let (group, offsets) = (format!("g-{group}"), (0..10).map(offset).collect::<Vec<_>>());
        let groups = Arc::clone(&rig.groups);
        async move {
            let nobody = Membership::default();
            groups.commit(CommitFrom::Member, &group, &nobody, offsets, &from(network)).await
        }
    };
    let over = |outcome: &Result<(), GroupError>| matches!(outcome, Err(GroupError::OverShare(_)));
    let mut groups = 0;
    while commit(groups, 0).await.expect("outcomes").iter().all(Result::is_ok) {
        groups += 1;
        assert!(groups < 1_000, "a share ends");
    }
    assert!(groups > 5);
    for again in 0..groups {
        let outcomes = commit(again, 0).await.expect("outcomes");
        assert!(outcomes.iter().all(Result::is_ok), "what is committed once is taken again");
    }
    let refused = match commit(groups + 1, 0).await {
        Ok(outcomes) => outcomes.iter().any(over),
        Err(error) => over(&Err(error)),
    };
    assert!(refused, "a newcomer");
    assert!(commit(groups + 2, 1).await.expect("outcomes").iter().all(Result::is_ok), "somebody else's");
    let before = held(&rig);
    let rig = rig.restarted().await;
    assert!(rig.list().await.len() > groups, "nothing was evicted");
    assert!(held(&rig) >= before / 2, "it is counted after a restart as well: {} of {before}", held(&rig));
    rig.pass(Duration::from_secs(8 * 86_400));
    for _ in 0..1_000 {
        rig.pass(Duration::from_secs(1));
    }
    for group in 0..groups + 3 {
        let home = Arc::clone(rig.groups.find(&format!("g-{group}")).expect("the topic exists").partition());
        home.durable(home.offsets().leo).await.expect("durable");
    }
    assert!(rig.list().await.is_empty());
    assert_eq!(held(&rig), 0, "a week later it is gone, and free");
}

#[tokio::test]
async fn five_thousand_members_are_one_record_and_survive_a_restart() {
    let config =
        BrokerConfig { memory_max_bytes: 1 << 32, group_initial_rebalance_delay_ms: 3_000, ..BrokerConfig::default() };
    let rig = Rig::over(tempfile::tempdir().expect("a folder"), config, 1_000_000_000).await;
    let subscription = Bytes::from(vec![7; 300]);
    let join = |number: usize| JoinRequest {
        protocols: vec![("range".into(), subscription.clone())],
        ..client(&format!("consumer-of-the-orders-{number}"))
    };
    // The first one makes the topic.
    rig.groups
        .join(JoinRequest { group: "other".into(), require_known_member: true, ..client("a") })
        .await
        .expect_err("an id");
    let mut joins: Vec<_> = (0..5_000).map(|number| Box::pin(rig.groups.join(join(number)))).collect();
    for join in &mut joins {
        arrived(join.as_mut()).await;
    }
    for _ in 0..3 {
        rig.pass(Duration::from_secs(3));
    }
    let joined: Vec<JoinAnswer> =
        futures::future::join_all(joins).await.into_iter().map(|joined| joined.expect("a member")).collect();
    let leader = joined.iter().find(|one| one.leader == one.member).expect("a leader");
    assert_eq!(leader.members.len(), 5_000);
    let part = Bytes::from(vec![9; 300]);
    let parts = leader.members.iter().map(|(member, _, _)| (member.clone(), part.clone())).collect();
    assert_eq!(rig.groups.sync(sync_of(leader, parts)).await.expect("stored").assignment, part);
    let rig = rig.restarted().await;
    let group = rig.groups.describe("g").expect("a group");
    assert_eq!((group.state, group.members.len()), (GroupState::Stable, 5_000));
    assert!(group.members.iter().all(|member| member.assignment == part && member.metadata == subscription));
}
