//! Which wishes become topics, which are refused with which words, and what delay names bring with them.

use std::path::Path;

use super::*;
use crate::clock::{ManualClock, SharedClock};
use crate::config::BrokerConfig;
use crate::log::io::faulty::FaultyDisk;
use crate::log::io::{Disk, OpenFiles};
use crate::log::{LogDir, LogDirSettings};
use crate::topics::error::Refused;
use crate::topics::{ConfigChange, ConfigOp};

async fn catalog(path: &Path, config: &BrokerConfig) -> Arc<Catalog> {
    let clock: SharedClock = Arc::new(ManualClock::at(1_700_000_000_000));
    let dir = LogDir::open(LogDirSettings::new(path.to_owned()), Arc::clone(&clock)).unwrap();
    Catalog::open(dir, config, clock).await.unwrap()
}

fn request(name: &str, configs: &[(&str, &str)]) -> NewTopic {
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    NewTopic { configs, ..NewTopic::named(name) }
}

/// The refusal, which `check` gives before and `create` gives as well.
async fn refusal(catalog: &Catalog, request: NewTopic) -> TopicError {
    let first = catalog.check(&request).unwrap_err();
    let second = catalog.create(request).await.unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
    first
}

#[tokio::test]
async fn what_no_topic_can_be_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path(), &BrokerConfig::default()).await;
    catalog.create(request("taken", &[])).await.unwrap();
    let plain = || request("orders", &[]);

    assert!(matches!(refusal(&catalog, request("a b", &[])).await, TopicError::BadName(_)));
    assert!(matches!(refusal(&catalog, request("taken", &[])).await, TopicError::Exists { .. }));
    for own in ["__consumer_offsets", "__transaction_state", "__sluice_delays", "__sluice_metadata"] {
        assert!(matches!(refusal(&catalog, request(own, &[])).await, TopicError::RefusedName(_)), "{own}");
    }
    for count in [i32::MIN, -1, 0, limits::PARTITIONS_PER_TOPIC_MAX + 1] {
        let error = refusal(&catalog, NewTopic { partitions: Some(count), ..plain() }).await;
        assert!(matches!(error, TopicError::BadPartitions(_)), "{count}");
    }
    for factor in [-2, 0, 2, 3, i16::MAX] {
        let error = refusal(&catalog, NewTopic { replication: Some(factor), ..plain() }).await;
        assert!(matches!(error, TopicError::BadReplication(_)), "{factor}");
    }
    let error = refusal(&catalog, NewTopic { replication: Some(3), ..plain() }).await.to_string();
    assert!(error.contains("ask for 1 or -1") && error.contains("sluice.replication.accept=true"), "{error}");
    let null = NewTopic { configs: vec![("segment.ms".into(), None)], ..plain() };
    assert!(refusal(&catalog, null).await.to_string().contains("segment.ms has no value"));
    let compact = refusal(&catalog, request("orders.delay.5s", &[("cleanup.policy", "compact")])).await.to_string();
    assert!(compact.contains("cannot be compacted"), "{compact}");
    assert_eq!(catalog.topics().len(), 1);
}

#[tokio::test]
async fn one_replica_may_be_asked_for_in_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path(), &BrokerConfig::default()).await;
    for (name, replication) in [("a", None), ("b", Some(1)), ("c", Some(-1))] {
        catalog.create(NewTopic { replication, ..request(name, &[]) }).await.unwrap();
    }
    let accepted = request("d", &[("sluice.replication.accept", "true")]);
    catalog.create(NewTopic { replication: Some(3), ..accepted }).await.unwrap();
}

#[tokio::test]
async fn the_brokers_own_topics_are_made_by_the_broker_only() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path(), &BrokerConfig::default()).await;
    assert!(matches!(catalog.get_or_create("__consumer_offsets", true).await, Err(TopicError::NotFound { .. })));
    let own = NewTopic { internal: true, ..request("__consumer_offsets", &[("cleanup.policy", "compact")]) };
    let made = catalog.create(own).await.unwrap();
    assert!(made.internal() && made.configs().compacted());
    assert!(catalog.create(request("__mine", &[])).await.is_ok(), "other names with underscores are anybody's");
}

#[tokio::test]
async fn topics_are_made_by_name_only_where_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let config = BrokerConfig { num_partitions: 4, ..BrokerConfig::default() };
    let allowed = catalog(folder.path(), &config).await;
    assert!(matches!(allowed.get_or_create("orders", false).await, Err(TopicError::NotFound { .. })));
    assert!(matches!(allowed.get_or_create("a b", true).await, Err(TopicError::BadName(_))));
    assert_eq!(allowed.get_or_create("orders", true).await.unwrap().partition_count(), 4);

    let folder = tempfile::tempdir().unwrap();
    let config = BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() };
    let forbidden = catalog(folder.path(), &config).await;
    assert!(matches!(forbidden.get_or_create("orders", true).await, Err(TopicError::NotFound { .. })));
    forbidden.create(request("orders", &[])).await.unwrap();
    assert!(forbidden.get_or_create("orders", true).await.is_ok());
}

#[tokio::test]
async fn a_delay_topic_brings_its_target_with_as_many_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path(), &BrokerConfig::default()).await;
    let delayed = NewTopic { partitions: Some(3), ..request("orders.delay.5s", &[]) };
    let delayed = catalog.create(delayed).await.unwrap();
    let target = catalog.topic("orders").unwrap();
    assert_eq!((delayed.partition_count(), target.partition_count()), (3, 3));
    assert_eq!(delayed.configs().get("message.timestamp.type"), Some("LogAppendTime"));
    assert_eq!(target.configs().get("message.timestamp.type"), Some("CreateTime"));
    assert_eq!(delayed.delay().unwrap().delay.as_secs(), 5);
    assert_eq!(target.delay(), None);

    let second = catalog.get_or_create("orders.delay.1h", true).await.unwrap();
    assert_eq!(second.partition_count(), 3, "as many as its target has");
}

#[tokio::test]
async fn a_delay_topic_may_deliver_to_a_delay_topic() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path(), &BrokerConfig::default()).await;
    let last = catalog.get_or_create("a.delay.5s.delay.6s", true).await.unwrap();
    assert_eq!(last.name().as_str(), "a.delay.5s.delay.6s");
    let middle = catalog.topic("a.delay.5s").unwrap();
    assert_eq!(middle.configs().get("message.timestamp.type"), Some("LogAppendTime"));
    assert_eq!(middle.delay().unwrap().target.as_str(), "a");
    assert!(catalog.topic("a").unwrap().delay().is_none());
}

#[tokio::test]
async fn a_delay_topics_time_stays_the_brokers() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path(), &BrokerConfig::default()).await;
    let own_clock = request("a.delay.5s", &[("message.timestamp.type", "CreateTime")]);
    assert!(refusal(&catalog, own_clock).await.to_string().contains("stays LogAppendTime"));
    catalog.create(request("a.delay.5s", &[("message.timestamp.type", "LogAppendTime")])).await.unwrap();
    for op in [ConfigOp::Delete, ConfigOp::Set("CreateTime".into())] {
        let change = ConfigChange { key: "message.timestamp.type".into(), op };
        let refused = catalog.alter_configs("a.delay.5s", &[change], false).await;
        assert!(refused.unwrap_err().to_string().contains("stays LogAppendTime"));
    }
    let other = ConfigChange { key: "segment.ms".into(), op: ConfigOp::Set("5".into()) };
    catalog.alter_configs("a.delay.5s", &[other], false).await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_nearly_a_delay_topics_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path(), &BrokerConfig::default()).await;
    for name in ["a.delay.5", "a.delay.0s", "a.delay.99999d", "a.delay.5x.delay.5s", "__consumer_offsets.delay.5s"] {
        let error = refusal(&catalog, NewTopic::named(name)).await;
        assert!(matches!(error, TopicError::RefusedName(_)), "{name}: {error}");
        assert!(matches!(catalog.get_or_create(name, true).await, Err(TopicError::RefusedName(_))), "{name}");
    }
    assert!(catalog.topics().is_empty());
}

#[tokio::test]
async fn without_auto_creation_a_delay_topic_needs_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let config = BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() };
    let catalog = catalog(folder.path(), &config).await;
    let error = refusal(&catalog, request("a.delay.5s", &[])).await.to_string();
    assert!(error.contains("'a', which does not exist"), "{error}");
    catalog.create(request("a", &[])).await.unwrap();
    catalog.create(request("a.delay.5s", &[])).await.unwrap();
}

#[tokio::test]
async fn a_setting_makes_delay_names_ordinary_and_topics_keep_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let off = BrokerConfig { delay_topics: false, ..BrokerConfig::default() };
    let first = catalog(folder.path(), &off).await;
    assert!(first.create(request("a.delay.5s", &[])).await.unwrap().delay().is_none());
    first.create(request("b.delay.nearly", &[])).await.unwrap();
    assert!(first.topic("a").is_err());
    drop(first);

    let on = catalog(folder.path(), &BrokerConfig::default()).await;
    assert!(on.topic("a.delay.5s").unwrap().delay().is_none());
    assert!(on.create(request("c.delay.5s", &[])).await.unwrap().delay().is_some());
    drop(on);

    let off_again = catalog(folder.path(), &off).await;
    assert!(off_again.topic("c.delay.5s").unwrap().delay().is_some());
}

#[tokio::test]
async fn a_topic_that_would_pass_the_limit_of_open_files_is_refused_with_the_numbers_and_leaves_nothing_behind() {
    let disk = FaultyDisk::new();
    let path = Path::new("/data");
    let clock: SharedClock = Arc::new(ManualClock::at(1_700_000_000_000));
    let settings = LogDirSettings { path: path.to_owned(), disk: Arc::new(disk.clone()) };
    let dir = LogDir::open(settings, Arc::clone(&clock)).unwrap();
    let catalog = Catalog::open(dir, &BrokerConfig::default(), clock).await.unwrap();
    let of = |name: &str, partitions| NewTopic { partitions: Some(partitions), ..NewTopic::named(name) };
    // A quarter of 400 is kept, 240 are open: 60 are left, which is 20 partitions.
    disk.set_open_files(OpenFiles { open: 240, limit: 400 });
    let before = disk.list(path).unwrap();
    for (name, count) in [("orders", 21), ("large", 10_000), ("orders.delay.5s", 11)] {
        let refused = catalog.create(of(name, count)).await.unwrap_err();
        assert!(matches!(refused, TopicError::Refused(Refused::TooManyFiles { left: 60, .. })), "{refused}");
        assert!(refused.to_string().contains("60 are left") && refused.to_string().contains("ulimit -n"), "{refused}");
    }
    assert_eq!(disk.list(path).unwrap(), before);
    assert!(catalog.topics().is_empty());
    catalog.create(of("orders", 20)).await.unwrap();
    let refused = catalog.grow("orders", 41, false).await.unwrap_err();
    assert!(matches!(refused, TopicError::Refused(Refused::TooManyFiles { partitions: 21, .. })), "{refused}");
    assert_eq!(catalog.topic("orders").unwrap().partition_count(), 20);
    catalog.grow("orders", 40, false).await.unwrap();
}
