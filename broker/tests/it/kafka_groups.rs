//! Traps around groups and offsets: joins, rebalances, commits that round-trip, offsets by time.

mod answers;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use sluice_broker::clock::bounded_wait;
use sluice_broker::config::BrokerConfig;

use crate::kafka_client::{Broker, Client, batch, name};

fn s(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn group() -> GroupId {
    GroupId(s("g"))
}

pub(crate) fn join(member: StrBytes) -> JoinGroupRequest {
    let protocol =
        JoinGroupRequestProtocol::default().with_name(s("range")).with_metadata(Bytes::from_static(b"topics"));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol])
        .with_member_id(member)
}

/// Joins as a new member, by way of the id that the coordinator gives (KIP-394).
async fn join_new(client: &mut Client, version: i16) -> JoinGroupResponse {
    let first = client.ask(version, &join(StrBytes::new())).await;
    if version < 4 {
        return first;
    }
    assert_eq!(first.error_code, 79);
    client.ask(version, &join(first.member_id)).await
}

fn sync(joined: &JoinGroupResponse, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(assignments)
}

pub(crate) fn beat(generation: i32, member: StrBytes) -> HeartbeatRequest {
    HeartbeatRequest::default().with_group_id(group()).with_generation_id(generation).with_member_id(member)
}

#[tokio::test]
async fn one_member_joins_syncs_beats_and_leaves_in_every_version() {
    for version in 0..=9 {
        let broker = Broker::start().await;
        let mut client = broker.client().await;
        let joined = join_new(&mut client, version).await;
        assert_eq!((joined.error_code, joined.members.len()), (0, 1), "version {version}");
        assert_eq!((&joined.leader, &joined.members[0].metadata[..]), (&joined.member_id, &b"topics"[..]));
        let mine = SyncGroupRequestAssignment::default()
            .with_member_id(joined.member_id.clone())
            .with_assignment(Bytes::from_static(b"mine"));
        let synced = client.ask(version.min(5), &sync(&joined, vec![mine])).await;
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"mine"[..]));
        let beaten = client.ask(version.min(4), &beat(joined.generation_id, joined.member_id.clone())).await;
        assert_eq!(beaten.error_code, 0);

        let described = DescribeGroupsRequest::default().with_groups(vec![group()]);
        let described = client.ask(version.min(6), &described).await.groups.remove(0);
        assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 1));
        assert_eq!(
            (described.members[0].client_id.as_str(), described.members[0].client_host.as_str()),
            ("it", "/127.0.0.1")
        );

        use kafka_protocol::messages::leave_group_request::MemberIdentity;
        let leave = LeaveGroupRequest::default().with_group_id(group());
        let version = version.min(5);
        let leave = if version >= 3 {
            leave.with_members(vec![MemberIdentity::default().with_member_id(joined.member_id.clone())])
        } else {
            leave.with_member_id(joined.member_id.clone())
        };
        let left = client.ask(version, &leave).await;
        assert!(left.error_code == 0 && left.members.iter().all(|member| member.error_code == 0));
        assert_eq!(client.ask(version.min(4), &beat(joined.generation_id, joined.member_id)).await.error_code, 25);
        broker.stop().await;
    }
}

#[tokio::test]
async fn unknown_members_and_old_generations_are_refused_at_once_during_a_rebalance() {
    let broker = Broker::start().await;
    let (mut first, mut second) = (broker.client().await, broker.client().await);
    let joined = join_new(&mut first, 9).await;
    assert_eq!(first.ask(5, &sync(&joined, Vec::new())).await.error_code, 0);
    // The second member's join waits for the first to join again.
    let refused = second.ask(9, &join(StrBytes::new())).await;
    second.send(9, &join(refused.member_id.clone())).await;
    // Until the coordinator has it the group is stable.
    assert_eq!(first_refusal(&mut first, &joined).await, 27);
    assert_eq!(first.ask(4, &beat(joined.generation_id, s("stranger"))).await.error_code, 25);
    assert_eq!(first.ask(5, &sync(&joined, Vec::new())).await.error_code, 27);
    let stranger = first.ask(9, &join(s("stranger"))).await;
    assert_eq!((stranger.error_code, stranger.member_id), (25, s("stranger")));
    let again = first.ask(9, &join(joined.member_id.clone())).await;
    let other = second.read::<JoinGroupRequest>(9).await;
    assert_eq!((again.error_code, other.error_code), (0, 0));
    assert_eq!(again.generation_id, other.generation_id);
    assert_eq!(first.ask(4, &beat(joined.generation_id, joined.member_id)).await.error_code, 22);
    assert_eq!(again.members.len() + other.members.len(), 2, "only the leader gets the members");
    broker.stop().await;
}

/// What the first heartbeat gets that is refused.
pub(crate) async fn first_refusal(client: &mut Client, joined: &JoinGroupResponse) -> i16 {
    let refusal = async {
        loop {
            let code = client.ask(4, &beat(joined.generation_id, joined.member_id.clone())).await.error_code;
            if code != 0 {
                return code;
            }
        }
    };
    bounded_wait(refusal).await
}

pub(crate) fn commit(offset: i64, metadata: &'static str) -> OffsetCommitRequest {
    let part = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(s(metadata)));
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![part]);
    OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

/// Offset and metadata of partition 0 of `t`.
async fn committed(client: &mut Client, version: i16, all: bool) -> (i64, String) {
    if version < 8 {
        let topic = OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![0]);
        let topics = if all { None } else { Some(vec![topic]) };
        let request = OffsetFetchRequest::default().with_group_id(group()).with_topics(topics);
        let answer = client.ask(version, &request).await;
        assert_eq!(answer.error_code, 0);
        let part = &answer.topics[0].partitions[0];
        return (part.committed_offset, part.metadata.as_ref().map_or("", |m| m.as_str()).to_owned());
    }
    let topic = OffsetFetchRequestTopics::default().with_name(name("t")).with_partition_indexes(vec![0]);
    let topics = if all { None } else { Some(vec![topic]) };
    let asked = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(topics);
    let answer = client.ask(version, &OffsetFetchRequest::default().with_groups(vec![asked])).await;
    assert_eq!(answer.groups[0].error_code, 0);
    let part = &answer.groups[0].topics[0].partitions[0];
    (part.committed_offset, part.metadata.as_ref().map_or("", |m| m.as_str()).to_owned())
}

#[tokio::test]
async fn a_commit_and_its_metadata_round_trip_in_every_version_and_survive_a_restart() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    assert_eq!(committed(&mut client, 9, false).await, (-1, String::new()));
    for version in 2..=9 {
        let answer = client.ask(version, &commit(i64::from(version), "a note")).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        for reading in 1..=9 {
            let got = committed(&mut client, reading, false).await;
            assert_eq!(got, (i64::from(version), "a note".to_owned()), "{version} read by {reading}");
        }
    }
    assert_eq!(committed(&mut client, 2, true).await.0, 9);
    assert_eq!(committed(&mut client, 9, true).await.0, 9);
    let long = StrBytes::from_string("x".repeat(5_000));
    let mut too_long = commit(1, "");
    too_long.topics[0].partitions[0].committed_metadata = Some(long);
    assert_eq!(client.ask(9, &too_long).await.topics[0].partitions[0].error_code, 12);
    let folder = broker.stop().await;

    let broker = Broker::over(folder, BrokerConfig::default()).await;
    let mut client = broker.client().await;
    assert_eq!(committed(&mut client, 9, false).await, (9, "a note".to_owned()));
    let listed = client.ask(5, &ListGroupsRequest::default().with_states_filter(vec![s("empty")])).await;
    assert_eq!((listed.groups.len(), listed.groups[0].group_type.as_str()), (1, "classic"));
    let stable = client.ask(5, &ListGroupsRequest::default().with_states_filter(vec![s("Stable")])).await;
    assert!(stable.groups.is_empty());
    broker.stop().await;
}

#[tokio::test]
async fn the_coordinator_is_this_broker_and_unknown_groups_are_dead_or_not_found() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    for version in 0..=3 {
        let answer = client.ask(version, &FindCoordinatorRequest::default().with_key(s("g"))).await;
        assert_eq!((answer.error_code, answer.port), (0, i32::from(broker.port)));
    }
    for version in 4..=6 {
        let keys = vec![s("g"), s("h")];
        let answer = client.ask(version, &FindCoordinatorRequest::default().with_coordinator_keys(keys)).await;
        assert!(answer.coordinators.len() == 2 && answer.coordinators.iter().all(|one| one.error_code == 0));
    }
    for version in 0..=6 {
        let request = DescribeGroupsRequest::default().with_groups(vec![group()]);
        let answer = client.ask(version, &request).await.groups.remove(0);
        assert_eq!(answer.group_state.as_str(), "Dead");
        assert_eq!(answer.error_code, if version < 6 { 0 } else { 69 });
    }
    broker.stop().await;
}

#[tokio::test]
async fn offsets_are_found_by_name_and_by_time() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    // At times 1000, 1001, 1002; then at 1000 again.
    client.produce("t", batch(&["a", "b", "c"])).await;
    client.produce("t", batch(&["d"])).await;
    let ask = |timestamp: i64, isolation: i8| {
        let part = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![part]);
        ListOffsetsRequest::default().with_isolation_level(isolation).with_topics(vec![topic])
    };
    for version in 1..=10 {
        for (timestamp, offset, time) in [(-1, 4, -1), (-2, 0, -1), (1_001, 1, 1_001), (0, 0, 1_000), (5_000, -1, -1)] {
            let isolation = if version >= 2 { 1 } else { 0 };
            let answer = client.ask(version, &ask(timestamp, isolation)).await;
            let part = &answer.topics[0].partitions[0];
            assert_eq!((part.error_code, part.offset, part.timestamp), (0, offset, time), "{timestamp} in {version}");
        }
        let largest = client.ask(version, &ask(-3, 0)).await;
        let part = &largest.topics[0].partitions[0];
        let expected = if version >= 7 { (0, 2, 1_002) } else { (35, -1, -1) };
        assert_eq!((part.error_code, part.offset, part.timestamp), expected, "the largest in {version}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn an_epochs_end_is_the_high_watermark_and_of_an_unknown_one_nothing() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let epoch = client.topic("t").await.partitions[0].leader_epoch;
    client.produce("t", batch(&["a", "b"])).await;
    for version in 2..=4 {
        let part = OffsetForLeaderPartition::default().with_current_leader_epoch(epoch).with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![part]);
        let answer = client.ask(version, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic])).await;
        let part = &answer.topics[0].partitions[0];
        assert_eq!((part.error_code, part.leader_epoch, part.end_offset), (0, epoch, 2));
    }
    let part = OffsetForLeaderPartition::default().with_current_leader_epoch(epoch + 1).with_leader_epoch(epoch);
    let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![part]);
    let answer = client.ask(4, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 75);
    broker.stop().await;
}
