//! Traps around Produce: sizes, keys, identities, acks, compression.

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::{CreateTopicsRequest, FetchRequest, MetadataRequest, ProduceRequest};
use kafka_protocol::protocol::StrBytes;
use sluice_broker::config::BrokerConfig;
use sluice_broker::ids::{ProducerEpoch, ProducerId, Sequence};
use sluice_broker::record::{Compression, ProducerStamp};

use crate::kafka_client::{Broker, Client, batch, batch_of, name, produce};

async fn create(client: &mut Client, topic: &'static str, key: &'static str, value: &'static str) {
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str(key))
        .with_value(Some(StrBytes::from_static_str(value)));
    let creatable = CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![creatable.with_configs(vec![config])]);
    let made = client.ask(7, &request).await;
    assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
}

async fn stored(client: &mut Client, topic: &'static str) -> Vec<u8> {
    let part = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![part]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic]);
    let answer = client.ask(12, &request).await;
    answer.responses[0].partitions[0].records.clone().expect("never null").to_vec()
}

fn stamp(epoch: i16, first: i32) -> Option<ProducerStamp> {
    Some(ProducerStamp { id: ProducerId(4_711), epoch: ProducerEpoch(epoch), first: Sequence(first) })
}

#[tokio::test]
async fn a_produce_makes_its_topic_with_the_brokers_partition_count_where_auto_create_is_on() {
    let broker = Broker::start_with(BrokerConfig { num_partitions: 3, ..BrokerConfig::default() }).await;
    let mut client = broker.client().await;
    assert_eq!(client.produce("fresh", batch(&["a"])).await.error_code, 0);
    assert_eq!(client.topic("fresh").await.partitions.len(), 3);
    broker.stop().await;

    let broker = Broker::start_with(BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() }).await;
    let mut client = broker.client().await;
    assert_eq!(client.produce("fresh", batch(&["a"])).await.error_code, 3);
    assert_eq!(client.topic("fresh").await.error_code, 3);
    assert!(client.ask(12, &MetadataRequest::default().with_topics(None)).await.topics.is_empty());
    broker.stop().await;
}

#[tokio::test]
async fn batches_come_back_byte_for_byte_in_every_compression_save_offset_and_epoch() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (compression, topic) in codecs.into_iter().zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let sent = batch_of(&["the same", "the same", "the same"], compression, None);
        assert_eq!(client.produce(topic, sent.clone()).await.error_code, 0, "{topic}");
        let got = stored(&mut client, topic).await;
        // Behind base offset, length and leader epoch.
        assert_eq!(got[16..], sent[16..], "{topic}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn zstd_is_refused_in_versions_of_produce_that_are_older_than_it() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for version in 3..=12 {
        let zstd = produce("t", batch_of(&["a"], Compression::Zstd, None), -1);
        let code = client.ask(version, &zstd).await.responses[0].partition_responses[0].error_code;
        assert_eq!(code, if version < 7 { 76 } else { 0 }, "version {version}");
        let gzip = produce("t", batch_of(&["a"], Compression::Gzip, None), -1);
        assert_eq!(client.ask(version, &gzip).await.responses[0].partition_responses[0].error_code, 0);
    }
    broker.stop().await;
}

#[tokio::test]
async fn errors_of_many_partitions_are_told_in_words_a_hundred_times() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let mut request = produce("not/legal", batch(&["a"]), -1);
    request.topic_data[0].partition_data =
        (0..300).map(|index| PartitionProduceData::default().with_index(index).with_records(None)).collect();
    let answer = client.ask(9, &request).await.responses.remove(0).partition_responses;
    assert!(answer.len() == 300 && answer.iter().all(|part| part.error_code == 17));
    assert_eq!(answer.iter().filter(|part| part.error_message.is_some()).count(), 100);
    broker.stop().await;
}

#[tokio::test]
async fn a_batch_above_max_message_bytes_is_too_large() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    create(&mut client, "small", "max.message.bytes", "1000").await;
    let answer = client.produce("small", batch(&[&"x".repeat(2_000)])).await;
    assert_eq!((answer.error_code, answer.base_offset), (10, -1));
    assert!(answer.error_message.expect("there is a text").contains("max.message.bytes"));
    assert_eq!(client.produce("small", batch(&["fits"])).await.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_config_that_is_not_in_force_yet_is_refused_in_words_and_its_default_is_taken() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    create(&mut client, "deleted", "cleanup.policy", "delete").await;
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("preallocate"))
        .with_value(Some(StrBytes::from_static_str("true")));
    let creatable =
        CreatableTopic::default().with_name(name("preallocated")).with_num_partitions(1).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![creatable.with_configs(vec![config])]);
    let refused = client.ask(7, &request).await.topics.remove(0);
    assert_eq!(refused.error_code, 40, "INVALID_CONFIG");
    assert!(refused.error_message.expect("there is a text").contains("not supported yet"));
    broker.stop().await;
}

#[tokio::test]
async fn a_flipped_bit_is_a_corrupt_message_and_an_empty_request_an_invalid_one() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let mut flipped = batch(&["a"]).to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    assert_eq!(client.produce("t", flipped.into()).await.error_code, 2);
    assert_eq!(client.produce("t", bytes::Bytes::new()).await.error_code, 42);
    assert_eq!(client.ask(9, &produce("t", batch(&["a"]), 5)).await.responses[0].partition_responses[0].error_code, 21);
    broker.stop().await;
}

#[tokio::test]
async fn an_idempotent_producer_is_deduplicated_also_by_a_broker_that_was_restarted() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let send = |first| batch_of(&["a", "b"], Compression::None, stamp(0, first));
    for first in [0, 2, 4] {
        assert_eq!(client.produce("t", send(first)).await.base_offset, i64::from(first));
    }
    // Sent again: the offset it got the first time.
    let again = client.produce("t", send(2)).await;
    assert_eq!((again.error_code, again.base_offset), (0, 2));
    // A gap.
    assert_eq!(client.produce("t", send(8)).await.error_code, 45);
    let folder = broker.stop().await;

    let broker = Broker::over(folder, BrokerConfig::default()).await;
    let mut client = broker.client().await;
    let again = client.produce("t", send(4)).await;
    assert_eq!((again.error_code, again.base_offset), (0, 4));
    assert_eq!(client.produce("t", send(6)).await.base_offset, 6);
    // A later incarnation, and then the earlier one.
    let next = batch_of(&["c"], Compression::None, stamp(1, 0));
    assert_eq!(client.produce("t", next).await.base_offset, 8);
    assert_eq!(client.produce("t", send(8)).await.error_code, 47);
    broker.stop().await;
}

#[tokio::test]
async fn rule_7_a_produce_without_acks_is_not_answered_and_keeps_its_place() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    client.send(9, &produce("t", batch(&["silent"]), 0)).await;
    client.send(9, &produce("t", batch(&["loud"]), -1)).await;
    let answer = client.read::<ProduceRequest>(9).await;
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, 1);
    // A failure that nobody is told of ends the connection, so that the client looks again.
    client.send(9, &produce("t", bytes::Bytes::new(), 0)).await;
    client.closed().await;
    broker.stop().await;
}

#[tokio::test]
async fn rule_7_produces_that_are_sent_without_waiting_are_appended_and_answered_in_order() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for sequence in 0..100 {
        let one = batch_of(&["v"], Compression::None, stamp(0, sequence));
        client.send(9, &produce("t", one, -1)).await;
    }
    for offset in 0..100 {
        let answer = client.read::<ProduceRequest>(9).await;
        let part = &answer.responses[0].partition_responses[0];
        assert_eq!((part.error_code, part.base_offset), (0, offset));
    }
    broker.stop().await;
}
