//! What happens when a task panics: a vital one ends the broker and answers who waits, a stranger's ends its connection.

use std::net::Ipv4Addr;
use std::sync::Arc;

use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::protocol::StrBytes;
use sluice_broker::clock::{MachineClock, bounded_wait, bounded_wait_until};
use sluice_broker::config::{BrokerConfig, KafkaListener};
use sluice_broker::door::Door;
use sluice_broker::door::reading::{ReadFrom, ReadPartition, ReadRequest};
use sluice_broker::door::topics::TopicRef;
use sluice_broker::ids::PartitionId;
use sluice_broker::log::LogDirSettings;
use sluice_broker::log::io::faulty::FaultyDisk;
use sluice_broker::node::{Node, NodeError};
use sluice_broker::node_facts::NodeFacts;
use sluice_broker::tasks::Tasks;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kafka_client::{Client, batch, produce};
use crate::kafka_groups::{commit, first_refusal, join};

/// Kafka's KAFKA_STORAGE_ERROR.
const STORAGE_ERROR: i16 = 56;
/// Kafka's COORDINATOR_NOT_AVAILABLE.
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
/// Kafka's REBALANCE_IN_PROGRESS.
const REBALANCE_IN_PROGRESS: i16 = 27;

/// A broker that serves, over a disk of the test's.
struct Serving {
    port: u16,
    door: Door,
    facts: NodeFacts,
    tasks: Tasks,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), NodeError>>,
    _folder: tempfile::TempDir,
}

impl Serving {
    async fn start(disk: &FaultyDisk) -> Serving {
        let folder = tempfile::tempdir().unwrap();
        let config = BrokerConfig { data_dir: folder.path().to_owned(), ..BrokerConfig::default() };
        let listener = KafkaListener { host: "127.0.0.1".into(), port: 0, advertised: None };
        let mut settings = LogDirSettings::new(config.data_dir.clone());
        settings.disk = Arc::new(disk.clone());
        let node = Node::open_with(Arc::new(config), &[listener], settings, Arc::new(MachineClock)).await.unwrap();
        let port = node.kafka_addresses()[0].rsplit(':').next().unwrap().parse().unwrap();
        let (door, facts, tasks) = (node.door(), node.facts(), node.tasks().clone());
        let stop = node.stop_token();
        Serving { port, door, facts, tasks, stop, ended: tokio::spawn(node.serve()), _folder: folder }
    }

    async fn client(&self) -> Client {
        Client::connect((Ipv4Addr::LOCALHOST, self.port).into()).await
    }

    /// It ends by itself; the name of the task that it blames.
    async fn blamed(self) -> String {
        match bounded_wait(self.ended).await.unwrap() {
            Err(NodeError::Failed(failure)) => failure.task.to_string(),
            other => panic!("it ended otherwise: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_produce_that_waits_for_the_flusher_is_answered_when_the_flusher_panics() {
    let disk = FaultyDisk::new();
    let broker = Serving::start(&disk).await;
    let mut client = broker.client().await;
    client.topic("t").await;
    assert_eq!(client.produce("t", batch(&["before"])).await.error_code, 0);
    disk.hold_syncs(true);
    // The first is being synced, the second waits for the sync after that one, which never comes.
    client.send(9, &produce("t", batch(&["held"]), -1)).await;
    disk.await_held_sync();
    let mut other = broker.client().await;
    let before = disk.operations();
    other.send(9, &produce("t", batch(&["waits"]), -1)).await;
    // Its write is the only operation while the sync is held.
    bounded_wait_until(|| disk.operations() != before).await;
    broker.tasks.inject_panic("log-flusher");
    assert_eq!(broker.tasks.failure(), None);
    disk.hold_syncs(false);
    client.read::<kafka_protocol::messages::ProduceRequest>(9).await;
    let answer = other.read::<kafka_protocol::messages::ProduceRequest>(9).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, STORAGE_ERROR);
    let why = broker.facts.unready().unwrap();
    assert!(why.contains("log-flusher"), "{why}");
    assert_eq!(broker.blamed().await, "log-flusher");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_any_vital_task_is_named_by_readiness_and_ends_the_broker() {
    let vital = [
        "log-flusher",
        "log-retention",
        "log-cleaner",
        "group-timer",
        "delay-service",
        "memory-giveback",
        "kafka-port",
        "plugin-ticker",
    ];
    for name in vital {
        let broker = Serving::start(&FaultyDisk::new()).await;
        broker.tasks.inject_panic(name);
        assert_eq!(bounded_wait(broker.tasks.failed()).await.task.split(' ').next(), Some(name));
        let why = broker.facts.unready().unwrap();
        assert!(why.contains(name), "{why}");
        assert!(broker.blamed().await.starts_with(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_watch_of_a_groups_shard_ends_the_broker() {
    let broker = Serving::start(&FaultyDisk::new()).await;
    let mut client = broker.client().await;
    client.topic("t").await;
    // The shards exist from the first commit on.
    let committed = client.ask(8, &commit(1, "")).await;
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
    broker.tasks.inject_panic("group-shard");
    assert!(bounded_wait(broker.tasks.failed()).await.task.starts_with("group-shard __consumer_offsets-"));
    let why = broker.facts.unready().unwrap();
    assert!(why.contains("group-shard"), "{why}");
    assert!(broker.blamed().await.starts_with("group-shard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_waits_for_others_is_answered_when_the_timer_of_the_groups_panics() {
    let broker = Serving::start(&FaultyDisk::new()).await;
    let (mut first, mut second) = (broker.client().await, broker.client().await);
    let joined = first.ask(3, &join(StrBytes::new())).await;
    assert_eq!(joined.error_code, 0);
    // It waits for the first member to join again.
    second.send(3, &join(StrBytes::new())).await;
    let code = first_refusal(&mut first, &joined).await;
    assert_eq!(code, REBALANCE_IN_PROGRESS);
    broker.tasks.inject_panic("group-timer");
    let answer = second.read::<JoinGroupRequest>(3).await;
    assert_eq!(answer.error_code, COORDINATOR_NOT_AVAILABLE);
    assert_eq!(broker.blamed().await, "group-timer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_remover_of_files_ends_the_broker() {
    let broker = Serving::start(&FaultyDisk::new()).await;
    broker.client().await.topic("t").await;
    broker.tasks.inject_panic("log-remover");
    // The remover runs while there is something to remove.
    broker.door.delete_topic(&crate::rooms::http(), "t").await.unwrap();
    assert_eq!(broker.blamed().await, "log-remover");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_connection_closes_it_and_nothing_else() {
    let broker = Serving::start(&FaultyDisk::new()).await;
    let (mut a, mut b) = (broker.client().await, broker.client().await);
    a.topic("t").await;
    b.topic("t").await;
    broker.tasks.inject_panic("kafka-connection");
    let alive = tokio::select! {
        () = a.closed() => &mut b,
        () = b.closed() => &mut a,
    };
    assert_eq!(alive.produce("t", batch(&["goes on"])).await.error_code, 0);
    assert_eq!(broker.client().await.produce("t", batch(&["new"])).await.error_code, 0);
    // The socket closes while the panic unwinds; it is counted after that.
    bounded_wait_until(|| broker.tasks.request_panics() > 0).await;
    assert_eq!((broker.tasks.request_panics(), broker.tasks.failure()), (1, None));
    assert_eq!(broker.facts.unready(), None);
    broker.stop.cancel();
    bounded_wait(broker.ended).await.unwrap().expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_delay_proxy_is_named_by_readiness_and_the_others_deliver() {
    let broker = Serving::start(&FaultyDisk::new()).await;
    let mut client = broker.client().await;
    broker.tasks.inject_panic("delay-proxy a.delay.1ms-0");
    client.topic("a.delay.1ms").await;
    client.topic("b.delay.1ms").await;
    bounded_wait_until(|| broker.facts.unready().is_some()).await;
    let why = broker.facts.unready().unwrap();
    assert!(why.contains("delay-proxy a.delay.1ms-0 panicked"), "{why}");
    client.topic("b").await;
    assert_eq!(client.produce("a.delay.1ms", batch(&["stays"])).await.error_code, 0);
    assert_eq!(client.produce("b.delay.1ms", batch(&["arrives"])).await.error_code, 0);
    let wait = std::time::Duration::from_secs(30);
    let part = ReadPartition { topic: TopicRef::name("b"), partition: PartitionId(0), from: ReadFrom::Earliest };
    let request = ReadRequest { partitions: vec![part], records_max: 1, bytes_max: 1 << 20, timeout: wait };
    let found = broker.door.read(&crate::rooms::http(), &request).await.remove(0).unwrap();
    assert_eq!(found.records[0].value.as_deref(), Some(&b"arrives"[..]));
    assert_eq!((broker.tasks.request_panics(), broker.tasks.failure()), (1, None));
    // What is deleted is missed by nobody.
    broker.door.delete_topic(&crate::rooms::http(), "a.delay.1ms").await.unwrap();
    bounded_wait_until(|| broker.facts.unready().is_none()).await;
    broker.stop.cancel();
    bounded_wait(broker.ended).await.unwrap().expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_change_of_a_topic_is_an_internal_error_of_its_caller() {
    let broker = Serving::start(&FaultyDisk::new()).await;
    broker.client().await.topic("t").await;
    broker.tasks.inject_panic("topic-change");
    let error = broker.door.delete_topic(&crate::rooms::http(), "t").await.unwrap_err();
    assert!(error.to_string().starts_with("internal error: topic-change panicked"), "{error}");
    assert_eq!((broker.tasks.request_panics(), broker.tasks.failure()), (1, None));
    broker.stop.cancel();
    bounded_wait(broker.ended).await.unwrap().expect("a clean stop");
}
