//! What network threads never do: wait for a disk, or look again at what has not moved. Counted, not timed, so that the answer
//! is the same on every machine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeGroupsRequest, FetchRequest, InitProducerIdRequest,
    ListGroupsRequest, ListOffsetsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use sluice_broker::auth::{self, Granted};
use sluice_broker::clock::MachineClock;
use sluice_broker::config::{BrokerConfig, KafkaListener};
use sluice_broker::door::messages::{Acks, Compression, Message, ProduceRequest};
use sluice_broker::engine::fetch::{FetchPartition as Part, FetchRequest as Asked, FetchTopic as AskedTopic, Form};
use sluice_broker::ids::{Offset, PartitionId, TopicRef};
use sluice_broker::log::LogDirSettings;
use sluice_broker::log::io::BufferedDisk;
use sluice_broker::log::io::faulty::FaultyDisk;
use sluice_broker::log::io::watched::WatchedDisk;
use sluice_broker::node::Node;

use crate::kafka_client::{Client, batch, name};
use crate::kafka_groups::{beat, commit, join};
use crate::rooms::{Rooms, http};

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic_with(topic: &'static str, configs: &[(&'static str, &'static str)]) -> CreateTopicsRequest {
    let config = |(key, value): &(&'static str, &'static str)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(configs.iter().map(config).collect());
    CreateTopicsRequest::default().with_timeout_ms(60_000).with_topics(vec![topic])
}

fn fetch(topic: &'static str, offset: i64) -> FetchRequest {
    let part = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![part]);
    FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic])
}

fn offset_at(time: i64) -> ListOffsetsRequest {
    let part = ListOffsetsPartition::default().with_timestamp(time);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![part]);
    ListOffsetsRequest::default().with_topics(vec![topic])
}

/// What clients of the Kafka port do, segments that fill up among it.
async fn drive(client: &mut Client) {
    let small = [("segment.bytes", "16384"), ("index.interval.bytes", "0")];
    assert_eq!(client.ask(5, &topic_with("t", &small)).await.topics[0].error_code, 0);
    assert_eq!(client.ask(5, &topic_with("os", &[("sluice.flush", "os")])).await.topics[0].error_code, 0);
    let value = "v".repeat(2_000);
    for _ in 0..60 {
        assert_eq!(client.produce("t", batch(&[&value])).await.error_code, 0);
        assert_eq!(client.produce("os", batch(&[&value])).await.error_code, 0);
    }
    for offset in [0, 17, 59, 60] {
        let data = client.ask(12, &fetch("t", offset)).await.responses.remove(0).partitions.remove(0);
        assert_eq!((data.error_code, data.high_watermark), (0, 60));
    }
    for time in [-1, -2, -3, 1_000, 5_000] {
        assert_eq!(client.ask(7, &offset_at(time)).await.topics[0].partitions[0].error_code, 0);
    }
    assert!(client.ask(12, &MetadataRequest::default().with_topics(None)).await.topics.len() >= 2);
    let init = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(1);
    assert_eq!(client.ask(4, &init).await.error_code, 0);

    let named = client.ask(9, &join(StrBytes::new())).await;
    let joined = client.ask(9, &join(named.member_id)).await;
    assert_eq!(joined.error_code, 0);
    client.ask(9, &commit(3, "note")).await;
    client.ask(4, &beat(joined.generation_id, joined.member_id.clone())).await;
    assert_eq!(client.ask(5, &ListGroupsRequest::default()).await.groups.len(), 1);
    client.ask(5, &DescribeGroupsRequest::default()).await;

    let gone = DeleteTopicState::default().with_name(Some(name("os")));
    let delete = DeleteTopicsRequest::default().with_topics(vec![gone]).with_timeout_ms(60_000);
    assert_eq!(client.ask(6, &delete).await.responses[0].error_code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_waits_for_the_disk_on_a_network_thread() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let disk = WatchedDisk::over(Arc::new(BufferedDisk::default()));
    let config = BrokerConfig { data_dir: folder.path().to_owned(), ..BrokerConfig::default() };
    let listener = KafkaListener { host: "localhost".into(), port: 0, advertised: None };
    let settings = LogDirSettings { path: folder.path().to_owned(), disk: Arc::new(disk.clone()) };
    let node =
        Node::open_with(Arc::new(config), &[listener], settings, Arc::new(MachineClock)).await.expect("it opens");
    let address = node.kafka_addresses().remove(0);
    let port = address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("the address has a port");
    let (stop, door) = (node.stop_token(), node.door());
    let serving = tokio::spawn(node.serve());
    // A start is nobody's request.
    let _ = disk.take_noted();

    drive(&mut Client::connect((std::net::Ipv4Addr::LOCALHOST, port).into()).await).await;
    let message = Message { value: Some(Bytes::from_static(b"later")), ..Message::default() };
    for topic in ["t", "x.delay.1ms"] {
        let request = ProduceRequest {
            topic: topic.to_owned(),
            messages: vec![(None, message.clone()); 20],
            acks: Acks::Durable,
            compression: Compression::None,
            expected_offset: None,
        };
        door.produce(&http(), request).await.expect("it is produced");
    }
    let noted = disk.take_noted();
    stop.cancel();
    serving.await.expect("serving does not panic").expect("the broker stops cleanly");
    assert!(noted.is_empty(), "{noted:#?}");
}

/// A long poll over many partitions, most of which never move.
#[tokio::test]
async fn a_long_poll_reads_nothing_again_of_what_has_not_moved() {
    const PARTITIONS: i32 = 40;
    let disk = FaultyDisk::new();
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
    let rooms = Rooms::open_with(settings, folder.path().join("plugins")).await;
    rooms.topic("t", PARTITIONS, &[]).await;
    let produce = async |partition: i32| {
        let value = Some(Bytes::from(vec![b'v'; 1_000]));
        let message = Message { value, ..Message::default() };
        let request = ProduceRequest {
            topic: "t".to_owned(),
            messages: vec![(Some(PartitionId(partition)), message)],
            acks: Acks::Durable,
            compression: Compression::None,
            expected_offset: None,
        };
        rooms.door.produce(&http(), request).await.expect("it is produced");
    };
    for partition in 0..PARTITIONS {
        produce(partition).await;
    }
    let topic: Granted<auth::Read, TopicRef> =
        rooms.engine.auth().ask(&http(), TopicRef::name("t")).expect("everything is granted");
    // Of every second partition everything, of the others what comes.
    let part = |partition| Part {
        partition: PartitionId(partition),
        offset: Offset(i64::from(partition % 2)),
        max_bytes: 1 << 20,
        epoch: None,
    };
    let request = Asked {
        max_wait: Duration::from_secs(600),
        min_bytes: 32_000,
        max_bytes: 1 << 20,
        topics: vec![AskedTopic { topic, partitions: (0..PARTITIONS).map(part).collect() }],
        form: Form::Copied,
    };
    let ctx = http();
    let mut poll = Box::pin(rooms.engine.fetch(&ctx, request));
    assert!((&mut poll).now_or_never().is_none(), "20 kB are there, 32 are wanted");
    let begun = disk.bytes_read();
    for round in 0..8 {
        produce(7).await;
        assert!((&mut poll).now_or_never().is_none(), "round {round}");
    }
    assert_eq!(disk.bytes_read(), begun, "of what moved the length is known, of the rest nothing is asked");
    for _ in 0..4 {
        produce(9).await;
    }
    let outcomes = poll.await;
    let got: usize = outcomes.iter().map(|one| one.as_ref().expect("it is read").records.len()).sum();
    assert!(got >= 32_000, "{got} bytes");
    assert!(disk.bytes_read() - begun < 2 * got as u64, "records are read once");
    drop(outcomes);
    rooms.close().await;
}
