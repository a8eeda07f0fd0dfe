//! DeleteRecords over the Kafka port: where a log begins afterwards, as ListOffsets and Fetch see it, and what is refused.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, FetchRequest, GroupId, ListOffsetsRequest, OffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use sluice_broker::ids::TimestampMs;
use sluice_broker::record::{Compression, Message, build};

use crate::kafka_client::{Broker, Client, batch, name};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const POLICY_VIOLATION: i16 = 44;
const INVALID_RECORD: i16 = 87;

/// Low watermark and error.
async fn delete(client: &mut Client, version: i16, topic: &'static str, offset: i64) -> (i64, i16) {
    let part = DeleteRecordsPartition::default().with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![part]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let part = client.ask(version, &request).await.topics.remove(0).partitions.remove(0);
    (part.low_watermark, part.error_code)
}

async fn earliest(client: &mut Client, topic: &'static str) -> i64 {
    let part = ListOffsetsPartition::default().with_timestamp(-2);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![part]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    client.ask(5, &request).await.topics.remove(0).partitions.remove(0).offset
}

/// Error, log start and whether there are records.
async fn fetch(client: &mut Client, topic: &'static str, offset: i64) -> (i16, i64, bool) {
    let part = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![part]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic]);
    let data = client.ask(12, &request).await.responses.remove(0).partitions.remove(0);
    (data.error_code, data.log_start_offset, !data.records.unwrap_or_default().is_empty())
}

#[tokio::test]
async fn the_log_begins_where_the_records_were_deleted_up_to() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for _ in 0..3 {
        client.produce("t", batch(&["a", "b"])).await;
    }
    assert_eq!(delete(&mut client, 0, "t", 3).await, (3, 0));
    assert_eq!(earliest(&mut client, "t").await, 3);
    assert_eq!(fetch(&mut client, "t", 2).await.0, OFFSET_OUT_OF_RANGE);
    assert_eq!(fetch(&mut client, "t", 3).await, (0, 3, true));
    assert_eq!(delete(&mut client, 1, "t", 1).await, (3, 0), "a start never goes back");
    assert_eq!(delete(&mut client, 2, "t", 7).await, (-1, OFFSET_OUT_OF_RANGE), "above the high watermark");
    assert_eq!(delete(&mut client, 2, "t", -2).await, (-1, OFFSET_OUT_OF_RANGE));
    assert_eq!(delete(&mut client, 2, "t", -1).await, (6, 0), "-1 is the high watermark");
    assert_eq!(fetch(&mut client, "t", 6).await, (0, 6, false));
    assert_eq!(client.produce("t", batch(&["c"])).await.base_offset, 6);
    assert_eq!(delete(&mut client, 2, "nowhere", 0).await, (-1, UNKNOWN_TOPIC_OR_PARTITION));
    broker.stop().await;
}

#[tokio::test]
async fn records_that_nobody_may_delete_stay() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    let compact = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("cleanup.policy"))
        .with_value(Some(StrBytes::from_static_str("compact")));
    let topic = CreatableTopic::default().with_name(name("c")).with_num_partitions(1).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic.with_configs(vec![compact])]);
    assert_eq!(client.ask(7, &request).await.topics[0].error_code, 0);
    assert_eq!(client.produce("c", batch(&["a"])).await.error_code, 0);
    assert_eq!(delete(&mut client, 2, "c", -1).await, (-1, POLICY_VIOLATION), "compacted only");
    let keyless = Message { value: Some(Bytes::from_static(b"v")), ..Message::default() };
    let keyless = build(&[keyless], TimestampMs(1), Compression::None, None).expect("a batch").bytes().clone();
    assert_eq!(client.produce("c", keyless).await.error_code, INVALID_RECORD);
    // A delay topic's records are the queue of what is to be delivered.
    client.topic("t.delay.1d").await;
    client.produce("t.delay.1d", batch(&["a"])).await;
    assert_eq!(delete(&mut client, 2, "t.delay.1d", -1).await, (-1, POLICY_VIOLATION));
    assert_eq!(earliest(&mut client, "t.delay.1d").await, 0);
    let part = OffsetCommitRequestPartition::default().with_committed_offset(0);
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![part]);
    let group = GroupId(StrBytes::from_static_str("g"));
    let commit = OffsetCommitRequest::default().with_group_id(group).with_topics(vec![topic]);
    let commit = commit.with_generation_id_or_member_epoch(-1);
    assert_eq!(client.ask(8, &commit).await.topics[0].partitions[0].error_code, 0);
    assert_eq!(delete(&mut client, 2, "__consumer_offsets", 0).await, (-1, INVALID_TOPIC), "the broker's own");
    broker.stop().await;
}
