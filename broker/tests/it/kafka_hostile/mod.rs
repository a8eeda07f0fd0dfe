//! Requests that no client should send: each ends its own connection, and the broker goes on for everybody else.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, DescribeConfigsRequest, MetadataRequest};
use kafka_protocol::protocol::StrBytes;
use sluice_broker::clock::bounded_wait;
use sluice_broker::config::{BrokerConfig, ConnectionsConfig};
use tokio::io::AsyncWriteExt;

use crate::kafka_client::{Broker, batch, key, name, produce};

async fn start(connections: ConnectionsConfig) -> Broker {
    Broker::start_with(BrokerConfig { connections, ..BrokerConfig::default() }).await
}

fn unsigned(frame: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        frame.put_u8(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    frame.put_u8(value.to_le_bytes()[0]);
}

async fn serves(broker: &Broker) {
    let mut client = broker.client().await;
    assert_eq!(client.ask(3, &ApiVersionsRequest::default()).await.error_code, 0);
}

fn header(api: i16, version: i16) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i16(api);
    frame.put_i16(version);
    frame.put_i32(7);
    frame.put_i16(-1);
    frame
}

#[tokio::test]
async fn negative_and_oversized_lengths_close_the_connection() {
    let broker = Broker::start().await;
    for prefix in [&b"\xff\xff\xff\xff"[..], b"\x80\0\0\0", b"\0\0\0\0", b"\x06\x40\0\x01", b"\x7f\xff\xff\xff"] {
        let mut client = broker.client().await;
        client.stream.write_all(prefix).await.expect("the connection takes it");
        client.closed().await;
        serves(&broker).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_hundred_bytes_that_claim_two_billion_elements_cost_a_connection_and_no_memory() {
    let broker = Broker::start().await;
    for (api, version, claim) in [
        (ApiKey::Metadata, 0, &b"\x7f\xff\xff\xff"[..]),
        (ApiKey::Metadata, 12, b"\0\xff\xff\xff\xff\x07"),
        (ApiKey::Produce, 3, b"\xff\xff\0\x01\0\0\0\0\x7f\xff\xff\xff"),
        (ApiKey::DescribeGroups, 0, b"\x7f\xff\xff\xff"),
        (ApiKey::FindCoordinator, 4, b"\0\0\xff\xff\xff\xff\x0f"),
    ] {
        let mut frame = header(key(api), version);
        frame.put_slice(claim);
        frame.put_bytes(0, 100 - frame.len());
        let mut client = broker.client().await;
        client.send_frame(&frame).await;
        client.closed().await;
        serves(&broker).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_topic_name_of_megabytes_over_190_000_partitions_costs_a_connection_and_no_memory() {
    let broker = Broker::start().await;
    let mut frame = header(key(ApiKey::Produce), 9);
    // No tagged fields, no transactional id, acks, time-out, one topic.
    frame.put_slice(b"\0\0\xff\xff\0\0\x75\x30\x02");
    unsigned(&mut frame, 7_000_001);
    frame.put_bytes(b'x', 7_000_000);
    unsigned(&mut frame, 190_001);
    for partition in 0..190_000 {
        frame.put_i32(partition);
        frame.put_slice(b"\0\0");
    }
    frame.put_slice(b"\0\0");
    let mut client = broker.client().await;
    client.send_frame(&frame).await;
    client.closed().await;
    serves(&broker).await;
    broker.stop().await;
}

#[tokio::test]
async fn one_topic_named_27_000_times_is_answered_once() {
    let broker = Broker::start_with(BrokerConfig { num_partitions: 100, ..BrokerConfig::default() }).await;
    let mut client = broker.client().await;
    client.topic("t").await;
    let asked = MetadataRequestTopic::default().with_name(Some(name("t")));
    let request = MetadataRequest::default().with_topics(Some(vec![asked; 27_000]));
    let answer = client.ask(9, &request).await;
    assert_eq!((answer.topics.len(), answer.topics[0].partitions.len()), (1, 100));
    broker.stop().await;
}

#[tokio::test]
async fn an_answer_that_nobody_could_take_costs_its_connection() {
    let small = BrokerConfig { memory_max_bytes: 64 * 1024 * 1024, ..BrokerConfig::default() };
    let broker = Broker::start_with(small).await;
    let mut client = broker.client().await;
    let of_broker = DescribeConfigsResource::default().with_resource_type(4).with_configuration_keys(None);
    let of_broker = of_broker.with_resource_name(StrBytes::from_static_str("1"));
    let request = DescribeConfigsRequest::default().with_include_synonyms(true).with_include_documentation(true);
    // 800 KB that would be answered with more than a gigabyte.
    client.send(4, &request.clone().with_resources(vec![of_broker.clone(); 100_000])).await;
    client.closed().await;
    let mut client = broker.client().await;
    assert_eq!(client.ask(4, &request.with_resources(vec![of_broker; 20])).await.results.len(), 20);
    broker.stop().await;
}

#[tokio::test]
async fn unknown_keys_versions_and_headers_close_the_connection() {
    let broker = Broker::start().await;
    let frames =
        [header(4, 0), header(9_999, 0), header(-1, 0), header(key(ApiKey::Fetch), 19), BytesMut::from(&b"\0"[..])];
    for frame in frames {
        let mut client = broker.client().await;
        client.send_frame(&frame).await;
        client.closed().await;
        serves(&broker).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn what_came_before_a_broken_request_is_answered() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    let good = produce("t", batch(&["a"]), -1);
    client.send(9, &good).await;
    client.send_frame(&header(4, 0)).await;
    let answer = client.read::<kafka_protocol::messages::ProduceRequest>(9).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    client.closed().await;
    broker.stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_and_find_room_when_others_leave() {
    let broker = start(ConnectionsConfig { max_connections: 2, ..ConnectionsConfig::default() }).await;
    let (mut first, mut second) = (broker.client().await, broker.client().await);
    first.ask(12, &MetadataRequest::default()).await;
    second.ask(12, &MetadataRequest::default()).await;
    broker.client().await.closed().await;
    drop(first);
    // The broker learns of the end at its own time: asked again until there is room.
    let again = async {
        loop {
            let mut client = broker.client().await;
            let mut frame = header(key(ApiKey::ApiVersions), 0);
            let mut whole = BytesMut::new();
            whole.put_u32(10);
            whole.put_slice(&frame.split());
            let sent = client.stream.write_all(&whole).await;
            if sent.is_ok() && client.read_frame().await.is_some() {
                return;
            }
        }
    };
    bounded_wait(again).await;
    drop(second);
    broker.stop().await;
}

#[tokio::test]
async fn one_address_has_no_more_connections_than_its_share() {
    let limits = ConnectionsConfig { max_connections_per_address: 2, ..ConnectionsConfig::default() };
    let broker = start(limits).await;
    let (mut first, mut second) = (broker.client().await, broker.client().await);
    first.ask(12, &MetadataRequest::default()).await;
    second.ask(12, &MetadataRequest::default()).await;
    broker.client().await.closed().await;
    first.ask(12, &MetadataRequest::default()).await;
    broker.stop().await;
}

#[tokio::test]
async fn an_address_that_opens_connections_too_fast_is_refused() {
    let limits = ConnectionsConfig { connections_per_second_per_address: 2, ..ConnectionsConfig::default() };
    let broker = start(limits).await;
    let mut clients = Vec::new();
    // Faster than two a second, however slow the machine is: the answers to the first two are not waited for.
    for _ in 0..20 {
        clients.push(broker.client().await);
    }
    let mut refused = 0;
    for client in &mut clients {
        let sent = client.stream.write_all(b"\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff").await;
        refused += usize::from(sent.is_err() || client.read_frame().await.is_none());
    }
    assert!((1..=18).contains(&refused), "{refused} of 20");
    broker.stop().await;
}

#[tokio::test]
async fn a_half_sent_request_is_closed_long_before_a_silent_connection() {
    let broker = start(ConnectionsConfig { frame_pause_max_ms: 50, ..ConnectionsConfig::default() }).await;
    for half in [&b"\0"[..], b"\0\0\0", b"\0\0\0\x0a\0\x12"] {
        let mut client = broker.client().await;
        client.stream.write_all(half).await.expect("the connection takes it");
        client.closed().await;
    }
    serves(&broker).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_the_idle_time() {
    let broker = start(ConnectionsConfig { connections_max_idle_ms: 50, ..ConnectionsConfig::default() }).await;
    let mut client = broker.client().await;
    client.closed().await;
    broker.stop().await;
}

const MIB: usize = 1024 * 1024;

/// A broker with the smallest budget.
async fn small_broker() -> Broker {
    Broker::start_with(BrokerConfig { memory_max_bytes: 64 * MIB as u64, ..BrokerConfig::default() }).await
}

/// Connections that announce a frame of `announced` bytes, send so many of it, and then nothing.
async fn half_sent(
    broker: &Broker,
    connections: usize,
    announced: usize,
    sent: usize,
) -> Vec<tokio::task::JoinHandle<()>> {
    let mut all = Vec::new();
    for _ in 0..connections {
        let mut client = broker.client().await;
        let announced = u32::try_from(announced).expect("a frame is smaller");
        client.stream.write_all(&announced.to_be_bytes()).await.expect("the connection takes it");
        all.push(tokio::spawn(async move {
            // The broker reads as much as it admits, and may close it.
            let _ = client.stream.write_all(&vec![0; sent]).await;
            std::future::pending::<()>().await;
        }));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn large_frames_that_are_announced_and_never_sent_stop_nobody() {
    let broker = small_broker().await;
    let _attack = half_sent(&broker, 50, 14 * MIB, 0).await;
    let bystander = async {
        let mut client = broker.client().await;
        client.topic("t").await;
        for value in ["small".to_owned(), "v".repeat(900_000)] {
            assert_eq!(client.produce("t", batch(&[&value])).await.error_code, 0);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), bystander).await.expect("the bystander is served");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_frames_that_fill_the_memory_stop_nobody_small_and_end_when_somebody_large_waits() {
    let broker = small_broker().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    let _attack = half_sent(&broker, 20, 10 * MIB, MIB).await;
    let (small, middle) = (batch(&["small"]), batch(&[&"v".repeat(900_000)]));
    for batch in [small, middle] {
        let mut client = broker.client().await;
        let produced = tokio::time::timeout(Duration::from_secs(10), client.produce("t", batch)).await;
        assert_eq!(produced.expect("the others' memory is not its").error_code, 0);
    }
    // A large frame waits behind those that do not come; each is ended when it is in the way.
    let mut large = broker.client().await;
    let mut request = produce("t", batch(&[&"v".repeat(900_000)]), -1);
    let parts = &mut request.topic_data[0].partition_data;
    parts.extend((1..5).map(|index| parts[0].clone().with_index(index)).collect::<Vec<_>>());
    let served = tokio::time::timeout(Duration::from_secs(60), large.ask(9, &request)).await;
    assert_eq!(served.expect("it is served").responses[0].partition_responses[0].error_code, 0);
    broker.stop().await;
}
