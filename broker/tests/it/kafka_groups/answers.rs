//! Answers about groups as Apache Kafka gives them, and what a repeated name or a long one costs.

use bytes::Bytes;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    DescribeGroupsRequest, GroupId, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use sluice_broker::config::BrokerConfig;

use super::{beat, commit, join, join_new, sync};
use crate::kafka_client::{Broker, Client, name};

const ILLEGAL_GENERATION: i16 = 22;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_COMMIT_OFFSET_SIZE: i16 = 28;
const UNKNOWN_SERVER_ERROR: i16 = -1;
const INVALID_REQUEST: i16 = 42;
const GROUP_ID_NOT_FOUND: i16 = 69;
const MEMBER_ID_REQUIRED: i16 = 79;
const GROUP_MAX_SIZE_REACHED: i16 = 81;

fn group(id: &'static str) -> GroupId {
    GroupId(StrBytes::from_static_str(id))
}

/// The code of each partition, in the order of the answer.
async fn codes(client: &mut Client, version: i16, request: &OffsetCommitRequest) -> Vec<i16> {
    let answer = client.ask(version, request).await;
    let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

/// Offset and metadata of `t`-0 in this group.
async fn fetched(client: &mut Client, id: &'static str) -> (i64, String) {
    let topic = OffsetFetchRequestTopics::default().with_name(name("t")).with_partition_indexes(vec![0]);
    let asked = OffsetFetchRequestGroup::default().with_group_id(group(id)).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]).with_require_stable(true);
    let answer = client.ask(9, &request).await;
    assert_eq!(answer.groups[0].error_code, 0);
    let part = &answer.groups[0].topics[0].partitions[0];
    assert_eq!(part.error_code, 0);
    (part.committed_offset, part.metadata.as_ref().map_or("", |metadata| metadata.as_str()).to_owned())
}

#[tokio::test]
async fn a_negative_offset_is_kept_as_it_was_committed() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for (version, offset) in [(2, -1), (5, -2), (9, i64::MIN)] {
        assert_eq!(codes(&mut client, version, &commit(offset, "kafkajs")).await, [0], "{offset}");
        assert_eq!(fetched(&mut client, "g").await, (offset, "kafkajs".to_owned()));
    }
    let folder = broker.stop().await;
    let broker = Broker::over(folder, BrokerConfig::default()).await;
    assert_eq!(fetched(&mut broker.client().await, "g").await.0, i64::MIN);
    broker.stop().await;
}

#[tokio::test]
async fn a_group_without_a_name_keeps_offsets_and_takes_no_members() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for version in 2..=9 {
        let nameless = commit(i64::from(version), "").with_group_id(group(""));
        assert_eq!(codes(&mut client, version, &nameless).await, [0], "version {version}");
        assert_eq!(fetched(&mut client, "").await.0, i64::from(version));
    }
    let joined = client.ask(9, &join(StrBytes::new()).with_group_id(group(""))).await;
    assert_eq!(joined.error_code, INVALID_GROUP_ID);
    let beaten = client.ask(4, &beat(1, StrBytes::new()).with_group_id(group(""))).await;
    assert_eq!(beaten.error_code, INVALID_GROUP_ID);
    broker.stop().await;
}

#[tokio::test]
async fn a_member_of_an_unknown_group_is_told_so_in_the_words_of_its_version() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for version in 2..=9 {
        let member = StrBytes::from_static_str("m");
        let of_member = commit(1, "").with_generation_id_or_member_epoch(3).with_member_id(member);
        let expected = if version < 9 { ILLEGAL_GENERATION } else { GROUP_ID_NOT_FOUND };
        assert_eq!(codes(&mut client, version, &of_member).await, [expected], "version {version}");
    }
    assert_eq!(codes(&mut client, 9, &commit(1, "")).await, [0], "without a generation it makes a group");
    broker.stop().await;
}

#[tokio::test]
async fn what_is_named_again_is_answered_once() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    assert_eq!(codes(&mut client, 9, &commit(7, "note")).await, [0]);
    let topic = OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![0, 5, 0, 0]);
    let request = OffsetFetchRequest::default().with_group_id(group("g")).with_topics(Some(vec![topic; 3]));
    let answer = client.ask(7, &request).await;
    assert_eq!(answer.topics.len(), 1);
    let found: Vec<(i32, i64)> =
        answer.topics[0].partitions.iter().map(|part| (part.partition_index, part.committed_offset)).collect();
    assert_eq!(found, [(0, 7), (5, -1)]);
    let asked = OffsetFetchRequestGroup::default().with_group_id(group("g")).with_topics(None);
    let answer = client.ask(9, &OffsetFetchRequest::default().with_groups(vec![asked; 3])).await;
    assert_eq!(answer.groups.len(), 1);
    let request = DescribeGroupsRequest::default().with_groups(vec![group("g"), group("h"), group("g")]);
    let described = client.ask(6, &request).await.groups;
    let ids: Vec<&str> = described.iter().map(|one| one.group_id.as_str()).collect();
    assert_eq!(ids, ["g", "h"]);
    broker.stop().await;
}

#[tokio::test]
async fn a_commit_whose_records_would_be_too_large_is_refused_for_good_and_leaves_no_group() {
    // What the request costs decoded is not what this is about.
    let broker = Broker::start_with(BrokerConfig { memory_max_bytes: 1 << 32, ..BrokerConfig::default() }).await;
    let mut client = broker.client().await;
    client.topic("t").await;
    // Each record repeats the group's id: a megabyte of request would be gigabytes of records.
    let part = OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![part; 100_000]);
    let many = commit(1, "").with_topics(vec![topic]);
    let codes = codes(&mut client, 9, &many).await;
    assert_eq!(codes.len(), 100_000);
    assert!(codes.iter().all(|code| *code == INVALID_COMMIT_OFFSET_SIZE), "{:?}", &codes[..3]);
    assert!(client.ask(4, &ListGroupsRequest::default()).await.groups.is_empty());
    broker.stop().await;
}

#[tokio::test]
async fn a_generation_that_cannot_be_written_is_refused_for_good() {
    use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
    // The leader's assignment is the leader's own state: there is room for it.
    let broker = Broker::start_with(BrokerConfig { memory_max_bytes: 1 << 32, ..BrokerConfig::default() }).await;
    let mut client = broker.client().await;
    let joined = client.ask(3, &join(StrBytes::new())).await;
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from(vec![0; 9 * 1024 * 1024]));
    let sync = SyncGroupRequest::default()
        .with_group_id(group("g"))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    let refused = client.ask(3, &sync.clone().with_assignments(vec![assignment])).await;
    assert_eq!(refused.error_code, UNKNOWN_SERVER_ERROR, "clients retry on any other code");
    // The group is as good as new.
    let again = client.ask(3, &join(joined.member_id.clone())).await;
    assert_eq!((again.error_code, again.generation_id), (0, joined.generation_id + 1));
    let synced = client.ask(3, &sync.with_generation_id(again.generation_id)).await;
    assert_eq!(synced.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_join_that_brings_more_than_a_record_takes_is_refused_before_it_is_kept() {
    let broker = Broker::start_with(BrokerConfig { memory_max_bytes: 1 << 32, ..BrokerConfig::default() }).await;
    let mut client = broker.client().await;
    let mut large: JoinGroupRequest = join(StrBytes::new());
    large.protocols[0].metadata = Bytes::from(vec![0; 2 * 1024 * 1024]);
    assert_eq!(client.ask(9, &large).await.error_code, GROUP_MAX_SIZE_REACHED);
    let mut many: JoinGroupRequest = join(StrBytes::new());
    many.protocols = vec![many.protocols[0].clone(); 1_000];
    assert_eq!(client.ask(9, &many).await.error_code, 23, "inconsistent protocols");
    assert_eq!(client.ask(9, &join(StrBytes::new())).await.error_code, MEMBER_ID_REQUIRED);
    broker.stop().await;
}

#[tokio::test]
async fn more_leave_than_any_group_has() {
    use kafka_protocol::messages::leave_group_request::MemberIdentity;
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let leave = |count| {
        LeaveGroupRequest::default().with_group_id(group("g")).with_members(vec![MemberIdentity::default(); count])
    };
    assert_eq!(client.ask(5, &leave(20_001)).await.error_code, INVALID_REQUEST);
    let strangers = client.ask(5, &leave(3)).await;
    assert_eq!(strangers.error_code, 0);
    assert!(strangers.members.iter().all(|member| member.error_code == UNKNOWN_MEMBER_ID));
    broker.stop().await;
}

#[tokio::test]
async fn a_join_that_waits_holds_its_share_of_the_state_and_not_its_frame() {
    let broker = Broker::start().await;
    let (mut first, mut second) = (broker.client().await, broker.client().await);
    let joined = join_new(&mut first, 9).await;
    assert_eq!(first.ask(5, &sync(&joined, Vec::new())).await.error_code, 0);
    let promised = second.ask(9, &join(StrBytes::new())).await;
    let mut waits = join(promised.member_id);
    waits.protocols[0].metadata = Bytes::from(vec![7; 900_000]);
    second.send(9, &waits).await;
    // Until the coordinator has it the group is stable.
    while first.ask(4, &beat(joined.generation_id, joined.member_id.clone())).await.error_code == 0 {}
    let held = |wanted: &str| {
        let pools = broker.facts.memory().pools();
        let pool = pools.iter().find(|pool| pool.pool == wanted && ["kafka", "broker"].contains(&pool.door));
        pool.expect("there is such a pool").usage.held
    };
    // The heartbeat's own frame is gone a moment after its answer.
    let mut looks = 0;
    while held("in") > 0 {
        looks += 1;
        assert!(looks < 100_000, "{} bytes of frames are held", held("in"));
        tokio::task::yield_now().await;
    }
    assert!(held("state") > 900_000, "{} bytes of state", held("state"));
    broker.stop().await;
}
