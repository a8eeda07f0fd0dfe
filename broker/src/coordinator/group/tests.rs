//! The groups over a real catalog and log in a folder: what survives a restart, what is shown when, and that no waiting
//! request and no record on its way is lost when a client goes away.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::clock::{MachineClock, ManualClock};
use crate::config::BrokerConfig;
use crate::ids::{Generation, LeaderEpoch, Offset, PartitionId, TopicName, TopicPartition};
use crate::log::io::faulty::FaultyDisk;
use crate::log::{LogDir, LogDirSettings, Partition};
use crate::memory::{Budget, Owner};
use crate::topics::{Catalog, NewTopic};

mod committing;
mod membership;
mod paying;
mod reloading;
mod transactions;

/// A broker's groups; the clock of their deadlines stands still until it is moved.
struct Rig {
    folder: Option<tempfile::TempDir>,
    config: BrokerConfig,
    clock: Arc<ManualClock>,
    log_dir: Arc<LogDir>,
    catalog: Arc<Catalog>,
    memory: Budget,
    groups: Arc<Groups>,
}

impl Rig {
    async fn new() -> Rig {
        Rig::over(tempfile::tempdir().expect("a folder"), BrokerConfig::default(), 1_000_000_000).await
    }

    async fn over(folder: tempfile::TempDir, config: BrokerConfig, wall_ms: i64) -> Rig {
        let settings = LogDirSettings::new(folder.path().join("data"));
        let rig = Rig::opened(settings, config, wall_ms).await;
        Rig { folder: Some(folder), ..rig }
    }

    /// Over a disk in memory.
    async fn on(disk: FaultyDisk, wall_ms: i64) -> Rig {
        let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk) };
        Rig::opened(settings, BrokerConfig::default(), wall_ms).await
    }

    async fn opened(settings: LogDirSettings, config: BrokerConfig, wall_ms: i64) -> Rig {
        let clock = Arc::new(ManualClock::at(wall_ms));
        let log_dir = LogDir::open(settings, Arc::new(MachineClock)).expect("a log directory");
        let catalog = Catalog::open(Arc::clone(&log_dir), &config, Arc::new(MachineClock)).await.expect("a catalog");
        let memory = Budget::new(config.memory_max_bytes);
        let state = memory.state().clone();
        let groups = Groups::open(Arc::clone(&catalog), &config, clock.clone(), state).await.expect("groups");
        Rig { folder: None, config, clock, log_dir, catalog, memory, groups }
    }

    /// Stops as the node does, and starts again over the same folder.
    async fn restarted(self) -> Rig {
        use crate::clock::Clock;
        let Rig { folder, config, clock, log_dir, catalog, groups, .. } = self;
        groups.stop();
        groups.closed().await;
        drop((groups, catalog));
        log_dir.close().expect("a clean stop");
        drop(log_dir);
        Rig::over(folder.expect("a folder"), config, clock.wall().0).await
    }

    async fn topic(&self, name: &str, partitions: i32) {
        let request = NewTopic { partitions: Some(partitions), ..NewTopic::named(name) };
        self.catalog.create(request).await.expect("a topic");
    }

    /// Moves the clock and does what is due.
    fn pass(&self, time: Duration) {
        self.clock.advance_ms(i64::try_from(time.as_millis()).expect("a short time"));
        self.groups.run_due();
    }

    async fn commit(
        &self,
        who: &Membership,
        offsets: &[(&str, i32, i64)],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let offset = |(topic, partition, offset): &(&str, i32, i64)| OffsetToCommit {
            target: target(topic, *partition),
            offset: Offset(*offset),
            epoch: Some(LeaderEpoch(0)),
            metadata: Some("note".into()),
        };
        self.groups.commit(CommitFrom::Member, "g", who, offsets.iter().map(offset).collect(), &owner()).await
    }

    async fn list(&self) -> Vec<GroupListing> {
        self.groups.list(|_| true).await
    }

    /// The partition that the group `g` lives in.
    fn home(&self) -> Arc<Partition> {
        Arc::clone(self.groups.find("g").expect("the topic exists").partition())
    }

    /// The offset of a partition, if there is one.
    async fn offset(&self, topic: &str, partition: i32) -> Option<i64> {
        let asked = [target(topic, partition)];
        let answer = self.groups.committed("g", Some(&asked)).await.expect("an answer");
        answer[0].1.as_ref().map(|committed| committed.offset.0)
    }

    /// One member, stable in its generation.
    async fn stable_member(&self) -> Membership {
        let joined = self.groups.join(client("a")).await.expect("a member");
        let part = vec![(joined.member.clone(), Bytes::from_static(b"all"))];
        self.groups.sync(sync_of(&joined, part)).await.expect("an assignment");
        member_of(&joined)
    }
}

fn target(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicName::new(topic).expect("a topic name"), partition: PartitionId(partition) }
}

fn owner() -> Owner {
    Owner::Address([10, 0, 0, 1].into())
}

fn client(name: &str) -> JoinRequest {
    JoinRequest {
        group: "g".into(),
        member: None,
        instance: None,
        client_id: name.into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"sub"))],
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        require_known_member: false,
        supports_skip_assignment: false,
        in_process: false,
        owner: owner(),
    }
}

fn as_member(name: &str, member: &str) -> JoinRequest {
    JoinRequest { member: Some(member.to_owned()), ..client(name) }
}

fn sync_of(joined: &JoinAnswer, assignments: Vec<(String, Bytes)>) -> SyncRequest {
    SyncRequest {
        group: "g".into(),
        generation: joined.generation,
        member: joined.member.clone(),
        instance: None,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignments,
        owner: owner(),
    }
}

fn member_of(joined: &JoinAnswer) -> Membership {
    Membership { generation: Some(joined.generation), member: joined.member.clone(), instance: None }
}

/// Runs a request up to where it waits, as a client's request that has arrived.
async fn arrived<T>(mut request: std::pin::Pin<&mut impl Future<Output = T>>) {
    let once = std::future::poll_fn(|cx| std::task::Poll::Ready(request.as_mut().poll(cx).is_pending()));
    assert!(once.await, "it was answered at once");
}
