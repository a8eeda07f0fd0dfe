//! A data folder of each version that there was, as `tests/fixtures/make.py` made it with the broker of its time: this
//! broker opens it, finds everything, and goes on in it. `docs/on-disk.md` says when another one is made.

use std::io::Read;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{FetchRequest, GroupId, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;
use sluice_broker::clock::ManualClock;
use sluice_broker::config::{BrokerConfig, KafkaListener};
use sluice_broker::door::Door;
use sluice_broker::ids::{ProducerEpoch, ProducerId, Sequence};
use sluice_broker::log::LogDirSettings;
use sluice_broker::log::layout::{CLEAN_SHUTDOWN, CURRENT_VERSION, DATA_VERSION};
use sluice_broker::node::{Node, NodeError};
use sluice_broker::node_facts::NodeFacts;
use sluice_broker::record::{Compression, ProducerStamp, check_stored, records};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kafka_client::{Client, batch, batch_of, name};
use crate::rooms::http;

/// After the delays of the fixtures (an hour at most), before anything in them is too old.
const LATER_MS: i64 = 2 * 60 * 60 * 1_000;

/// A copy of a fixture.
struct Fixture {
    folder: TempDir,
    /// When it was made, and the producer of its topic `idempotent`.
    created: serde_json::Value,
}

impl Fixture {
    fn unpack(version: u32) -> Fixture {
        let name = format!("../tests/fixtures/data/{version}.tar.gz");
        let file = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name));
        let mut tar = Vec::new();
        GzDecoder::new(file.unwrap_or_else(|error| panic!("{name}: {error}"))).read_to_end(&mut tar).unwrap();
        let folder = tempfile::tempdir().unwrap();
        untar(&tar, folder.path());
        let created = serde_json::from_slice(&std::fs::read(folder.path().join("created")).unwrap()).unwrap();
        Fixture { folder, created }
    }

    fn number(&self, key: &str) -> i64 {
        self.created[key].as_i64().unwrap()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn version(&self) -> Option<String> {
        std::fs::read_to_string(self.data().join(DATA_VERSION)).ok()
    }
}

/// The files and folders of a ustar archive.
fn untar(mut tar: &[u8], to: &Path) {
    while let Some((header, rest)) = tar.split_first_chunk::<512>() {
        let text = |from: usize, to: usize| {
            let field = &header[from..to];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            std::str::from_utf8(&field[..end]).unwrap().trim().to_owned()
        };
        let (name, prefix) = (text(0, 100), text(345, 500));
        if name.is_empty() {
            return;
        }
        let path = to.join(prefix).join(name);
        let size = usize::from_str_radix(&text(124, 136), 8).unwrap();
        match header[156] {
            b'5' => std::fs::create_dir_all(&path).unwrap(),
            _ => std::fs::write(&path, &rest[..size]).unwrap(),
        }
        tar = &rest[size.next_multiple_of(512)..];
    }
}

/// A broker over a fixture, some time after it was made.
struct Serving {
    client: Client,
    door: Door,
    facts: NodeFacts,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), NodeError>>,
}

impl Serving {
    async fn open(fixture: &Fixture) -> Serving {
        let config = BrokerConfig { data_dir: fixture.data(), ..BrokerConfig::default() };
        let listener = KafkaListener { host: "127.0.0.1".into(), port: 0, advertised: None };
        let clock = Arc::new(ManualClock::at(fixture.number("ms") + LATER_MS));
        let settings = LogDirSettings::new(config.data_dir.clone());
        let node = Node::open_with(Arc::new(config), &[listener], settings, clock).await.expect("the folder opens");
        let port = node.kafka_addresses()[0].rsplit(':').next().unwrap().parse().unwrap();
        let (door, facts, stop) = (node.door(), node.facts(), node.stop_token());
        let ended = tokio::spawn(node.serve());
        Serving { client: Client::connect((Ipv4Addr::LOCALHOST, port).into()).await, door, facts, stop, ended }
    }

    async fn stop(self) {
        drop(self.client);
        self.stop.cancel();
        self.ended.await.unwrap().expect("a clean stop");
    }

    /// Key and value of the first records of partition 0, at least so many.
    async fn read(&mut self, topic: &'static str, count: usize) -> Vec<(Option<String>, Option<String>)> {
        let mut found = Vec::new();
        let mut next = 0;
        while found.len() < count {
            let part = FetchPartition::default().with_fetch_offset(next).with_partition_max_bytes(1 << 20);
            let part = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![part]);
            let request = FetchRequest::default().with_max_bytes(1 << 20).with_max_wait_ms(60_000).with_min_bytes(1);
            let answer = self.client.ask(12, &request.with_topics(vec![part])).await;
            let data = answer.responses[0].partitions[0].clone();
            assert_eq!(data.error_code, 0, "{topic}");
            let mut rest = data.records.unwrap();
            assert!(!rest.is_empty(), "{topic} ends after {found:?}");
            while !rest.is_empty() {
                let stored = check_stored(rest.clone()).unwrap();
                rest = rest.slice(stored.header().size..);
                for record in records(&stored).unwrap() {
                    let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|b| String::from_utf8(b.to_vec()).unwrap());
                    found.push((text(&record.key), text(&record.value)));
                    next = record.offset.0 + 1;
                }
            }
        }
        found
    }

    async fn values(&mut self, topic: &'static str, count: usize) -> Vec<String> {
        self.read(topic, count).await.into_iter().filter_map(|(_, value)| value).collect()
    }

    async fn committed(&mut self, group: &'static str, topic: &'static str) -> (i64, String) {
        let topic = OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default().with_group_id(GroupId(StrBytes::from_static_str(group)));
        let answer = self.client.ask(6, &request.with_topics(Some(vec![topic]))).await;
        let part = &answer.topics[0].partitions[0];
        (part.committed_offset, part.metadata.clone().unwrap().to_string())
    }
}

async fn finds_everything(fixture: &Fixture, broker: &mut Serving) {
    let plain: Vec<String> = (0..5).map(|n| format!("plain-{n}")).collect();
    assert_eq!(broker.values("plain", 5).await, plain);
    let compressed: Vec<String> = (0..20).map(|n| format!("gzip-{n}")).collect();
    assert_eq!(broker.values("compressed", 20).await[..20], compressed);
    let compacted = broker.read("compacted", 1).await;
    let last = |key: &str| compacted.iter().rfind(|(k, _)| k.as_deref() == Some(key)).unwrap().1.as_deref();
    assert_eq!((last("k0"), last("k1")), (None, Some("v5")));
    assert_eq!(broker.values("idempotent", 3).await, ["first", "second", "third"]);
    // The producer of then sends its last batch again.
    let id = ProducerId(fixture.number("producer"));
    let epoch = ProducerEpoch(i16::try_from(fixture.number("epoch")).unwrap());
    let again =
        batch_of(&["second", "third"], Compression::None, Some(ProducerStamp { id, epoch, first: Sequence(1) }));
    let answer = broker.client.produce("idempotent", again).await;
    assert_eq!((answer.error_code, answer.base_offset), (0, 1), "rule 18: a duplicate is answered as the first was");
    assert_eq!(broker.committed("readers", "plain").await, (3, "three".to_owned()));
    let plugins = broker.door.plugins(&http()).unwrap();
    assert_eq!((plugins[0].name.as_str(), plugins[0].active, plugins.len()), ("json-field", 1, 1));
    let configs = broker.door.topic_configs(&http(), "bound").unwrap();
    let bound = configs.iter().find(|entry| entry.key == "sluice.partitioner").unwrap();
    assert_eq!(bound.value, "json-field@1");
    // What was delivered is not delivered again; what waited is due by now.
    assert_eq!(broker.values("target", 2).await, ["delivered", "waits"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_every_version_opens_with_all_that_is_in_it_and_is_gone_on_with() {
    for version in 0..=CURRENT_VERSION {
        for crashed in [false, true] {
            let fixture = Fixture::unpack(version);
            let named = (version > 0).then(|| format!("{version}\n"));
            assert_eq!(fixture.version(), named, "the fixture is of this version");
            if crashed {
                std::fs::remove_file(fixture.data().join(CLEAN_SHUTDOWN)).unwrap();
            }
            let mut broker = Serving::open(&fixture).await;
            assert_eq!(fixture.version(), Some(format!("{CURRENT_VERSION}\n")), "it is brought up to date");
            assert_eq!(broker.facts.unready(), None);
            finds_everything(&fixture, &mut broker).await;
            assert_eq!(broker.client.produce("compressed", batch(&["more"])).await.base_offset, 20);
            broker.stop().await;
            let mut broker = Serving::open(&fixture).await;
            finds_everything(&fixture, &mut broker).await;
            broker.stop().await;
        }
    }
}
