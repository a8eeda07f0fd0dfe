//! Commits through the shell: what is shown, what survives, what goes.

use super::*;
use crate::topics::{ConfigChange, ConfigOp};

const WEEK: Duration = Duration::from_secs(7 * 86_400);

#[tokio::test]
async fn a_commit_is_there_after_a_restart_with_its_metadata() {
    let rig = Rig::new().await;
    rig.topic("t", 2).await;
    let who = rig.stable_member().await;
    let outcomes = rig.commit(&who, &[("t", 0, 5), ("t", 1, 6)]).await.expect("outcomes");
    assert!(outcomes.iter().all(Result::is_ok));
    rig.commit(&who, &[("t", 0, 9)]).await.expect("outcomes");
    let rig = rig.restarted().await;
    let all = rig.groups.committed("g", None).await.expect("an answer");
    assert_eq!(all.len(), 2);
    let first = all[0].1.as_ref().expect("an offset");
    assert_eq!((first.offset, first.epoch, first.metadata.as_str()), (Offset(9), Some(LeaderEpoch(0)), "note"));
    assert_eq!(rig.offset("t", 1).await, Some(6));
    assert_eq!(rig.offset("t", 7).await, None);
}

#[tokio::test]
async fn one_bad_offset_does_not_spoil_the_others() {
    let rig = Rig::new().await;
    rig.topic("t", 1).await;
    let long =
        OffsetToCommit { target: target("t", 0), offset: Offset(1), epoch: None, metadata: Some("x".repeat(4_097)) };
    let outcomes = rig
        .groups
        .commit(CommitFrom::Member, "g", &Membership::default(), vec![long], &owner())
        .await
        .expect("outcomes");
    assert!(matches!(outcomes[0], Err(GroupError::MetadataTooLarge { limit: 4_096 })));
    assert!(rig.list().await.is_empty(), "nothing was written, so there is no group");
    let offsets = [("nowhere", 0, 1), ("t", 3, 1), ("t", 0, 1)];
    let outcomes = rig.commit(&Membership::default(), &offsets).await.expect("outcomes");
    assert!(matches!(outcomes[0], Err(GroupError::Topic(_))) && matches!(outcomes[1], Err(GroupError::Topic(_))));
    assert!(outcomes[2].is_ok());
    assert_eq!(rig.offset("t", 0).await, Some(1));
}

#[tokio::test]
async fn a_commit_whose_client_has_gone_is_not_forgotten() {
    let rig = Rig::new().await;
    rig.topic("t", 1).await;
    rig.commit(&Membership::default(), &[("t", 0, 1)]).await.expect("outcomes");
    {
        let offsets = [("t", 0, 2)];
        let nobody = Membership::default();
        let gone = rig.commit(&nobody, &offsets);
        arrived(std::pin::pin!(gone).as_mut()).await;
    }
    let home = rig.home();
    home.durable(home.offsets().leo).await.expect("durable");
    assert_eq!(rig.offset("t", 0).await, Some(2));
}

#[tokio::test]
async fn who_is_no_member_commits_only_while_the_group_is_empty() {
    let rig = Rig::new().await;
    rig.topic("t", 1).await;
    rig.commit(&Membership::default(), &[("t", 0, 1)]).await.expect("an empty group takes it");
    let who = rig.stable_member().await;
    let nobody = Membership::default();
    let refused = rig.commit(&nobody, &[("t", 0, 2)]).await;
    assert!(matches!(refused, Err(GroupError::UnknownMember { .. })));
    let over_http = rig.groups.commit(CommitFrom::Outside, "g", &nobody, Vec::new(), &owner()).await;
    assert!(matches!(over_http, Err(GroupError::NotEmpty { .. })));
    let old = Membership { generation: Some(Generation(0)), ..who.clone() };
    assert!(matches!(rig.commit(&old, &[("t", 0, 2)]).await, Err(GroupError::IllegalGeneration { .. })));
    rig.commit(&who, &[("t", 0, 3)]).await.expect("a member may");
    assert_eq!(rig.offset("t", 0).await, Some(3));
    let stranger = Membership { generation: Some(Generation(1)), member: "m".into(), instance: None };
    let unknown = rig.groups.commit(CommitFrom::Member, "other", &stranger, Vec::new(), &owner()).await;
    assert!(matches!(unknown, Err(GroupError::NotFound { .. })));
}

#[tokio::test]
async fn a_deleted_topic_is_forgotten_by_every_group_for_good_rule_16() {
    let rig = Rig::new().await;
    rig.topic("t", 2).await;
    rig.topic("other", 1).await;
    rig.commit(&Membership::default(), &[("t", 0, 1), ("t", 1, 2), ("other", 0, 3)]).await.expect("outcomes");
    let gone = rig.catalog.delete("t").await.expect("deleted");
    rig.groups.forget_topic(gone.name(), gone.id()).await.expect("forgotten");
    assert_eq!((rig.offset("t", 0).await, rig.offset("other", 0).await), (None, Some(3)));
    let rig = rig.restarted().await;
    rig.topic("t", 2).await;
    assert_eq!((rig.offset("t", 1).await, rig.offset("other", 0).await), (None, Some(3)));
}

#[tokio::test]
async fn offsets_of_a_group_without_members_expire_and_then_the_group() {
    let rig = Rig::new().await;
    rig.topic("t", 1).await;
    let who = rig.stable_member().await;
    rig.commit(&who, &[("t", 0, 1)]).await.expect("outcomes");
    rig.pass(Duration::from_secs(11));
    rig.pass(WEEK - Duration::from_secs(60));
    assert_eq!(rig.offset("t", 0).await, Some(1), "a week since the last member, not since the commit");
    rig.pass(Duration::from_secs(1_000));
    let home = rig.home();
    home.durable(home.offsets().leo).await.expect("durable");
    assert_eq!(rig.offset("t", 0).await, None);
    rig.pass(Duration::from_secs(1_000));
    assert!(rig.list().await.is_empty());
    let rig = rig.restarted().await;
    assert!(rig.list().await.is_empty() && rig.offset("t", 0).await.is_none());
}

#[tokio::test]
async fn a_group_with_members_keeps_its_offsets_for_ever() {
    let rig = Rig::new().await;
    rig.topic("t", 1).await;
    let who = rig.stable_member().await;
    rig.commit(&who, &[("t", 0, 1)]).await.expect("outcomes");
    for _ in 0..4 {
        rig.clock.advance_ms(5_000);
        rig.groups.heartbeat("g", &who).await.expect("a member");
    }
    rig.clock.advance_ms(i64::try_from(WEEK.as_millis()).expect("a week"));
    rig.groups.heartbeat("g", &who).await.expect("nobody has looked at the clock yet");
    rig.groups.run_due();
    assert_eq!(rig.offset("t", 0).await, Some(1));
}

#[tokio::test]
async fn a_stable_group_loses_the_offsets_of_topics_that_it_no_longer_subscribes_to_kip_211() {
    let rig = Rig::new().await;
    rig.topic("read", 2).await;
    rig.topic("left", 1).await;
    let topics = [TopicName::new("read").expect("a topic name")];
    let protocols = vec![("range".to_owned(), super::super::assign::subscription(&topics))];
    let joined = rig.groups.join(JoinRequest { protocols, ..client("a") }).await.expect("a member");
    rig.groups.sync(sync_of(&joined, Vec::new())).await.expect("an assignment");
    let who = member_of(&joined);
    rig.commit(&who, &[("read", 0, 1), ("read", 1, 2), ("left", 0, 3)]).await.expect("outcomes");
    rig.clock.advance_ms(i64::try_from(WEEK.as_millis()).expect("a week"));
    rig.groups.heartbeat("g", &who).await.expect("nobody has looked at the clock yet");
    rig.commit(&who, &[("read", 1, 4)]).await.expect("outcomes");
    rig.groups.run_due();
    let home = rig.home();
    home.durable(home.offsets().leo).await.expect("durable");
    let offsets = (rig.offset("read", 0).await, rig.offset("read", 1).await, rig.offset("left", 0).await);
    assert_eq!(offsets, (Some(1), Some(4), None), "old ones stay where somebody reads");
    assert_eq!(rig.groups.describe("g").expect("a group").state, GroupState::Stable);
}

#[tokio::test]
async fn a_fetch_that_must_be_stable_waits_for_commits_on_their_way_and_shows_them() {
    let disk = FaultyDisk::new();
    let rig = Rig::on(disk.clone(), 1_000_000_000).await;
    rig.topic("t", 2).await;
    let nobody = Membership::default();
    rig.commit(&nobody, &[("t", 0, 1)]).await.expect("outcomes");
    disk.hold_syncs(true);
    let offsets = [("t", 0, 2)];
    let on_its_way = rig.commit(&nobody, &offsets);
    let mut on_its_way = std::pin::pin!(on_its_way);
    arrived(on_its_way.as_mut()).await;
    assert_eq!(rig.offset("t", 0).await, Some(1), "what is durable");
    let asked = [target("t", 0), target("t", 1)];
    let stable = rig.groups.stable_offsets("g", Some(&asked));
    let mut stable = std::pin::pin!(stable);
    arrived(stable.as_mut()).await;
    disk.hold_syncs(false);
    let found = stable.await.expect("an answer");
    let offset = |at: usize| match &found[at].1 {
        StableOffset::Is(committed) => committed.as_ref().map(|committed| committed.offset.0),
        StableOffset::Unstable => panic!("there is no transaction"),
    };
    assert_eq!((offset(0), offset(1)), (Some(2), None));
    let all = rig.groups.stable_offsets("g", None).await.expect("an answer");
    assert_eq!(all.len(), 1);
    on_its_way.await.expect("outcomes");
}

#[test]
fn readers_begin_at_a_negative_offset_as_if_there_were_none() {
    let committed = |offset| CommittedOffset {
        offset: Offset(offset),
        epoch: None,
        metadata: String::new(),
        committed_at: crate::ids::TimestampMs(0),
        topic_id: None,
    };
    assert_eq!(
        [-2, -1, 0, 5].map(|offset| committed(offset).position()),
        [None, None, Some(Offset(0)), Some(Offset(5))]
    );
}

#[tokio::test]
async fn committed_offsets_survive_the_compaction_of_their_topic() {
    let rig = Rig::new().await;
    rig.topic("t", 2).await;
    let nobody = Membership::default();
    rig.commit(&nobody, &[("t", 1, 77)]).await.expect("outcomes");
    let change = |key: &str, value: &str| ConfigChange { key: key.to_owned(), op: ConfigOp::Set(value.to_owned()) };
    let small = [change("segment.bytes", "16384"), change("min.cleanable.dirty.ratio", "0")];
    rig.catalog.alter_configs("__consumer_offsets", &small, false).await.expect("legal configs");
    for offset in 0..400 {
        rig.commit(&nobody, &[("t", 0, offset)]).await.expect("outcomes");
    }
    // A clean stop writes the recovery points, below which compaction may go.
    let rig = rig.restarted().await;
    let bytes = |rig: &Rig| {
        let home = rig.home();
        let (mut at, mut bytes) = (Offset(0), 0);
        while at < home.offsets().hw {
            let mut records = home.read(at, 1 << 20).expect("readable");
            bytes += records.len();
            while !records.is_empty() {
                let batch = crate::record::check_stored(records.clone()).expect("whole");
                at = batch.header().next_offset();
                records = records.split_off(batch.header().size);
            }
        }
        bytes
    };
    let before = bytes(&rig);
    rig.log_dir.compact(1 << 20);
    assert!(bytes(&rig) < before / 2, "{} of {before} bytes are left", bytes(&rig));
    let rig = rig.restarted().await;
    assert_eq!((rig.offset("t", 0).await, rig.offset("t", 1).await), (Some(399), Some(77)));
    assert!(rig.log_dir.reports().is_empty());
}
