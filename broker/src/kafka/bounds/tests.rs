//! The shapes against the codec, and hostile counts.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{self, BrokerId, GroupId, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

use super::*;
use crate::kafka::versions::ROWS;

fn s(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn name(text: &'static str) -> TopicName {
    TopicName(s(text))
}

/// Two of each element, so that the end of one and the begin of the next are met.
fn twice<T: Clone>(element: T) -> Vec<T> {
    vec![element.clone(), element]
}

fn bytes<M: Encodable>(request: &M, version: i16) -> Bytes {
    let mut buffer = BytesMut::new();
    request.encode(&mut buffer, version).unwrap();
    buffer.freeze()
}

fn id(version: i16, since: i16) -> Uuid {
    if version >= since { Uuid::from_u128(77) } else { Uuid::nil() }
}

fn fetch(v: i16) -> Bytes {
    let part = FetchPartition::default().with_partition(1).with_fetch_offset(5);
    let part = if v >= 17 { part.with_replica_directory_id(Uuid::from_u128(9)) } else { part };
    let part = if v >= 18 { part.with_high_watermark(4) } else { part };
    let topic = FetchTopic::default().with_topic(name("t")).with_topic_id(id(v, 13)).with_partitions(twice(part));
    let request = messages::FetchRequest::default().with_topics(twice(topic));
    let request = if v >= 12 { request.with_cluster_id(Some(s("cluster"))) } else { request };
    let request = if v >= 15 {
        request.with_replica_state(ReplicaState::default().with_replica_id(BrokerId(3)).with_replica_epoch(8))
    } else {
        request
    };
    let request = if v >= 7 {
        let gone = ForgottenTopic::default().with_topic(name("g")).with_topic_id(id(v, 13)).with_partitions(vec![1, 2]);
        request.with_forgotten_topics_data(twice(gone))
    } else {
        request
    };
    bytes(&if v >= 11 { request.with_rack_id(s("rack")) } else { request }, v)
}

fn groups(key: ApiKey, v: i16) -> Option<Bytes> {
    let instance = |since: i16| (v >= since).then(|| s("instance"));
    Some(match key {
        ApiKey::JoinGroup => {
            let protocol =
                JoinGroupRequestProtocol::default().with_name(s("range")).with_metadata(Bytes::from_static(b"meta"));
            let request = messages::JoinGroupRequest::default()
                .with_group_id(GroupId(s("g")))
                .with_member_id(s("m"))
                .with_group_instance_id(instance(5))
                .with_protocol_type(s("consumer"))
                .with_protocols(twice(protocol));
            bytes(&if v >= 8 { request.with_reason(Some(s("why"))) } else { request }, v)
        }
        ApiKey::SyncGroup => {
            let one =
                SyncGroupRequestAssignment::default().with_member_id(s("m")).with_assignment(Bytes::from_static(b"a"));
            let request = messages::SyncGroupRequest::default()
                .with_group_id(GroupId(s("g")))
                .with_group_instance_id(instance(3))
                .with_assignments(twice(one));
            bytes(&if v >= 5 { request.with_protocol_name(Some(s("range"))) } else { request }, v)
        }
        ApiKey::Heartbeat => {
            let request = messages::HeartbeatRequest::default().with_group_id(GroupId(s("g"))).with_member_id(s("m"));
            bytes(&request.with_group_instance_id(instance(3)), v)
        }
        ApiKey::LeaveGroup => {
            let request = messages::LeaveGroupRequest::default().with_group_id(GroupId(s("g")));
            let member = MemberIdentity::default().with_member_id(s("m"));
            let member = if v >= 5 { member.with_reason(Some(s("bye"))) } else { member };
            bytes(&if v >= 3 { request.with_members(twice(member)) } else { request.with_member_id(s("m")) }, v)
        }
        ApiKey::DescribeGroups => {
            bytes(&messages::DescribeGroupsRequest::default().with_groups(twice(GroupId(s("g")))), v)
        }
        ApiKey::ListGroups => {
            let request = messages::ListGroupsRequest::default();
            let request = if v >= 4 { request.with_states_filter(twice(s("Stable"))) } else { request };
            bytes(&if v >= 5 { request.with_types_filter(twice(s("classic"))) } else { request }, v)
        }
        ApiKey::FindCoordinator => {
            let request = messages::FindCoordinatorRequest::default();
            bytes(&if v >= 4 { request.with_coordinator_keys(twice(s("g"))) } else { request.with_key(s("g")) }, v)
        }
        ApiKey::OffsetCommit => {
            let part = OffsetCommitRequestPartition::default().with_committed_metadata(Some(s("meta")));
            let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(twice(part));
            let request = messages::OffsetCommitRequest::default().with_group_id(GroupId(s("g")));
            bytes(&request.with_group_instance_id(instance(7)).with_topics(twice(topic)), v)
        }
        ApiKey::OffsetFetch => {
            let request = messages::OffsetFetchRequest::default();
            let request = if v >= 8 {
                let topic =
                    OffsetFetchRequestTopics::default().with_name(name("t")).with_partition_indexes(vec![1, 2, 3]);
                let group =
                    OffsetFetchRequestGroup::default().with_group_id(GroupId(s("g"))).with_topics(Some(twice(topic)));
                request.with_groups(twice(group))
            } else {
                let topic = OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![1, 2]);
                request.with_group_id(GroupId(s("g"))).with_topics(Some(twice(topic)))
            };
            bytes(&request, v)
        }
        _ => return None,
    })
}

fn topics(key: ApiKey, v: i16) -> Option<Bytes> {
    Some(match key {
        ApiKey::CreateTopics => {
            let one = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
            let config = CreatableTopicConfig::default().with_name(s("k")).with_value(None);
            let topic =
                CreatableTopic::default().with_name(name("t")).with_assignments(twice(one)).with_configs(twice(config));
            bytes(&messages::CreateTopicsRequest::default().with_topics(twice(topic)), v)
        }
        ApiKey::DeleteTopics => {
            let request = messages::DeleteTopicsRequest::default();
            let request = if v >= 6 {
                request.with_topics(twice(DeleteTopicState::default().with_name(Some(name("t")))))
            } else {
                request.with_topic_names(twice(name("t")))
            };
            bytes(&request, v)
        }
        ApiKey::DeleteRecords => {
            let part = DeleteRecordsPartition::default().with_partition_index(1).with_offset(5);
            let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(twice(part));
            bytes(&messages::DeleteRecordsRequest::default().with_topics(twice(topic)), v)
        }
        ApiKey::CreatePartitions => {
            let one = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
            let topic = CreatePartitionsTopic::default().with_name(name("t")).with_assignments(Some(twice(one)));
            bytes(&messages::CreatePartitionsRequest::default().with_topics(twice(topic)), v)
        }
        ApiKey::DescribeConfigs => {
            let one = DescribeConfigsResource::default()
                .with_resource_name(s("t"))
                .with_configuration_keys(Some(twice(s("k"))));
            bytes(&messages::DescribeConfigsRequest::default().with_resources(twice(one)), v)
        }
        ApiKey::AlterConfigs => {
            let config = AlterableConfig::default().with_name(s("k")).with_value(Some(s("v")));
            let one = AlterConfigsResource::default().with_resource_name(s("t")).with_configs(twice(config));
            bytes(&messages::AlterConfigsRequest::default().with_resources(twice(one)), v)
        }
        ApiKey::IncrementalAlterConfigs => {
            use kafka_protocol::messages::incremental_alter_configs_request as incremental;
            let config = incremental::AlterableConfig::default().with_name(s("k")).with_value(Some(s("v")));
            let one = incremental::AlterConfigsResource::default().with_resource_name(s("t"));
            let one = one.with_configs(twice(config));
            bytes(&messages::IncrementalAlterConfigsRequest::default().with_resources(twice(one)), v)
        }
        ApiKey::DescribeTopicPartitions => {
            let request = messages::DescribeTopicPartitionsRequest::default();
            let cursor = Cursor::default().with_topic_name(name("t")).with_partition_index(4);
            let topics = twice(TopicRequest::default().with_name(name("t")));
            bytes(&request.with_topics(topics).with_cursor(Some(cursor)), v)
        }
        _ => return None,
    })
}

fn sample(key: ApiKey, v: i16) -> Bytes {
    if let Some(bytes) = groups(key, v).or_else(|| topics(key, v)) {
        return bytes;
    }
    match key {
        ApiKey::Produce => {
            let part = PartitionProduceData::default().with_records(Some(Bytes::from_static(&[1; 200])));
            let topic = TopicProduceData::default().with_name(name("t")).with_topic_id(id(v, 13));
            let topic = topic.with_partition_data(twice(part));
            bytes(&messages::ProduceRequest::default().with_topic_data(twice(topic)), v)
        }
        ApiKey::Fetch => fetch(v),
        ApiKey::ListOffsets => {
            let part = ListOffsetsPartition::default().with_timestamp(-1);
            let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(twice(part));
            bytes(&messages::ListOffsetsRequest::default().with_topics(twice(topic)), v)
        }
        ApiKey::Metadata => {
            let topic = MetadataRequestTopic::default().with_name(Some(name("t"))).with_topic_id(id(v, 10));
            bytes(&messages::MetadataRequest::default().with_topics(Some(twice(topic))), v)
        }
        ApiKey::ApiVersions => {
            let request = messages::ApiVersionsRequest::default();
            bytes(&if v >= 3 { request.with_client_software_name(s("me")) } else { request }, v)
        }
        ApiKey::InitProducerId => {
            let id = Some(messages::TransactionalId(s("x")));
            bytes(&messages::InitProducerIdRequest::default().with_transactional_id(id), v)
        }
        ApiKey::OffsetForLeaderEpoch => {
            let part = OffsetForLeaderPartition::default();
            let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(twice(part));
            bytes(&messages::OffsetForLeaderEpochRequest::default().with_topics(twice(topic)), v)
        }
        ApiKey::DescribeCluster => bytes(&messages::DescribeClusterRequest::default(), v),
        other => panic!("no sample of {other:?}"),
    }
}

#[test]
fn the_walk_ends_at_the_last_byte_of_what_the_codec_encodes_in_every_version() {
    for row in ROWS {
        for version in row.min..=row.max {
            let sample = sample(row.key, version);
            let walked = check(row.key, version, &sample).map(|walked| walked.bytes);
            assert_eq!(walked, Ok(sample.len()), "{:?} version {version}", row.key);
        }
    }
}

#[test]
fn every_truncation_of_every_request_is_refused() {
    for row in ROWS {
        for version in row.min..=row.max {
            let sample = sample(row.key, version);
            for end in 0..sample.len() {
                assert!(check(row.key, version, &sample[..end]).is_err(), "{:?} version {version} at {end}", row.key);
            }
        }
    }
}

#[test]
fn a_small_frame_that_claims_two_billion_elements_is_refused_before_the_codec_reserves_for_them() {
    // Metadata version 0: a plain count. Version 9: a compact one.
    assert_eq!(check(ApiKey::Metadata, 0, b"\x7f\xff\xff\xff"), Err(BadRequest::Short));
    assert_eq!(check(ApiKey::Metadata, 9, b"\xff\xff\xff\xff\x0f\0\0\0\0"), Err(BadRequest::Short));
    assert_eq!(check(ApiKey::Metadata, 0, b"\x80\0\0\0"), Err(BadRequest::Negative(i32::MIN.into())));
    // A count inside of a tagged field's claim: the codec would read the field by its type, so its size must agree.
    let fetch = fetch(15);
    let mut lying = fetch.to_vec();
    let at = lying.windows(7).position(|window| window == b"cluster").expect("the cluster id is in the request");
    lying[at - 2] += 1;
    assert_eq!(check(ApiKey::Fetch, 15, &lying), Err(BadRequest::TagSize(0)));
}

#[test]
fn a_frame_of_many_tiny_elements_is_refused_above_the_limit() {
    let list = |count: usize| {
        let mut body = BytesMut::new();
        body.put_i32(i32::try_from(count).unwrap());
        body.put_bytes(0, count * 2);
        check(ApiKey::DescribeGroups, 0, &body)
    };
    assert!(list(limits::REQUEST_ELEMENTS_MAX).is_ok());
    assert_eq!(list(limits::REQUEST_ELEMENTS_MAX + 1), Err(BadRequest::TooMany));
}

/// A Produce or Fetch with one topic of this name and no partitions, in the first version whose strings can be of any length.
fn named(key: ApiKey, name: &str) -> Result<Walked, BadRequest> {
    let name = TopicName(StrBytes::from_string(name.to_owned()));
    let (version, body) = match key {
        ApiKey::Produce => {
            let topic = TopicProduceData::default().with_name(name);
            (9, bytes(&messages::ProduceRequest::default().with_topic_data(vec![topic]), 9))
        }
        ApiKey::Fetch => {
            let topic = FetchTopic::default().with_topic(name);
            (12, bytes(&messages::FetchRequest::default().with_topics(vec![topic]), 12))
        }
        _ => {
            let topic = MetadataRequestTopic::default().with_name(Some(name));
            (9, bytes(&messages::MetadataRequest::default().with_topics(Some(vec![topic])), 9))
        }
    };
    check(key, version, &body)
}

#[test]
fn a_topic_name_of_megabytes_is_refused_while_decoding_and_one_that_is_a_little_too_long_is_for_the_handler() {
    for key in [ApiKey::Produce, ApiKey::Fetch, ApiKey::Metadata] {
        assert!(named(key, &"x".repeat(249)).is_ok() && named(key, &"x".repeat(1_000)).is_ok());
        for bytes in [1_001, 20_000, 7_000_000] {
            let refused = BadRequest::TooLong { what: "topic name", bytes, max: limits::REQUEST_TOPIC_BYTES_MAX };
            assert_eq!(named(key, &"x".repeat(bytes)), Err(refused), "{key:?}");
        }
    }
}

#[test]
fn no_string_of_any_request_is_longer_than_kafkas_own_decoder_takes() {
    let group = |bytes: usize| {
        let request = messages::HeartbeatRequest::default()
            .with_group_id(GroupId(StrBytes::from_string("g".repeat(bytes))))
            .with_member_id(s("m"));
        check(ApiKey::Heartbeat, 4, &self::bytes(&request, 4))
    };
    assert!(group(32_767).is_ok());
    assert!(matches!(group(32_768), Err(BadRequest::TooLong { what: "string", bytes: 32_768, .. })));
}

#[test]
fn elements_and_tagged_fields_are_counted() {
    let walked = check(ApiKey::Metadata, 12, &sample(ApiKey::Metadata, 12)).unwrap();
    assert_eq!((walked.elements, walked.tags), (2, 0));
    // Two topics with two partitions each, two forgotten ones with two numbers each, a cluster id in a tagged field.
    let walked = check(ApiKey::Fetch, 12, &fetch(12)).unwrap();
    assert_eq!((walked.elements, walked.tags), (2 + 4 + 2 + 4, 1));
}

/// What passes the walk must not make the codec panic; every single byte of every sample is changed in eight ways.
#[test]
fn no_single_changed_byte_makes_the_codec_panic() {
    for row in ROWS {
        for version in [row.min, row.max] {
            let sample = sample(row.key, version).to_vec();
            for at in 0..sample.len() {
                for value in [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, sample[at] ^ 0x10] {
                    let mut changed = sample.clone();
                    changed[at] = value;
                    if check(row.key, version, &changed).is_ok() {
                        let _ = messages::RequestKind::decode(row.key, &mut Bytes::from(changed), version);
                    }
                }
            }
        }
    }
}

#[test]
fn the_codec_decodes_each_sample_as_it_was_encoded() {
    for row in ROWS {
        let mut sample = sample(row.key, row.max);
        let decoded = messages::RequestKind::decode(row.key, &mut sample, row.max);
        assert!(decoded.is_ok() && sample.is_empty(), "{:?}", row.key);
    }
    let _ = messages::MetadataRequest::decode(&mut Bytes::from_static(b"\0\0\0\0"), 0);
}
