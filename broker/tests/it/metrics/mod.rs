//! The page of `/metrics` after real clients have worked: it shows exactly what they did.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, GroupId, OffsetCommitRequest, RequestHeader,
};
use kafka_protocol::protocol::{Encodable, Request, StrBytes};
use sluice_broker::config::{BrokerConfig, ConnectionsConfig};
use sluice_broker::log::LogDirSettings;
use sluice_broker::log::io::OpenFiles;
use sluice_broker::log::io::faulty::FaultyDisk;
use sluice_broker::metrics::Bounds;

use crate::kafka_client::{Broker, Client, batch, name, produce};
use crate::kafka_groups::join;

const BOUNDS: Bounds = Bounds { partitions_max: 100, groups_max: 100 };

/// The values of one page, by what stands in front of them.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    async fn of(broker: &Broker, bounds: Bounds) -> Scrape {
        let page = broker.facts.metrics().page(bounds).await.expect("a page");
        let page = std::str::from_utf8(&page.open_metrics).expect("text");
        let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            (sample.to_owned(), value.parse().expect("a number"))
        });
        Scrape(samples.collect())
    }

    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        *self.0.get(sample).unwrap_or_else(|| panic!("no {sample} among {:#?}", self.0.keys()))
    }

    #[track_caller]
    fn refusals(&self, class: &str) -> f64 {
        self.value(&format!("sluice_refusals_total{{class=\"{class}\"}}"))
    }

    fn has(&self, sample: &str) -> bool {
        self.0.contains_key(sample)
    }
}

/// A request as bytes behind its length, and how many of them are the header.
fn frame<R: Request>(version: i16, request: &R) -> (BytesMut, usize) {
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    let mut bytes = BytesMut::new();
    header.encode(&mut bytes, R::header_version(version)).expect("the header encodes");
    let header = bytes.len();
    request.encode(&mut bytes, version).expect("the request encodes");
    (bytes, header)
}

/// Sends a request; returns the bytes of its body and of its answer with the length.
async fn counted<R: Request>(client: &mut Client, version: i16, request: &R) -> (f64, f64) {
    let (bytes, header) = frame(version, request);
    client.send_frame(&bytes).await;
    let answer: Bytes = client.read_frame().await.expect("an answer");
    let number = |length: usize| f64::from(u32::try_from(length).expect("small"));
    (number(bytes.len() - header), number(answer.len() + 4))
}

fn commit(offset: i64) -> OffsetCommitRequest {
    commit_of(vec![OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset)])
}

fn commit_of(partitions: Vec<OffsetCommitRequestPartition>) -> OffsetCommitRequest {
    let topic = OffsetCommitRequestTopic::default().with_name(name("orders")).with_partitions(partitions);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("billing")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_did_is_shown_exactly() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("orders").await;
    let batches = [batch(&["a", "b", "c"]), batch(&["d", "e"])];
    let (mut sent, mut answered) = (0.0, 0.0);
    for records in &batches {
        let (body, answer) = counted(&mut client, 9, &produce("orders", records.clone(), -1)).await;
        (sent, answered) = (sent + body, answered + answer);
    }
    counted(&mut client, 8, &commit(2)).await;

    let scrape = Scrape::of(&broker, BOUNDS).await;
    for (api, times) in [("Metadata", 1.0), ("Produce", 2.0), ("OffsetCommit", 1.0), ("Fetch", 0.0)] {
        assert_eq!(scrape.value(&format!("sluice_kafka_requests_total{{api=\"{api}\"}}")), times, "{api}");
        assert_eq!(scrape.value(&format!("sluice_kafka_requests_under_way{{api=\"{api}\"}}")), 0.0, "{api}");
        let timed = format!("sluice_kafka_request_duration_seconds_count{{api=\"{api}\"}}");
        assert_eq!(scrape.value(&timed), times, "{api}");
    }
    assert_eq!(scrape.value("sluice_kafka_request_bytes_total{api=\"Produce\"}"), sent);
    assert_eq!(scrape.value("sluice_kafka_response_bytes_total{api=\"Produce\"}"), answered);
    assert_eq!(scrape.value("sluice_kafka_connections"), 1.0);
    let of_partition = |metric: &str| scrape.value(&format!("{metric}{{topic=\"orders\",partition=\"0\"}}"));
    assert_eq!(of_partition("sluice_partition_start_offset"), 0.0);
    assert_eq!(of_partition("sluice_partition_high_watermark"), 5.0);
    assert_eq!(of_partition("sluice_partition_unsynced_records"), 0.0);
    let stored: usize = batches.iter().map(Bytes::len).sum();
    assert_eq!(of_partition("sluice_partition_log_bytes"), f64::from(u32::try_from(stored).expect("small")));
    assert_eq!(scrape.value("sluice_groups{state=\"Empty\"}"), 1.0);
    assert_eq!(scrape.value("sluice_group_members{group=\"billing\"}"), 0.0);
    assert_eq!(scrape.value("sluice_group_lag_records{group=\"billing\",topic=\"orders\"}"), 3.0);
    assert!(scrape.value("sluice_log_sync_duration_seconds_count") >= 3.0, "two appends and a commit were synced");
    assert!(scrape.value("sluice_task_polls_total{task=\"kafka-connection\"}") >= 4.0);
    assert_eq!(scrape.value("sluice_ready"), 1.0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_bounds_is_in_the_sums_alone() {
    let broker = Broker::start_with(BrokerConfig { num_partitions: 3, ..BrokerConfig::default() }).await;
    let mut client = broker.client().await;
    client.topic("orders").await;
    counted(&mut client, 8, &commit(0)).await;
    let scrape = Scrape::of(&broker, Bounds { partitions_max: 2, groups_max: 0 }).await;
    let named = |partition| {
        let labels = format!("{{topic=\"orders\",partition=\"{partition}\"}}");
        scrape.has(&format!("sluice_partition_high_watermark{labels}"))
    };
    assert_eq!([named(0), named(1), named(2)], [true, true, false], "a client's topic comes before the broker's own");
    let all = scrape.value("sluice_partitions");
    assert_eq!(scrape.value("sluice_partitions_not_named"), all - 2.0);
    assert_eq!(scrape.value("sluice_groups{state=\"Empty\"}"), 1.0);
    assert_eq!(scrape.value("sluice_groups_not_named"), 1.0);
    assert!(!scrape.has("sluice_group_members{group=\"billing\"}"));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_counted_by_its_reason() {
    let connections = ConnectionsConfig { max_connections: 1, ..ConnectionsConfig::default() };
    let broker = Broker::start_with(BrokerConfig { connections, ..BrokerConfig::default() }).await;
    let mut first = broker.client().await;
    first.topic("orders").await;
    let mut second = broker.client().await;
    // The refusal is counted before the socket is closed.
    second.closed().await;
    let scrape = Scrape::of(&broker, BOUNDS).await;
    assert_eq!(scrape.refusals("connections"), 1.0);
    assert_eq!(scrape.refusals("frame_length"), 0.0);
    assert_eq!(scrape.value("sluice_kafka_connections_accepted_total"), 1.0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_a_client_meets_is_counted_although_its_answer_is_a_code_alone() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("orders").await;
    let large = "x".repeat(1_100_000);
    assert_eq!(client.produce("orders", batch(&[&large])).await.error_code, 10, "MESSAGE_TOO_LARGE");
    assert_eq!(client.produce("orders", batch(&["small"])).await.error_code, 0);
    let mut other = broker.client().await;
    other.send_frame(b"\0\x03\0\x0c\0\0\0\x07\xff\xff\0garbage").await;
    other.closed().await;
    let mut scrape = Scrape::of(&broker, BOUNDS).await;
    assert_eq!(scrape.refusals("too_large"), 1.0);
    // The end of a connection is noted behind the close that its client sees.
    let noted = async {
        while scrape.refusals("bad_request") < 1.0 {
            scrape = Scrape::of(&broker, BOUNDS).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), noted).await.expect("the refused request is counted");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_refuses_is_counted_once_a_request() {
    let broker = Broker::start_with(BrokerConfig { num_partitions: 2, ..BrokerConfig::default() }).await;
    let mut client = broker.client().await;
    client.topic("orders").await;
    let mut large = join(StrBytes::new());
    large.protocols[0].metadata = vec![0; 1_100_000].into();
    assert_eq!(client.ask(3, &large).await.error_code, 81, "GROUP_MAX_SIZE_REACHED");
    let metadata = Some(StrBytes::from_string("x".repeat(5_000)));
    let part = |index| OffsetCommitRequestPartition::default().with_partition_index(index);
    let parts = (0..2).map(|index| part(index).with_committed_metadata(metadata.clone())).collect();
    let committed = client.ask(8, &commit_of(parts)).await;
    let codes: Vec<i16> = committed.topics[0].partitions.iter().map(|part| part.error_code).collect();
    assert_eq!(codes, [12, 12], "OFFSET_METADATA_TOO_LARGE");
    let scrape = Scrape::of(&broker, BOUNDS).await;
    assert_eq!(scrape.refusals("groups"), 1.0);
    assert_eq!(scrape.refusals("too_large"), 1.0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_for_which_no_files_are_left_are_counted_once_a_request() {
    let disk = FaultyDisk::new();
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let broker = Broker::on(settings, folder, BrokerConfig::default()).await;
    let mut client = broker.client().await;
    client.topic("orders").await;
    disk.set_open_files(OpenFiles { open: 300, limit: 400 });
    let mut refusals = Vec::new();
    let topic = CreatableTopic::default().with_name(name("new")).with_num_partitions(1).with_replication_factor(1);
    let created = client.ask(7, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(created.topics[0].error_code, 44, "POLICY_VIOLATION");
    refusals.push(Scrape::of(&broker, BOUNDS).await.refusals("open_files"));
    let more = CreatePartitionsTopic::default().with_name(name("orders")).with_count(2).with_assignments(None);
    let grown = client.ask(3, &CreatePartitionsRequest::default().with_topics(vec![more])).await;
    assert_eq!(grown.results[0].error_code, 44);
    refusals.push(Scrape::of(&broker, BOUNDS).await.refusals("open_files"));
    assert_eq!(client.topic("new").await.error_code, 44, "auto-created");
    refusals.push(Scrape::of(&broker, BOUNDS).await.refusals("open_files"));
    assert_eq!(refusals, [1.0, 2.0, 3.0]);
    broker.stop().await;
}
