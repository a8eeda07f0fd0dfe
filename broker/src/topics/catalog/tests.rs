//! The catalog over real directories: what survives stops and crashes, what is refused, what a crash half-way leaves.

use std::path::Path;

mod snapshots;

use super::*;
use crate::clock::ManualClock;
use crate::log::{LogDirSettings, LogError};
use crate::topics::{ConfigChange, ConfigOp, NewTopic};

/// A broker's folder with its catalog open.
struct Open {
    dir: Arc<LogDir>,
    catalog: Arc<Catalog>,
}

impl Open {
    async fn at(path: &Path, config: &BrokerConfig) -> Result<Open, TopicError> {
        let clock: SharedClock = Arc::new(ManualClock::at(1_700_000_000_000));
        let dir = LogDir::open(LogDirSettings::new(path.to_owned()), Arc::clone(&clock))?;
        let catalog = Catalog::open(Arc::clone(&dir), config, clock).await?;
        Ok(Open { dir, catalog })
    }

    async fn new(path: &Path) -> Open {
        Open::at(path, &BrokerConfig::default()).await.unwrap()
    }

    /// A clean stop.
    async fn close(self) {
        self.catalog.closed().await;
        self.dir.close().unwrap();
    }

    /// A stop without a word.
    fn crash(self) {}

    async fn create(&self, name: &str, partitions: i32) -> Result<Arc<Topic>, TopicError> {
        self.catalog.create(NewTopic { partitions: Some(partitions), ..NewTopic::named(name) }).await
    }
}

fn names(catalog: &Catalog) -> Vec<String> {
    catalog.topics().iter().map(|topic| topic.name().to_string()).collect()
}

fn set(key: &str, value: &str) -> ConfigChange {
    ConfigChange { key: key.into(), op: ConfigOp::Set(value.into()) }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn folders(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("__sluice_metadata"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn topics_survive_a_stop_and_a_crash_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let cluster = broker.catalog.cluster_id().to_owned();
    assert_eq!(cluster.len(), 22);
    let configs = vec![("segment.bytes".to_owned(), Some("20000".to_owned()))];
    let request = NewTopic { partitions: Some(3), configs, ..NewTopic::named("orders") };
    let made = broker.catalog.create(request).await.unwrap();
    let hidden = NewTopic { internal: true, ..NewTopic::named("__consumer_offsets") };
    broker.catalog.create(hidden).await.unwrap();

    let mut broker = Some(broker);
    for clean in [true, false, true] {
        match broker.take().unwrap() {
            stopped if clean => stopped.close().await,
            crashed => crashed.crash(),
        }
        let again = Open::new(folder.path()).await;
        assert_eq!(again.catalog.cluster_id(), cluster);
        assert_eq!(names(&again.catalog), ["__consumer_offsets", "orders"]);
        let found = again.catalog.topic("orders").unwrap();
        assert_eq!((found.id(), found.partition_count(), found.internal()), (made.id(), 3, false));
        assert_eq!(found.configs().get("segment.bytes"), Some("20000"));
        assert!(again.catalog.topic("__consumer_offsets").unwrap().internal());
        assert_eq!(again.catalog.topic_by_id(made.id()).unwrap().name().as_str(), "orders");
        assert!(found.partitions().iter().all(|partition| partition.usable().is_ok()));
        broker = Some(again);
    }
}

#[tokio::test]
async fn a_deleted_topic_stays_deleted_and_its_name_gets_a_new_identity_rule_16() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let first = broker.create("orders", 2).await.unwrap();
    let kept = first.partition(PartitionId(1)).unwrap();
    broker.catalog.delete("orders").await.unwrap();
    assert!(first.deleted());
    assert!(matches!(kept.usable(), Err(LogError::Deleted { .. })));
    assert!(matches!(broker.catalog.topic("orders"), Err(TopicError::NotFound { .. })));
    assert!(matches!(broker.catalog.topic_by_id(first.id()), Err(TopicError::IdNotFound { .. })));
    assert!(matches!(broker.catalog.delete("orders").await, Err(TopicError::NotFound { .. })));

    let second = broker.create("orders", 1).await.unwrap();
    assert_ne!(first.id(), second.id());
    broker.crash();
    let broker = Open::new(folder.path()).await;
    assert_eq!(broker.catalog.topic("orders").unwrap().id(), second.id());
    assert_eq!(broker.catalog.topic("orders").unwrap().partition_count(), 1);
    broker.close().await;
    assert_eq!(folders(folder.path()), ["orders-0"]);
}

#[tokio::test]
async fn a_deletion_that_a_crash_interrupted_is_finished_at_the_next_start_rule_16() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    broker.create("orders", 1).await.unwrap();
    let aside = tempfile::tempdir().unwrap();
    copy_folder(&folder.path().join("orders-0"), &aside.path().join("orders-0"));
    broker.catalog.delete("orders").await.unwrap();
    broker.close().await;
    copy_folder(&aside.path().join("orders-0"), &folder.path().join("orders-0"));

    let broker = Open::new(folder.path()).await;
    assert!(names(&broker.catalog).is_empty());
    broker.create("orders", 1).await.unwrap();
    broker.close().await;
    assert_eq!(folders(folder.path()), ["orders-0"]);
}

#[tokio::test]
async fn a_topic_grows_and_never_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let topic = broker.create("orders", 2).await.unwrap();
    for count in [-1, 0, 1, 2, limits::PARTITIONS_PER_TOPIC_MAX + 1] {
        let refused = broker.catalog.grow("orders", count, false).await;
        assert!(matches!(refused, Err(TopicError::BadPartitions(_))), "{count}");
    }
    broker.catalog.grow("orders", 4, true).await.unwrap();
    assert_eq!(topic.partition_count(), 2);
    broker.catalog.grow("orders", 4, false).await.unwrap();
    assert_eq!(topic.partition_count(), 4);
    assert!(topic.partition(PartitionId(3)).is_ok());
    for missing in [-1, 4] {
        let refused = topic.partition(PartitionId(missing));
        assert!(matches!(refused, Err(TopicError::NoPartition { partition, .. }) if partition == missing));
    }
    broker.crash();
    let broker = Open::new(folder.path()).await;
    assert_eq!(broker.catalog.topic("orders").unwrap().partition_count(), 4);
}

#[tokio::test]
async fn configs_change_at_once_and_survive() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let topic = broker.create("orders", 1).await.unwrap();
    broker.catalog.alter_configs("orders", &[set("segment.ms", "7")], true).await.unwrap();
    assert!(topic.configs().set().is_empty());
    let bad = [set("segment.ms", "7"), set("segment.bytes", "no")];
    assert!(matches!(broker.catalog.alter_configs("orders", &bad, false).await, Err(TopicError::BadConfig(_))));
    assert!(topic.configs().set().is_empty());
    broker.catalog.alter_configs("orders", &[set("segment.ms", "7")], false).await.unwrap();
    assert_eq!(topic.configs().get("segment.ms"), Some("7"));
    broker.crash();
    let broker = Open::new(folder.path()).await;
    assert_eq!(broker.catalog.topic("orders").unwrap().configs().get("segment.ms"), Some("7"));
}

#[tokio::test]
async fn the_term_rises_with_every_unclean_stop_and_only_then_rule_5() {
    let folder = tempfile::tempdir().unwrap();
    let mut terms = Vec::new();
    for clean in [true, true, false, false, true, true] {
        let broker = Open::new(folder.path()).await;
        let topic = broker.catalog.get_or_create("orders", true).await.unwrap();
        assert_eq!(topic.partition(PartitionId(0)).unwrap().current_epoch(), broker.catalog.term());
        terms.push(broker.catalog.term().0);
        if clean { broker.close().await } else { broker.crash() }
    }
    assert_eq!(terms, [0, 0, 0, 1, 2, 2]);
}

#[tokio::test]
async fn producer_ids_are_never_given_twice_rule_6() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = [0, RESERVED_PRODUCER_IDS.0];
    for clean in [true, false, false, true] {
        let broker = Open::new(folder.path()).await;
        for _ in 0..2 {
            for (at, for_streams) in [false, true].into_iter().enumerate() {
                let block = broker.catalog.reserve_producer_ids(for_streams).await.unwrap();
                assert!(block.start >= last[at], "{block:?} after {}", last[at]);
                assert_eq!(block.end - block.start, limits::PRODUCER_ID_BLOCK);
                assert_eq!(for_streams, block.start >= RESERVED_PRODUCER_IDS.0);
                last[at] = block.end;
            }
        }
        if clean { broker.close().await } else { broker.crash() }
    }
}

#[tokio::test]
async fn reservations_at_the_same_time_do_not_overlap_rule_6() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let wishes = (0..20).map(|_| broker.catalog.reserve_producer_ids(false));
    let mut starts: Vec<_> = futures::future::join_all(wishes).await.into_iter().map(|b| b.unwrap().start).collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len(), 20);
    broker.crash();
    let next = Open::new(folder.path()).await.catalog.reserve_producer_ids(false).await.unwrap();
    assert_eq!(next.start, 20 * limits::PRODUCER_ID_BLOCK);
}

#[tokio::test]
async fn a_partition_without_its_directory_is_offline_and_never_a_new_log_rule_17() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    broker.create("orders", 2).await.unwrap();
    broker.close().await;
    std::fs::remove_dir_all(folder.path().join("orders-1")).unwrap();

    let broker = Open::new(folder.path()).await;
    let topic = broker.catalog.topic("orders").unwrap();
    assert!(topic.partition(PartitionId(0)).unwrap().usable().is_ok());
    assert!(matches!(topic.partition(PartitionId(1)).unwrap().usable(), Err(LogError::Offline { .. })));
    broker.close().await;
    assert_eq!(folders(folder.path()), ["orders-0"]);
}

#[tokio::test]
async fn directories_of_a_create_that_was_never_recorded_are_set_aside_rule_17() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let topic = broker.create("orders", 1).await.unwrap();
    // As a crash leaves them that comes after the directories and before the record: of a new topic, of a grown one.
    let lost = TopicName::new("lost").unwrap();
    let configs = TopicConfigs::default();
    let unrecorded: Vec<_> = logs_of(&lost, TopicId::random(), 0..2, &configs)
        .chain(logs_of(topic.name(), topic.id(), 1..2, &configs))
        .collect();
    partition_logs::create_all(&broker.dir, &unrecorded).unwrap();
    broker.crash();

    let broker = Open::new(folder.path()).await;
    assert_eq!(names(&broker.catalog), ["orders"]);
    assert_eq!(broker.catalog.topic("orders").unwrap().partition_count(), 1);
    broker.create("lost", 2).await.unwrap();
    broker.catalog.grow("orders", 2, false).await.unwrap();
    broker.close().await;
    let strays = folders(folder.path()).into_iter().filter(|name| name.ends_with("-stray")).count();
    assert_eq!(strays, 3);
}

#[tokio::test]
async fn partitions_without_a_metadata_log_are_no_first_start_rule_17() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    broker.create("orders", 1).await.unwrap();
    broker.close().await;
    let log = folder.path().join("__sluice_metadata-0");
    let aside = tempfile::tempdir().unwrap();
    copy_folder(&log, &aside.path().join("log"));
    std::fs::remove_dir_all(&log).unwrap();
    let refused = Open::at(folder.path(), &BrokerConfig::default()).await;
    assert!(matches!(refused, Err(TopicError::Metadata(MetadataFault::Missing { .. }))));
    assert_eq!(folders(folder.path()), ["orders-0"]);

    copy_folder(&aside.path().join("log"), &log);
    assert_eq!(names(&Open::new(folder.path()).await.catalog), ["orders"]);
}

#[tokio::test]
async fn of_two_who_create_a_topic_one_does_and_auto_creation_gives_both_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let (a, b) = tokio::join!(broker.create("orders", 1), broker.create("orders", 2));
    let refused = if a.is_ok() { b } else { a };
    assert!(matches!(refused, Err(TopicError::Exists { .. })));

    let wishes = (0..8).map(|_| broker.catalog.get_or_create("clicks", true));
    let ids: Vec<_> = futures::future::join_all(wishes).await.into_iter().map(|topic| topic.unwrap().id()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn a_change_is_finished_when_the_caller_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let mut creating = Box::pin(broker.create("orders", 1));
    assert!(futures::poll!(&mut creating).is_pending());
    drop(creating);
    broker.catalog.closed().await;
    assert_eq!(names(&broker.catalog), ["orders"]);
}

#[tokio::test]
async fn watchers_hear_of_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Open::new(folder.path()).await;
    let mut changes = broker.catalog.changes();
    for step in 0..4 {
        match step {
            0 => drop(broker.create("orders", 1).await.unwrap()),
            1 => broker.catalog.grow("orders", 2, false).await.unwrap(),
            2 => broker.catalog.alter_configs("orders", &[set("segment.ms", "9")], false).await.unwrap(),
            _ => drop(broker.catalog.delete("orders").await.unwrap()),
        }
        assert!(changes.has_changed().unwrap(), "{step}");
        changes.mark_unchanged();
    }
    broker.catalog.create(NewTopic::named(".")).await.unwrap_err();
    assert!(!changes.has_changed().unwrap());
}
