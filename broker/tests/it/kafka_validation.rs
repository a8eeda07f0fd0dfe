//! What a topic's configs ask of batches, over TCP with real bytes: the code of each refusal, which records it names, and
//! what is stored instead of what was sent.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{CreateTopicsRequest, FetchRequest};
use kafka_protocol::protocol::StrBytes;
use sluice_broker::clock::{Clock, MachineClock};
use sluice_broker::ids::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use sluice_broker::record::{
    Compression, Message, ProducerStamp, StoredBatch, TimestampType, build, check_stored, records,
};

use crate::kafka_client::{Broker, Client, name, produce};

const INVALID_TIMESTAMP: i16 = 32;
const INVALID_RECORD: i16 = 87;
const TOO_LARGE: i16 = 10;
const HOUR_MS: i64 = 3_600_000;

async fn create(client: &mut Client, topic: &'static str, configs: &[(&'static str, &'static str)]) {
    let config = |(key, value): &(&'static str, &'static str)| {
        let value = Some(StrBytes::from_static_str(value));
        CreatableTopicConfig::default().with_name(StrBytes::from_static_str(key)).with_value(value)
    };
    let creatable = CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(1);
    let creatable = creatable.with_configs(configs.iter().map(config).collect());
    let made = client.ask(7, &CreateTopicsRequest::default().with_topics(vec![creatable])).await;
    assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
}

fn now() -> i64 {
    MachineClock.wall().0
}

/// Records of 400 bytes with these timestamps.
fn timed(times: &[i64], compression: Compression) -> Bytes {
    let message = |at: &i64| Message {
        value: Some(vec![b'x'; 400].into()),
        timestamp: Some(TimestampMs(*at)),
        ..Message::default()
    };
    let messages: Vec<Message> = times.iter().map(message).collect();
    let stamp = ProducerStamp { id: ProducerId(4_711), epoch: ProducerEpoch(1), first: Sequence(0) };
    build(&messages, TimestampMs(0), compression, Some(stamp)).expect("legal messages").bytes().clone()
}

async fn stored(client: &mut Client, topic: &'static str) -> StoredBatch {
    let part = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![part]);
    let answer = client.ask(12, &FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic])).await;
    let bytes = answer.responses[0].partitions[0].records.clone().expect("never null");
    check_stored(bytes).expect("a whole batch")
}

#[tokio::test]
async fn a_timestamp_out_of_bounds_is_invalid_and_named_by_its_place_in_the_batch() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    create(&mut client, "ahead", &[]).await;
    create(&mut client, "both", &[("message.timestamp.before.max.ms", "60000")]).await;
    for compression in [Compression::None, Compression::Zstd] {
        let refused = client.produce("ahead", timed(&[now(), now() + 2 * HOUR_MS, 5], compression)).await;
        assert_eq!((refused.error_code, refused.base_offset), (INVALID_TIMESTAMP, -1));
        let places: Vec<i32> = refused.record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(places, [1], "old ones are taken by default");
        let text = refused.record_errors[0].batch_index_error_message.clone().expect("a text");
        assert!(text.contains("message.timestamp.after.max.ms=3600000"), "{text}");
        let refused = client.produce("both", timed(&[now(), now() - HOUR_MS, 5], compression)).await;
        assert_eq!(refused.error_code, INVALID_TIMESTAMP);
        let places: Vec<i32> = refused.record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(places, [1, 2]);
    }
    // Before KIP-467 there is only the code.
    let old = client.ask(7, &produce("ahead", timed(&[now() + 2 * HOUR_MS], Compression::Lz4), -1)).await;
    assert_eq!(old.responses[0].partition_responses[0].error_code, INVALID_TIMESTAMP);
    assert_eq!(client.produce("both", timed(&[now(), now() - 1_000], Compression::Gzip)).await.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn under_log_append_time_the_producers_times_are_not_judged() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    create(&mut client, "t", &[("message.timestamp.type", "LogAppendTime"), ("message.timestamp.before.max.ms", "1")])
        .await;
    let before = now();
    let answer = client.produce("t", timed(&[now() + 9 * HOUR_MS, 5], Compression::Snappy)).await;
    assert_eq!(answer.error_code, 0);
    assert!((before..=now()).contains(&answer.log_append_time_ms));
    let batch = stored(&mut client, "t").await;
    assert_eq!(batch.header().timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(batch.header().max_timestamp.0, answer.log_append_time_ms);
    broker.stop().await;
}

#[tokio::test]
async fn records_that_cannot_be_read_are_refused_where_records_are_validated() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    create(&mut client, "header", &[]).await;
    create(&mut client, "records", &[("sluice.validate", "records")]).await;
    let mut damaged = timed(&[now()], Compression::Zstd).to_vec();
    let last = damaged.len() - 1;
    damaged[last - 8..].fill(0x5a);
    let crc = crc32c(&damaged[21..]);
    damaged[17..21].copy_from_slice(&crc.to_be_bytes());
    let damaged = Bytes::from(damaged);
    assert_eq!(client.produce("header", damaged.clone()).await.error_code, 0, "it is not checked");
    assert_eq!(client.produce("records", damaged).await.error_code, INVALID_RECORD);
    // A bomb gets an error, not memory: 300 MB of zeros in one record.
    let mut bomb = timed(&[now()], Compression::Zstd).to_vec();
    bomb.truncate(61);
    bomb.extend_from_slice(&record_of_zeros(300 << 20));
    let length = i32::try_from(bomb.len() - 12).expect("small");
    bomb[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&bomb[21..]);
    bomb[17..21].copy_from_slice(&crc.to_be_bytes());
    let refused = client.produce("records", bomb.into()).await;
    assert_eq!(refused.error_code, INVALID_RECORD);
    assert!(refused.error_message.expect("a text").contains("grow beyond"));
    assert_eq!(client.produce("records", timed(&[now()], Compression::Zstd)).await.error_code, 0);
    broker.stop().await;
}

/// CRC-32C, bit by bit: this crate's own is not for tests of it.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// One record whose value is about `count` zeros, as a zstd frame of repeated blocks (RFC 8878): a few kilobytes.
fn record_of_zeros(count: usize) -> Vec<u8> {
    const BLOCK: usize = 128 * 1024;
    // The last zero is the number of headers.
    let value = varint(count - 1);
    let fields = [&[0, 0, 0, 1], &value[..]].concat();
    let head = [varint(fields.len() + count), fields].concat();
    // Magic, no content size, a window of 128 KiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    frame.extend_from_slice(&((head.len() as u32) << 3).to_le_bytes()[..3]);
    frame.extend_from_slice(&head);
    let blocks = count / BLOCK;
    for block in 0..blocks {
        let header = u32::from(block + 1 == blocks) | 1 << 1 | (BLOCK as u32) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A length as records have it: zigzag, seven bits a byte.
fn varint(length: usize) -> Vec<u8> {
    let mut left = length << 1;
    let mut bytes = Vec::new();
    while left > 0x7f {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

#[tokio::test]
async fn a_topic_with_a_compression_of_its_own_stores_in_that_and_keeps_everything_else() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    create(&mut client, "packed", &[("compression.type", "zstd"), ("max.message.bytes", "1000")]).await;
    create(&mut client, "plain", &[("compression.type", "uncompressed"), ("max.message.bytes", "1000")]).await;
    let times = [now() - 5, now(), now() - 3];
    // 1,200 bytes as sent: the limit is asked of what is stored.
    let sent = timed(&times, Compression::None);
    assert_eq!(client.produce("packed", sent.clone()).await.error_code, 0);
    let batch = stored(&mut client, "packed").await;
    let header = batch.header();
    assert_eq!(header.compression, Compression::Zstd);
    assert!(header.size < 500);
    let stamp = ProducerStamp { id: ProducerId(4_711), epoch: ProducerEpoch(1), first: Sequence(0) };
    assert_eq!((header.producer, header.max_timestamp.0), (Some(stamp), times[1]));
    let found = records(&batch).expect("readable records");
    assert_eq!(found.iter().map(|view| view.timestamp.0).collect::<Vec<_>>(), times);
    assert!(found.iter().all(|view| view.value.as_deref() == Some(&[b'x'; 400][..])));
    // When it is sent again it is known, although it was stored in another form.
    let again = client.produce("packed", sent).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    // Small when compressed, too large as stored.
    assert_eq!(client.produce("plain", timed(&times, Compression::Gzip)).await.error_code, TOO_LARGE);
    broker.stop().await;
}
