//! The table against real requests: for each API the one that is answered with most, over an engine on a disk in memory.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{self, ApiKey, GroupId, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::*;
use crate::auth::Authorizer;
use crate::chain::Partitioners;
use crate::clock::{ManualClock, SharedClock};
use crate::config::BrokerConfig;
use crate::coordinator::group::Groups;
use crate::engine::Engine;
use crate::kafka::call::Advertised;
use crate::kafka::connection::{Answering, Outcome};
use crate::kafka::dispatch::Dispatcher;
use crate::kafka::header::Request;
use crate::kafka::metering::Metering;
use crate::kafka::versions::{self, ROWS};
use crate::log::io::faulty::FaultyDisk;
use crate::log::{LogDir, LogDirSettings};
use crate::topics::{Catalog, NewTopic};

/// What keeps an answer from growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// It has one size, or that of the answers to one name.
    Fixed,
    /// One row of about this size for each element of the request, whose number is bounded, and WORK holds them.
    Elements,
    /// `answer::Rows`: what is named twice is answered once, or costs memory that is admitted row by row.
    Rows,
    /// It is cut, and a cursor or the next offset says where to go on.
    Cursor,
}

/// Bytes of an answer for each byte of a large request at most, and what bounds the answer.
const ANSWERS: &[(ApiKey, usize, Bound)] = &[
    (ApiKey::Produce, 12, Bound::Elements),
    (ApiKey::Fetch, 2, Bound::Cursor),
    (ApiKey::ListOffsets, 2, Bound::Elements),
    // One topic with all its partitions, once.
    (ApiKey::Metadata, 1, Bound::Rows),
    (ApiKey::OffsetCommit, 1, Bound::Elements),
    (ApiKey::OffsetFetch, 6, Bound::Elements),
    (ApiKey::FindCoordinator, 150, Bound::Elements),
    (ApiKey::JoinGroup, 2, Bound::Fixed),
    (ApiKey::Heartbeat, 2, Bound::Fixed),
    (ApiKey::LeaveGroup, 4, Bound::Elements),
    (ApiKey::SyncGroup, 2, Bound::Fixed),
    (ApiKey::DescribeGroups, 30, Bound::Elements),
    (ApiKey::ListGroups, 2, Bound::Fixed),
    (ApiKey::ApiVersions, 2, Bound::Fixed),
    (ApiKey::CreateTopics, 160, Bound::Rows),
    (ApiKey::DeleteTopics, 4, Bound::Rows),
    (ApiKey::DeleteRecords, 2, Bound::Elements),
    (ApiKey::InitProducerId, 2, Bound::Fixed),
    (ApiKey::OffsetForLeaderEpoch, 2, Bound::Elements),
    // Every config with its documentation for the five bytes that name the broker.
    (ApiKey::DescribeConfigs, 3_000, Bound::Rows),
    (ApiKey::AlterConfigs, 20, Bound::Rows),
    (ApiKey::CreatePartitions, 10, Bound::Rows),
    (ApiKey::IncrementalAlterConfigs, 20, Bound::Rows),
    (ApiKey::DescribeCluster, 2, Bound::Fixed),
    (ApiKey::DescribeTopicPartitions, 10, Bound::Cursor),
];

/// Elements of a hostile request.
const MANY: usize = 2_000;
/// Partitions of the topic "t".
const PARTITIONS: i32 = 50;

struct Rig {
    dispatcher: Dispatcher,
    _plugins: tempfile::TempDir,
}

async fn rig() -> Rig {
    let plugins = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(ManualClock::at(1_700_000_000_000));
    let config = Arc::new(BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() });
    let settings = LogDirSettings { path: Path::new("/data").to_owned(), disk: Arc::new(FaultyDisk::new()) };
    let log_dir = LogDir::open(settings, Arc::clone(&clock)).unwrap();
    let catalog = Catalog::open(log_dir, &config, Arc::clone(&clock)).await.unwrap();
    catalog.create(NewTopic { partitions: Some(PARTITIONS), ..NewTopic::named("t") }).await.unwrap();
    let memory = crate::memory::Budget::new(config.memory_max_bytes);
    let state = memory.state().clone();
    let groups = Groups::open(Arc::clone(&catalog), &config, Arc::clone(&clock), state).await.unwrap();
    let host = sluice_plugins::Host::open(sluice_plugins::HostConfig::new(plugins.path().to_owned())).unwrap();
    let partitioners = Arc::new(Partitioners::new(Arc::new(host)));
    let auth = Authorizer::granting_everything();
    let engine = Engine::new(config, Arc::clone(&clock), catalog, groups, partitioners, auth, memory);
    let dispatcher = Dispatcher {
        engine,
        metering: Metering::new(clock, 1),
        peer: "127.0.0.1:4711".parse().unwrap(),
        listener: "localhost:9092".into(),
        advertised: Advertised { host: "localhost".into(), port: 9092 },
    };
    Rig { dispatcher, _plugins: plugins }
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn name(of: &str) -> TopicName {
    TopicName(text(of))
}

fn encoded<M: Encodable>(request: &M, version: i16) -> Bytes {
    let mut buffer = BytesMut::new();
    request.encode(&mut buffer, version).unwrap();
    buffer.freeze()
}

/// Short names that no topic, group or key has, all different.
fn strangers() -> impl Iterator<Item = StrBytes> {
    (0..MANY).map(|n| text(format!("{n:x}")))
}

/// The request that is answered with most for its size, in the highest version.
fn hostile(key: ApiKey, v: i16) -> Bytes {
    match key {
        ApiKey::Produce => {
            // Refused for its name, in words as long as there are.
            let parts = (0..MANY).map(|n| PartitionProduceData::default().with_index(n as i32).with_records(None));
            let topic =
                TopicProduceData::default().with_name(name(&"ü".repeat(400))).with_partition_data(parts.collect());
            encoded(&messages::ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]), v.min(12))
        }
        ApiKey::Fetch => {
            let parts = (0..MANY).map(|n| FetchPartition::default().with_partition(n as i32));
            let topic = FetchTopic::default().with_topic(name("t")).with_partitions(parts.collect());
            encoded(&messages::FetchRequest::default().with_topics(vec![topic]), v.min(12))
        }
        ApiKey::ListOffsets => {
            let parts = (0..MANY).map(|n| ListOffsetsPartition::default().with_partition_index(n as i32));
            let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(parts.collect());
            encoded(&messages::ListOffsetsRequest::default().with_topics(vec![topic]), v)
        }
        ApiKey::Metadata => {
            let topic = MetadataRequestTopic::default().with_name(Some(name("t")));
            encoded(&messages::MetadataRequest::default().with_topics(Some(vec![topic; MANY])), v)
        }
        ApiKey::OffsetCommit => {
            let parts = (0..MANY).map(|n| OffsetCommitRequestPartition::default().with_partition_index(n as i32));
            let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(parts.collect());
            let request = messages::OffsetCommitRequest::default().with_group_id(GroupId(text("g")));
            encoded(&request.with_topics(vec![topic]), v)
        }
        ApiKey::OffsetFetch => {
            let topic = OffsetFetchRequestTopics::default().with_name(name("t"));
            let topic = topic.with_partition_indexes((0..MANY as i32).collect());
            let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g")));
            let group = group.with_topics(Some(vec![topic]));
            encoded(&messages::OffsetFetchRequest::default().with_groups(vec![group]), v)
        }
        ApiKey::FindCoordinator => {
            let request = messages::FindCoordinatorRequest::default().with_key_type(1);
            encoded(&request.with_coordinator_keys(vec![text(""); MANY]), v)
        }
        ApiKey::LeaveGroup => {
            let member = MemberIdentity::default();
            let request = messages::LeaveGroupRequest::default().with_group_id(GroupId(text("g")));
            encoded(&request.with_members(vec![member; MANY]), v)
        }
        ApiKey::DescribeGroups => {
            let groups = strangers().map(GroupId).collect();
            encoded(&messages::DescribeGroupsRequest::default().with_groups(groups), v)
        }
        ApiKey::DeleteRecords => {
            let parts =
                (0..MANY).map(|n| DeleteRecordsPartition::default().with_partition_index(n as i32 + PARTITIONS));
            let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(parts.collect());
            encoded(&messages::DeleteRecordsRequest::default().with_topics(vec![topic]), v)
        }
        ApiKey::OffsetForLeaderEpoch => {
            let parts = (0..MANY).map(|n| OffsetForLeaderPartition::default().with_partition(n as i32));
            let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(parts.collect());
            encoded(&messages::OffsetForLeaderEpochRequest::default().with_topics(vec![topic]), v)
        }
        ApiKey::DescribeTopicPartitions => {
            let topics = strangers().map(|name| TopicRequest::default().with_name(TopicName(name))).collect();
            let request = messages::DescribeTopicPartitionsRequest::default().with_response_partition_limit(2_000);
            encoded(&request.with_topics(topics).with_cursor(None), v)
        }
        other => of_topics(other, v).unwrap_or_else(|| plain(other, v)),
    }
}

fn of_topics(key: ApiKey, v: i16) -> Option<Bytes> {
    use kafka_protocol::messages::{
        alter_configs_request as legacy, create_partitions_request as grow, create_topics_request as create,
        delete_topics_request as delete, incremental_alter_configs_request as incremental,
    };
    Some(match key {
        ApiKey::CreateTopics => {
            let topic = |name| {
                let topic = create::CreatableTopic::default().with_name(TopicName(name)).with_num_partitions(1);
                topic.with_replication_factor(1)
            };
            let request = messages::CreateTopicsRequest::default().with_validate_only(true);
            encoded(&request.with_topics(strangers().map(topic).collect()), v)
        }
        ApiKey::DeleteTopics => {
            let topic = |name| delete::DeleteTopicState::default().with_name(Some(TopicName(name)));
            encoded(&messages::DeleteTopicsRequest::default().with_topics(strangers().map(topic).collect()), v)
        }
        ApiKey::DescribeConfigs => {
            let one = DescribeConfigsResource::default().with_resource_type(4).with_resource_name(text("1"));
            let request = messages::DescribeConfigsRequest::default().with_include_synonyms(true);
            let all = vec![one.with_configuration_keys(None); MANY];
            encoded(&request.with_include_documentation(true).with_resources(all), v)
        }
        ApiKey::AlterConfigs => {
            let one = |name| legacy::AlterConfigsResource::default().with_resource_type(4).with_resource_name(name);
            encoded(&messages::AlterConfigsRequest::default().with_resources(strangers().map(one).collect()), v)
        }
        ApiKey::IncrementalAlterConfigs => {
            let one =
                |name| incremental::AlterConfigsResource::default().with_resource_type(4).with_resource_name(name);
            let request = messages::IncrementalAlterConfigsRequest::default();
            encoded(&request.with_resources(strangers().map(one).collect()), v)
        }
        ApiKey::CreatePartitions => {
            let one = |name| grow::CreatePartitionsTopic::default().with_name(TopicName(name)).with_assignments(None);
            encoded(&messages::CreatePartitionsRequest::default().with_topics(strangers().map(one).collect()), v)
        }
        _ => return None,
    })
}

/// Requests without lists that are answered one by one. What a small one of them costs is said in the table by its answer.
fn plain(key: ApiKey, v: i16) -> Bytes {
    match key {
        ApiKey::JoinGroup => encoded(&messages::JoinGroupRequest::default(), v),
        ApiKey::Heartbeat => encoded(&messages::HeartbeatRequest::default(), v),
        ApiKey::SyncGroup => encoded(&messages::SyncGroupRequest::default(), v),
        ApiKey::ListGroups => encoded(&messages::ListGroupsRequest::default(), v),
        ApiKey::ApiVersions => {
            let request = messages::ApiVersionsRequest::default();
            encoded(&request.with_client_software_name(text("a")).with_client_software_version(text("1")), v)
        }
        ApiKey::InitProducerId => encoded(&messages::InitProducerIdRequest::default(), v),
        ApiKey::DescribeCluster => encoded(&messages::DescribeClusterRequest::default().with_endpoint_type(1), v),
        other => panic!("no hostile request of {other:?}"),
    }
}

async fn answer(rig: &Rig, key: ApiKey, version: i16, body: Bytes) -> Outcome {
    let request = Request { key, version, correlation: 7, client_id: "it".into(), body };
    match key {
        ApiKey::Produce => rig.dispatcher.produce(request).await.await,
        _ => rig.dispatcher.answer(request).await,
    }
}

/// The version that `hostile` encodes in: names are what is repeated, where a later one has ids.
fn version(key: ApiKey) -> i16 {
    let max = versions::of(key).unwrap().max;
    if matches!(key, ApiKey::Produce | ApiKey::Fetch) { max.min(12) } else { max }
}

#[test]
fn every_api_has_a_row() {
    assert!(COSTS.iter().map(|cost| cost.key).eq(ROWS.iter().map(|row| row.key)));
    assert!(ANSWERS.iter().map(|(key, ..)| *key).eq(ROWS.iter().map(|row| row.key)));
}

#[tokio::test]
async fn no_answer_is_larger_than_the_table_says() {
    let rig = rig().await;
    let mut over = Vec::new();
    for (key, ratio, bound) in ANSWERS {
        let version = version(*key);
        let body = hostile(*key, version);
        let asked = body.len() + 8;
        match answer(&rig, *key, version, body).await {
            // What does not depend on the request is below a kilobyte.
            Outcome::Reply(reply) if reply.size() <= ratio * asked + 1_024 => {}
            Outcome::Reply(reply) => over.push(format!("{key:?}: {asked} bytes are answered with {}", reply.size())),
            other => assert_eq!(*bound, Bound::Rows, "{key:?} is not answered: {other:?}"),
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}

#[test]
fn a_decoded_element_is_not_larger_than_the_table_says() {
    let sizes = [
        size_of::<PartitionProduceData>() + size_of::<messages::produce_response::PartitionProduceResponse>(),
        size_of::<ListOffsetsPartition>() + size_of::<messages::list_offsets_response::ListOffsetsPartitionResponse>(),
        size_of::<FetchPartition>() + size_of::<crate::engine::fetch::Fetched>(),
        size_of::<messages::create_topics_request::CreatableTopic>(),
        size_of::<DescribeConfigsResource>(),
        size_of::<MetadataRequestTopic>(),
    ];
    let of = |key: ApiKey| COSTS.iter().find(|cost| cost.key == key).unwrap().element_bytes;
    let table = [
        of(ApiKey::Produce),
        of(ApiKey::ListOffsets),
        of(ApiKey::Fetch),
        of(ApiKey::CreateTopics),
        of(ApiKey::DescribeConfigs),
        of(ApiKey::Metadata),
    ];
    for (size, row) in sizes.iter().zip(table) {
        assert!(*size <= row, "{sizes:?} {table:?}");
    }
}
