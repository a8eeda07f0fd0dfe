//! Traps around Fetch: whole batches, limits, long polls, sessions, ids.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, FetchRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::kafka_client::{Broker, Client, batch, name, produce};

fn fetch(topic: &'static str, offset: i64) -> FetchRequest {
    let part = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![part]);
    FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic])
}

async fn one(client: &mut Client, version: i16, request: &FetchRequest) -> PartitionData {
    client.ask(version, request).await.responses.remove(0).partitions.remove(0)
}

/// Base offset of each whole batch: as in Kafka, the last one may be cut short.
fn bases(records: &Bytes) -> Vec<i64> {
    let mut bases = Vec::new();
    let mut rest = &records[..];
    while let Some((head, _)) = rest.split_first_chunk::<12>() {
        let size = u32::from_be_bytes(head[8..].try_into().expect("four bytes")) as usize;
        let Some(behind) = rest.get(12 + size..) else { break };
        bases.push(i64::from_be_bytes(head[..8].try_into().expect("eight bytes")));
        rest = behind;
    }
    bases
}

#[tokio::test]
async fn an_offset_in_the_middle_of_a_batch_returns_the_whole_batch() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    client.produce("t", batch(&["a", "b", "c"])).await;
    client.produce("t", batch(&["d"])).await;
    for version in [4, 11, 12] {
        let data = one(&mut client, version, &fetch("t", 1)).await;
        assert_eq!((data.error_code, data.high_watermark), (0, 4));
        assert_eq!(bases(&data.records.expect("never null")), [0, 3]);
    }
    broker.stop().await;
}

#[tokio::test]
async fn at_least_one_batch_comes_back_however_small_the_limits_are() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for value in ["a", "b"] {
        client.produce("t", batch(&[value])).await;
    }
    let mut request = fetch("t", 0).with_max_bytes(1);
    request.topics[0].partitions[0].partition_max_bytes = 1;
    let data = one(&mut client, 12, &request).await;
    assert_eq!(bases(&data.records.expect("never null")), [0]);
    broker.stop().await;
}

#[tokio::test]
async fn a_fetch_that_stops_inside_a_sealed_segment_does_not_skip_to_the_next() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let small = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("segment.bytes"))
        .with_value(Some(StrBytes::from_static_str("16384")));
    let topic = CreatableTopic::default().with_name(name("t")).with_num_partitions(1).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic.with_configs(vec![small])]);
    let made = client.ask(7, &request).await;
    assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
    let value = "x".repeat(6_000);
    for _ in 0..12 {
        client.produce("t", batch(&[&value])).await;
    }
    let (mut seen, mut next) = (Vec::new(), 0);
    while next < 12 {
        let mut request = fetch("t", next);
        request.topics[0].partitions[0].partition_max_bytes = 10_000;
        let data = one(&mut client, 12, &request).await;
        let got = bases(&data.records.expect("never null"));
        assert!(!got.is_empty(), "nothing at offset {next}");
        next = got[got.len() - 1] + 1;
        seen.extend(got);
    }
    assert_eq!(seen, (0..12).collect::<Vec<_>>());
    broker.stop().await;
}

#[tokio::test]
async fn records_are_never_null_at_the_end_of_the_log_and_with_errors() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for version in 4..=12 {
        let end = one(&mut client, version, &fetch("t", 0)).await;
        assert_eq!((end.error_code, end.records), (0, Some(Bytes::new())));
        let beyond = one(&mut client, version, &fetch("t", 5)).await;
        assert_eq!((beyond.error_code, beyond.records), (1, Some(Bytes::new())));
        let negative = one(&mut client, version, &fetch("t", -1)).await;
        assert_eq!((negative.error_code, negative.records), (1, Some(Bytes::new())));
        let unknown = one(&mut client, version, &fetch("nowhere", 0)).await;
        assert_eq!((unknown.error_code, unknown.records), (3, Some(Bytes::new())));
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_long_poll_wakes_when_a_record_comes_and_not_before() {
    let broker = Broker::start().await;
    let (mut consumer, mut producer) = (broker.client().await, broker.client().await);
    consumer.topic("t").await;
    // Ten minutes: only the record can end it.
    let request = fetch("t", 0).with_max_wait_ms(600_000).with_min_bytes(1);
    consumer.send(12, &request).await;
    producer.produce("t", batch(&["a"])).await;
    let data = consumer.read::<FetchRequest>(12).await.responses.remove(0).partitions.remove(0);
    assert_eq!(bases(&data.records.expect("never null")), [0]);
    broker.stop().await;
}

#[tokio::test]
async fn an_unknown_topic_beside_a_good_one_does_not_end_its_long_poll_and_alone_it_is_answered_at_once() {
    let broker = Broker::start().await;
    let (mut consumer, mut producer) = (broker.client().await, broker.client().await);
    consumer.topic("t").await;
    // Ten minutes: only the record can end it.
    let mut request = fetch("t", 0).with_max_wait_ms(600_000).with_min_bytes(1);
    request.topics.extend(fetch("nowhere", 0).topics);
    let missing = FetchPartition::default().with_partition(7).with_partition_max_bytes(1 << 20);
    request.topics[0].partitions.push(missing);
    consumer.send(12, &request).await;
    producer.produce("t", batch(&["a"])).await;
    let mut answer = consumer.read::<FetchRequest>(12).await.responses;
    let codes: Vec<_> = answer.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code).collect();
    assert_eq!(codes, [0, 3, 3]);
    let records = answer.remove(0).partitions.remove(0).records;
    assert_eq!(bases(&records.expect("never null")), [0], "an error before the record would have come without it");
    let alone = fetch("nowhere", 0).with_max_wait_ms(600_000).with_min_bytes(1);
    assert_eq!(one(&mut consumer, 12, &alone).await.error_code, 3);
    broker.stop().await;
}

#[tokio::test]
async fn topic_ids_name_a_topic_and_never_the_one_made_later_under_its_name() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let id = client.topic("t").await.topic_id;
    let by_id = |id: Uuid| {
        let mut request = fetch("", 0);
        request.topics[0].topic_id = id;
        request
    };
    let mut batch_by_id = produce("", batch(&["a"]), -1);
    batch_by_id.topic_data[0].topic_id = id;
    let produced = client.ask(13, &batch_by_id).await.responses.remove(0);
    assert_eq!((produced.topic_id, produced.partition_responses[0].error_code), (id, 0));
    for version in 13..=18 {
        let response = client.ask(version, &by_id(id)).await.responses.remove(0);
        assert_eq!(response.topic_id, id);
        assert_eq!(bases(response.partitions[0].records.as_ref().expect("never null")), [0]);
    }
    // A poll that waits ends when the topic goes.
    let mut waiting = broker.client().await;
    let mut request = by_id(id).with_max_wait_ms(600_000).with_min_bytes(1);
    request.topics[0].partitions[0].fetch_offset = 1;
    waiting.send(18, &request).await;
    let state = DeleteTopicState::default().with_topic_id(id);
    let deleted = client.ask(6, &DeleteTopicsRequest::default().with_topics(vec![state])).await;
    assert_eq!(deleted.responses[0].error_code, 0);
    let ended = waiting.read::<FetchRequest>(18).await.responses.remove(0).partitions.remove(0);
    assert_eq!(ended.error_code, 100);

    assert_ne!(client.topic("t").await.topic_id, id);
    assert_eq!(one(&mut client, 18, &by_id(id)).await.error_code, 100);
    assert_eq!(client.ask(13, &batch_by_id).await.responses[0].partition_responses[0].error_code, 100);
    broker.stop().await;
}

#[tokio::test]
async fn sessions_are_declined_and_one_that_never_was_is_not_found() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    let declined = client.ask(12, &fetch("t", 0).with_session_id(0).with_session_epoch(0)).await;
    assert_eq!((declined.error_code, declined.session_id, declined.responses.len()), (0, 0, 1));
    let unknown = client.ask(12, &fetch("t", 0).with_session_id(77).with_session_epoch(3)).await;
    assert_eq!((unknown.error_code, unknown.session_id, unknown.responses.len()), (70, 0, 0));
    let last = client.ask(12, &fetch("t", 0).with_session_id(77).with_session_epoch(-1)).await;
    assert_eq!((last.error_code, last.responses.len()), (0, 1));
    broker.stop().await;
}

#[tokio::test]
async fn leader_epochs_of_the_past_and_the_future_are_told_apart() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let epoch = client.topic("t").await.partitions[0].leader_epoch;
    let with = |epoch: i32| {
        let mut request = fetch("t", 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        request
    };
    assert_eq!(one(&mut client, 12, &with(epoch)).await.error_code, 0);
    assert_eq!(one(&mut client, 12, &with(-1)).await.error_code, 0);
    assert_eq!(one(&mut client, 12, &with(epoch + 1)).await.error_code, 75);
    if epoch > 0 {
        assert_eq!(one(&mut client, 12, &with(epoch - 1)).await.error_code, 74);
    }
    broker.stop().await;
}
