//! One proxy partition over a real engine and log in a folder, driven turn by turn with a clock that stands still: crashes
//! at every point of a step, targets that are deleted, records that no target takes. A crash here only drops what is in
//! memory; the log's own tests say what a power cut loses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::counts::DelayCounts;
use super::due_records::{self, Head};
use super::proxy::{Proxy, Shared, Turn};
use super::route::{ProxyTopic, Router};
use super::state_record::ProxyKey;
use super::state_topic::StateTopic;
use crate::chain::Partitioners;
use crate::clock::{Clock, ManualClock, SharedClock};
use crate::config::BrokerConfig;
use crate::context::Context;
use crate::coordinator::group::Groups;
use crate::door::Door;
use crate::engine::Engine;
use crate::ids::{Offset, PartitionId, TimestampMs};
use crate::log::{LogDir, LogDirSettings, Origin};
use crate::memory::Budget;
use crate::record::{self, Compression, Header, Message, RecordView};
use crate::topics::{Catalog, NewTopic, Topic};

mod crashes;
mod large;
mod routing;

const PROXY: &str = "orders.delay.5s";

struct Rig {
    folder: tempfile::TempDir,
    config: BrokerConfig,
    clock: Arc<ManualClock>,
    log_dir: Arc<LogDir>,
    catalog: Arc<Catalog>,
    groups: Arc<Groups>,
    door: Door,
    shared: Arc<Shared>,
}

impl Rig {
    async fn new() -> Rig {
        Rig::over(tempfile::tempdir().expect("a folder"), BrokerConfig::default(), 1_000_000).await
    }

    async fn over(folder: tempfile::TempDir, config: BrokerConfig, wall_ms: i64) -> Rig {
        let clock = Arc::new(ManualClock::at(wall_ms));
        let shared_clock: SharedClock = clock.clone();
        let data = folder.path().join("data");
        let log_dir = LogDir::open(LogDirSettings::new(data.clone()), Arc::clone(&shared_clock)).expect("a folder");
        let catalog = Catalog::open(Arc::clone(&log_dir), &config, Arc::clone(&shared_clock)).await.expect("a catalog");
        let memory = Budget::new(config.memory_max_bytes);
        let state = memory.state().clone();
        let groups = Groups::open(Arc::clone(&catalog), &config, Arc::clone(&shared_clock), state).await;
        let groups = groups.expect("groups");
        let host = sluice_plugins::Host::open(sluice_plugins::HostConfig {
            dir: data.join("plugins"),
            memory_bytes: config.plugin_memory_bytes,
            partitioner_timeout: Duration::from_millis(10),
            concurrency: 1,
            clock: sluice_plugins::GuestClock::new(|| 0),
            spawner: sluice_plugins::Spawner::default(),
        });
        let partitioners = Arc::new(Partitioners::new(Arc::new(host.expect("a plugin host"))));
        let engine = Engine::new(
            Arc::new(config.clone()),
            Arc::clone(&shared_clock),
            Arc::clone(&catalog),
            Arc::clone(&groups),
            partitioners,
            crate::auth::Authorizer::granting_everything(),
            memory,
        );
        let door = Door::new(engine);
        let store = StateTopic::open(&door, &Context::internal("delay")).expect("a state topic");
        let counts = DelayCounts::new(Arc::clone(&shared_clock));
        let shared = Arc::new(Shared {
            store,
            clock: shared_clock,
            steps: Semaphore::new(crate::limits::DELAY_STEPS_AT_ONCE),
            long_reads: Semaphore::new(crate::limits::DELAY_LONG_READS_AT_ONCE),
            counts,
        });
        Rig { folder, config, clock, log_dir, catalog, groups, door, shared }
    }

    async fn restarted(self) -> Rig {
        let Rig { folder, config, clock, log_dir, catalog, groups, door, shared } = self;
        groups.stop();
        groups.closed().await;
        catalog.closed().await;
        drop((catalog, groups, door, shared));
        log_dir.close().expect("a clean stop");
        drop(log_dir);
        Rig::over(folder, config, clock.wall().0).await
    }

    /// Makes the delay topic and its target.
    async fn topics(&self, partitions: i32) {
        let request = NewTopic { partitions: Some(partitions), ..NewTopic::named(PROXY) };
        self.catalog.create(request).await.expect("a delay topic");
    }

    /// What the service begins with after a start: a partition's state from the log.
    fn proxy(&self, partition: i32) -> Proxy {
        let topic = self.catalog.topic(PROXY).expect("the delay topic");
        let key = ProxyKey { topic: topic.id(), partition: PartitionId(partition) };
        let mut states = self.shared.store.load().expect("readable states");
        let router = Router {
            door: self.door.clone(),
            ctx: Context::internal("delay"),
            proxy: proxy_topic(&topic),
            partition: key.partition,
        };
        let partition = self.door.follow(&router.ctx, key.topic, key.partition).expect("a partition");
        let state = states.remove(&key).unwrap_or_default();
        let counts = self.shared.counts.begin(key, PROXY, partition.clone(), state.done);
        Proxy {
            shared: Arc::clone(&self.shared),
            key,
            delay: topic.delay().expect("a delay topic").delay,
            partition,
            router,
            state,
            unsaved: false,
            next: HashMap::new(),
            head_due: None,
            counts,
            steps: 1,
            long: false,
        }
    }

    async fn produce(&self, partition: i32, messages: &[Message]) {
        self.produce_as(partition, messages, Compression::None).await;
    }

    async fn produce_as(&self, partition: i32, messages: &[Message], compression: Compression) {
        let batch = record::build(messages, self.clock.wall(), compression, None).expect("a batch");
        self.append(partition, batch).await;
    }

    async fn append(&self, partition: i32, batch: record::ProducedBatch) {
        let topic = self.catalog.topic(PROXY).expect("the delay topic");
        let partition = topic.partition(PartitionId(partition)).expect("a partition");
        partition.append(batch, Origin::Broker).durable().await.expect("durable");
    }

    /// Everything in a partition.
    fn read(&self, topic: &str, partition: i32) -> Vec<RecordView> {
        let Ok(topic) = self.catalog.topic(topic) else { return Vec::new() };
        let partition = topic.partition(PartitionId(partition)).expect("a partition");
        let mut found = Vec::new();
        let mut from = Offset::ZERO;
        while from < partition.offsets().hw {
            let mut bytes = partition.read(from, 1 << 20).expect("readable");
            while !bytes.is_empty() {
                let batch = record::check_stored(bytes.clone()).expect("a batch");
                let _ = bytes.split_to(batch.header().size);
                from = batch.header().next_offset();
                found.extend(record::records(&batch).expect("records"));
            }
        }
        found
    }

    fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        let text = |record: RecordView| String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("a text");
        self.read(topic, partition).into_iter().map(text).collect()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance_ms(i64::try_from(time.as_millis()).expect("a short time"));
    }
}

fn proxy_topic(topic: &Topic) -> ProxyTopic {
    let target = topic.delay().expect("a delay topic").target.clone();
    ProxyTopic { name: topic.name().to_string(), id: topic.id(), target }
}

/// What is due, with leave for every step there is.
async fn due_now(proxy: &Proxy, from: Offset, now: TimestampMs) -> Head {
    let (from, steps) = ((from, proxy.delay), u32::try_from(crate::limits::DELAY_STEPS_AT_ONCE).expect("small"));
    proxy
        .partition
        .reading(move |partition| due_records::due(partition, from, now, steps))
        .await
        .expect("readable")
        .done
}

/// Takes turns until nothing is left to do now.
async fn settle(proxy: &mut Proxy) -> Turn {
    loop {
        match proxy.turn().await.expect("a turn") {
            Turn::Moved => {}
            rest => return rest,
        }
    }
}

fn message(value: &str) -> Message {
    Message { value: Some(Bytes::from(value.to_owned())), ..Message::default() }
}

fn keyed(key: &str, value: &str) -> Message {
    Message { key: Some(Bytes::from(key.to_owned())), ..message(value) }
}

fn header<'a>(record: &'a RecordView, name: &str) -> Option<&'a str> {
    let found = record.headers.iter().find(|header: &&Header| header.key == name)?;
    std::str::from_utf8(found.value.as_deref()?).ok()
}
