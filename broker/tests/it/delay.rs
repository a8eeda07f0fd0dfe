//! The delay service as the broker runs it: records come through the door, topics come and go, and the power is cut at any
//! moment. Once for every reader, never early (delay contract, "Promises").

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_broker::clock::MachineClock;
use sluice_broker::delay::DelayService;
use sluice_broker::door::messages::{Acks, Compression, ProduceRequest};
use sluice_broker::door::reading::{PartitionRead, ReadFrom, ReadPartition, ReadRequest};
use sluice_broker::door::topics::TopicRef;
use sluice_broker::door::{Door, DoorError, Message};
use sluice_broker::ids::{Offset, PartitionId, TimestampMs};
use sluice_broker::log::LogDirSettings;
use sluice_broker::log::io::faulty::FaultyDisk;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rooms::{Rooms, http};

const PATIENCE: Duration = Duration::from_secs(30);

/// The service while it runs.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(rooms: &Rooms) -> Running {
        let service = DelayService::open(rooms.door.clone(), Arc::new(MachineClock), rooms.facts.tasks().clone()).await;
        let stop = CancellationToken::new();
        let task = tokio::spawn(service.expect("the service opens").run(stop.clone()));
        Running { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the service does not panic");
    }
}

/// Produces these values; which of them were acknowledged.
async fn produce(door: &Door, topic: &str, partition: i32, values: &[String]) -> Vec<String> {
    let message = |value: &String| Message { value: Some(Bytes::from(value.clone())), ..Message::default() };
    let request = ProduceRequest {
        topic: topic.to_owned(),
        messages: values.iter().map(|value| (Some(PartitionId(partition)), message(value))).collect(),
        acks: Acks::Durable,
        compression: Compression::Lz4,
        expected_offset: None,
    };
    let outcomes = door.produce(&http(), request).await.unwrap_or_default();
    values.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(value, _)| value.clone()).collect()
}

async fn try_read(
    door: &Door,
    topic: &str,
    partition: i32,
    from: ReadFrom,
    timeout: Duration,
) -> Result<PartitionRead, DoorError> {
    let part = ReadPartition { topic: TopicRef::name(topic), partition: PartitionId(partition), from };
    let request = ReadRequest { partitions: vec![part], records_max: 100_000, bytes_max: 50 << 20, timeout };
    door.read(&http(), &request).await.remove(0)
}

/// (value, timestamp) of every record of a partition.
async fn read(door: &Door, topic: &str, partition: i32) -> Vec<(String, TimestampMs)> {
    let answer = try_read(door, topic, partition, ReadFrom::Earliest, Duration::ZERO).await;
    let Ok(answer) = answer else { return Vec::new() };
    let text = |value: Option<Bytes>| String::from_utf8(value.expect("a value").to_vec()).expect("a text");
    answer.records.into_iter().map(|record| (text(record.value), record.timestamp)).collect()
}

async fn values(door: &Door, topic: &str, partition: i32) -> Vec<String> {
    read(door, topic, partition).await.into_iter().map(|(value, _)| value).collect()
}

/// Waits until a partition has that many records.
async fn arrivals(door: &Door, topic: &str, partition: i32, count: usize) -> Vec<String> {
    let begun = door.now();
    loop {
        let found = values(door, topic, partition).await;
        if found.len() >= count {
            return found;
        }
        let waited = Duration::from_millis(u64::try_from(door.now().0 - begun.0).unwrap_or(0));
        assert!(waited < PATIENCE, "{} of {count} records came", found.len());
        // A long poll just past what is there ends with the next record.
        let next = ReadFrom::At(Offset(i64::try_from(found.len()).expect("a few records")));
        if try_read(door, topic, partition, next, Duration::from_secs(1)).await.is_err() {
            // The target does not exist yet: the service makes it, or the test's patience ends.
            tokio::task::yield_now().await;
        }
    }
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn a_record_arrives_when_it_is_due_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let service = Running::start(&rooms).await;
    let before = rooms.door.now();
    assert_eq!(produce(&rooms.door, "orders.delay.300ms", 0, &numbered(0..3)).await.len(), 3);
    assert!(values(&rooms.door, "orders", 0).await.is_empty());
    assert_eq!(arrivals(&rooms.door, "orders", 0, 3).await, numbered(0..3));
    for (value, at) in read(&rooms.door, "orders", 0).await {
        assert!(at.0 >= before.0 + 300, "{value} was delivered {} ms after it was sent", at.0 - before.0);
    }
    service.stop().await;
    rooms.close().await;
}

#[tokio::test]
async fn a_broker_without_delayed_records_keeps_no_state_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let service = Running::start(&rooms).await;
    rooms.topic("plain", 1, &[]).await;
    produce(&rooms.door, "plain", 0, &numbered(0..3)).await;
    service.stop().await;
    assert!(rooms.door.topic(&http(), &TopicRef::name("__sluice_delays")).is_err());
    rooms.close().await;
}

#[tokio::test]
async fn the_service_follows_topics_that_are_created_grown_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let service = Running::start(&rooms).await;
    rooms.topic("a.delay.20ms", 1, &[]).await;
    rooms.topic("b.delay.20ms", 1, &[]).await;
    produce(&rooms.door, "a.delay.20ms", 0, &numbered(0..1)).await;
    arrivals(&rooms.door, "a", 0, 1).await;
    rooms.catalog.grow("a.delay.20ms", 2, false).await.expect("grown");
    rooms.catalog.grow("a", 2, false).await.expect("grown");
    produce(&rooms.door, "a.delay.20ms", 1, &numbered(1..2)).await;
    assert_eq!(arrivals(&rooms.door, "a", 1, 1).await, numbered(1..2));
    rooms.door.delete_topic(&http(), "a.delay.20ms").await.expect("deleted");
    produce(&rooms.door, "b.delay.20ms", 0, &numbered(2..3)).await;
    arrivals(&rooms.door, "b", 0, 1).await;
    rooms.topic("a.delay.20ms", 1, &[]).await;
    produce(&rooms.door, "a.delay.20ms", 0, &numbered(3..4)).await;
    assert_eq!(values(&rooms.door, "a", 0).await.len() + values(&rooms.door, "a", 1).await.len(), 2);
    service.stop().await;
    let service = Running::start(&rooms).await;
    // The recreated topic has one partition, its target two: keyless records of partition 0 go to 0.
    assert_eq!(arrivals(&rooms.door, "a", 0, 2).await, ["0", "3"]);
    service.stop().await;
    rooms.close().await;
}

#[tokio::test]
async fn stops_and_restarts_in_the_midst_of_it_lose_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut sent = Vec::new();
    for round in 0..6 {
        let rooms = Rooms::open(dir.path()).await;
        let service = Running::start(&rooms).await;
        for part in 0..5 {
            let from = (round * 5 + part) * 40;
            sent.extend(produce(&rooms.door, "orders.delay.30ms", 0, &numbered(from..from + 40)).await);
        }
        // Stopped when more and more of this round has been delivered, from nothing at all to the half of it.
        arrivals(&rooms.door, "orders", 0, sent.len() - 200 + 20 * round).await;
        service.stop().await;
        rooms.close().await;
    }
    let rooms = Rooms::open(dir.path()).await;
    let service = Running::start(&rooms).await;
    assert_eq!(arrivals(&rooms.door, "orders", 0, sent.len()).await, sent);
    service.stop().await;
    rooms.close().await;
}

async fn on(disk: &FaultyDisk, plugins: &Path) -> Rooms {
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
    Rooms::open_with(settings, plugins.to_path_buf()).await
}

/// The disk stops at each of its operations in turn, then forgets what was not synced; the next life delivers the rest.
#[tokio::test]
async fn wherever_the_power_is_cut_every_acknowledged_record_arrives_once() {
    const TARGETS: i32 = 3;
    let dir = tempfile::tempdir().unwrap();
    for stop in 1..40 {
        let disk = FaultyDisk::new();
        let rooms = on(&disk, dir.path()).await;
        rooms.topic("orders", TARGETS, &[]).await;
        rooms.topic("orders.delay.1ms", TARGETS, &[]).await;
        let service = Running::start(&rooms).await;
        disk.stop_after(stop * 2);
        let mut acknowledged = BTreeSet::new();
        let mut offered = BTreeSet::new();
        for n in 0..9 {
            let some = numbered(n * 2..n * 2 + 2);
            offered.extend(some.clone());
            acknowledged.extend(produce(&rooms.door, "orders.delay.1ms", (n % 3) as i32, &some).await);
            tokio::task::yield_now().await;
        }
        let mut shown = BTreeSet::new();
        for partition in 0..TARGETS {
            shown.extend(values(&rooms.door, "orders", partition).await);
        }
        let after = disk.power_cut(stop);
        service.stop().await;
        rooms.crash().await;

        let rooms = on(&after, dir.path()).await;
        let service = Running::start(&rooms).await;
        // A last one to each partition: when it is there, so is everything before it.
        for partition in 0..TARGETS {
            produce(&rooms.door, "orders.delay.1ms", partition, &["last".to_owned()]).await;
        }
        let mut found = Vec::new();
        for partition in 0..TARGETS {
            let mut count = 0;
            loop {
                let here = arrivals(&rooms.door, "orders", partition, count).await;
                if here.last().is_some_and(|value| value == "last") {
                    found.extend(here.into_iter().filter(|value| value != "last"));
                    break;
                }
                count = here.len() + 1;
            }
        }
        let once: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(once.len(), found.len(), "cut {stop}: delivered twice: {found:?}");
        assert!(acknowledged.is_subset(&once), "cut {stop}: {acknowledged:?} was acknowledged, {once:?} arrived");
        assert!(shown.is_subset(&once), "cut {stop}: {shown:?} was shown, {once:?} arrived");
        assert!(once.is_subset(&offered), "cut {stop}: strangers in {once:?}");
        service.stop().await;
        rooms.close().await;
    }
}
