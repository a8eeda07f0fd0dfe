//! The runtime with a machine that is no coordinator: numbers under names. On a disk that can be held, fail and be
//! killed; the clock of the deadlines stands still until it is moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;

use super::error::ShardError;
use super::machine::{Machine, Now, Outcome, Plan};
use super::runtime::{Runtime, TaskNames};
use super::shard::{Shard, Ticket};
use crate::clock::{MachineClock, ManualClock, bounded_wait, bounded_wait_until};
use crate::ids::{PartitionId, TopicId, TopicName};
use crate::log::io::faulty::FaultyDisk;
use crate::log::{LogConfig, LogDir, LogDirSettings, LogError, Partition, PartitionIdent};
use crate::tasks::Tasks;

mod answers;
mod failing;
mod numbers;
mod reloading;
mod timers;

use numbers::{Numbers, Set, Timed};

const NAMES: TaskNames = TaskNames { timer: "numbers-timer", shard: "numbers-shard", under_way: "numbers-change" };
const PARTITIONS: i32 = 3;

/// A topic of three partitions, and the runtime over it.
struct Bench {
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    log_dir: Arc<LogDir>,
    tasks: Tasks,
    runtime: Arc<Runtime<Numbers>>,
}

impl Bench {
    async fn new() -> Bench {
        Bench::over(FaultyDisk::new(), LogDir::create).await
    }

    async fn over(disk: FaultyDisk, opened: Opened) -> Bench {
        let bench = Bench::unloaded(disk);
        bench.load(opened, Numbers::default).await;
        bench
    }

    /// Without the shards.
    fn unloaded(disk: FaultyDisk) -> Bench {
        let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
        let log_dir = LogDir::open(settings, Arc::new(MachineClock)).expect("a log directory");
        let (clock, tasks) = (Arc::new(ManualClock::at(1_000_000)), Tasks::new());
        let runtime = Runtime::start(NAMES, &tasks, clock.clone());
        Bench { disk, clock, log_dir, tasks, runtime }
    }

    async fn load(&self, opened: Opened, machine: impl Fn() -> Numbers + Send + 'static) {
        let partitions: Vec<Arc<Partition>> =
            (0..PARTITIONS).map(|number| partition(&self.log_dir, opened, number)).collect();
        self.runtime.load(Arc::new(partitions), machine).await.expect("it is loaded");
    }

    /// The process dies, the machine does not, and a new one begins on what it has left.
    async fn restarted(self) -> Bench {
        let disk = self.disk.kill();
        self.end().await;
        Bench::over(disk, LogDir::open_existing).await
    }

    async fn end(self) {
        self.runtime.stop();
        bounded_wait(self.runtime.closed()).await;
        // What the disk says to a stop is not tested here.
        let _ = self.log_dir.close();
    }

    fn shard(&self, number: usize) -> &Arc<Shard<Numbers>> {
        &self.runtime.shards().expect("it is loaded")[number]
    }

    fn put(&self, shard: usize, numbers: &[(&str, i64)]) -> Result<Ticket<()>, ShardError> {
        self.shard(shard).run(|_, _| Outcome::new((), plan_of(numbers)))
    }

    /// As `put`, and waits until the records are durable.
    async fn settle(&self, shard: usize, numbers: &[(&str, i64)]) {
        bounded_wait(self.put(shard, numbers).expect("appended").durable()).await.expect("durable");
    }

    /// The first append of a term syncs by itself (rule 5); what is tested comes after it.
    async fn begun(&self, shard: usize) {
        self.settle(shard, &[("begun", 0)]).await;
    }

    /// What is durable, as a read shows it.
    fn durable(&self, shard: usize) -> BTreeMap<String, i64> {
        self.shard(shard).read(|numbers| numbers.durable.clone()).expect("it is loaded")
    }

    /// What the machine has, durable or not; the answer of a command that waits for it.
    async fn all(&self, shard: usize) -> Result<BTreeMap<String, i64>, ShardError> {
        let answer = self.shard(shard).run(|numbers, _| Outcome::new(numbers.latest(), Plan::nothing()))?;
        bounded_wait(answer.durable()).await
    }
}

fn plan_of(numbers: &[(&str, i64)]) -> Plan<Numbers> {
    let set = |(name, value): &(&str, i64)| Set { name: (*name).to_owned(), value: Some(*value) };
    Plan { records: numbers.iter().map(set).collect(), ..Plan::nothing() }
}

fn map(numbers: &[(&str, i64)]) -> BTreeMap<String, i64> {
    numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// How a partition comes to be open.
type Opened = fn(&LogDir, PartitionIdent, LogConfig) -> Result<Arc<Partition>, LogError>;

fn partition(log_dir: &LogDir, opened: Opened, number: i32) -> Arc<Partition> {
    let ident = PartitionIdent {
        topic: TopicName::new("__numbers").expect("a topic name"),
        topic_id: TopicId(uuid::Uuid::from_u128(77)),
        partition: PartitionId(number),
    };
    opened(log_dir, ident, LogConfig::for_tests()).expect("a partition")
}
