//! The deduplicated append: log contract, rules 18 and 19.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_broker::door::error::{ProducerFailure, RecordFailure, TopicFailure};
use sluice_broker::door::messages::{AppendOnce, StreamTarget};
use sluice_broker::door::reading::{ReadFrom, ReadPartition, ReadRequest};
use sluice_broker::door::topics::TopicRef;
use sluice_broker::door::{Door, DoorError, Message};
use sluice_broker::ids::{Offset, PartitionId, ProducerId, Sequence, TopicId};
use sluice_broker::log::LogDirSettings;
use sluice_broker::log::io::faulty::FaultyDisk;

use crate::rooms::{Rooms, http};

const P0: PartitionId = PartitionId(0);

fn messages(range: std::ops::Range<usize>) -> Vec<Message> {
    range.map(|n| Message { value: Some(Bytes::from(format!("record {n}"))), ..Message::default() }).collect()
}

async fn append(door: &Door, stream: ProducerId, first: i32, topic: TopicId, what: &[Message]) -> AppendOnce {
    door.append_once(&http(), at(stream, topic), Sequence(first), what).await.unwrap()
}

fn at(stream: ProducerId, topic: TopicId) -> StreamTarget {
    StreamTarget { stream, topic, partition: P0 }
}

/// Every value of partition 0, in order.
async fn values(door: &Door, topic: &str) -> Vec<String> {
    let part = ReadPartition { topic: TopicRef::name(topic), partition: P0, from: ReadFrom::Earliest };
    let request =
        ReadRequest { partitions: vec![part], records_max: 10_000, bytes_max: 10 << 20, timeout: Duration::ZERO };
    let read = door.read(&http(), &request).await.remove(0).unwrap();
    read.records.iter().map(|record| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap()).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("record {n}")).collect()
}

#[tokio::test]
async fn a_repeated_append_is_answered_with_the_first_offset_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let topic = rooms.topic("target", 1, &[]).await.id;
    let stream = rooms.door.new_stream(&http()).await.unwrap();
    let door = &rooms.door;
    assert_eq!(door.stream_last(&http(), at(stream, topic)).await.unwrap(), None);
    assert_eq!(append(door, stream, 0, topic, &messages(0..3)).await, AppendOnce::Written(Offset(0)), "rule 18");
    assert_eq!(append(door, stream, 0, topic, &messages(0..3)).await, AppendOnce::Duplicate(Some(Offset(0))));
    assert_eq!(append(door, stream, 3, topic, &messages(3..5)).await, AppendOnce::Written(Offset(3)));
    assert_eq!(append(door, stream, 3, topic, &messages(3..5)).await, AppendOnce::Duplicate(Some(Offset(3))));
    assert_eq!(append(door, stream, 0, topic, &messages(0..3)).await, AppendOnce::Duplicate(Some(Offset(0))));
    assert_eq!(door.stream_last(&http(), at(stream, topic)).await.unwrap(), Some(Sequence(4)));
    assert_eq!(values(door, "target").await, numbers(0..5));
    rooms.close().await;
}

#[tokio::test]
async fn what_is_long_forgotten_is_still_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let topic = rooms.topic("target", 1, &[]).await.id;
    let stream = rooms.door.new_stream(&http()).await.unwrap();
    for n in 0..20 {
        append(&rooms.door, stream, n as i32, topic, &messages(n..n + 1)).await;
    }
    assert_eq!(append(&rooms.door, stream, 0, topic, &messages(0..1)).await, AppendOnce::Duplicate(None), "rule 18");
    assert_eq!(values(&rooms.door, "target").await, numbers(0..20));
    rooms.close().await;
}

#[tokio::test]
async fn a_gap_is_an_error_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let topic = rooms.topic("target", 1, &[]).await.id;
    let stream = rooms.door.new_stream(&http()).await.unwrap();
    for first in [1, 7] {
        let refused =
            rooms.door.append_once(&http(), at(stream, topic), Sequence(first), &messages(0..1)).await.unwrap_err();
        assert!(
            matches!(refused, DoorError::Producer(ProducerFailure::OutOfOrderSequence { .. })),
            "rule 18: {refused}"
        );
    }
    append(&rooms.door, stream, 0, topic, &messages(0..2)).await;
    let refused = rooms.door.append_once(&http(), at(stream, topic), Sequence(3), &messages(3..4)).await.unwrap_err();
    assert!(matches!(refused, DoorError::Producer(ProducerFailure::OutOfOrderSequence { .. })), "rule 18: {refused}");
    assert_eq!(values(&rooms.door, "target").await, numbers(0..2));
    rooms.close().await;
}

#[tokio::test]
async fn a_deleted_topic_is_missing_also_after_it_was_recreated() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let topic = rooms.topic("target", 1, &[]).await.id;
    let stream = rooms.door.new_stream(&http()).await.unwrap();
    append(&rooms.door, stream, 0, topic, &messages(0..1)).await;
    rooms.door.delete_topic(&http(), "target").await.unwrap();
    assert_eq!(append(&rooms.door, stream, 1, topic, &messages(1..2)).await, AppendOnce::TopicMissing, "rule 18");
    rooms.topic("target", 1, &[]).await;
    assert_eq!(append(&rooms.door, stream, 1, topic, &messages(1..2)).await, AppendOnce::TopicMissing, "rule 18");
    let unknown = rooms.door.stream_last(&http(), at(stream, topic)).await.unwrap_err();
    assert!(matches!(unknown, DoorError::Topic(TopicFailure::IdNotFound { .. })), "{unknown}");
    assert!(values(&rooms.door, "target").await.is_empty());
    rooms.close().await;
}

#[tokio::test]
async fn streams_do_not_know_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let topic = rooms.topic("target", 1, &[]).await.id;
    let (one, two) = (rooms.door.new_stream(&http()).await.unwrap(), rooms.door.new_stream(&http()).await.unwrap());
    assert_ne!(one, two);
    append(&rooms.door, one, 0, topic, &messages(0..2)).await;
    assert_eq!(append(&rooms.door, two, 0, topic, &messages(2..3)).await, AppendOnce::Written(Offset(2)));
    assert_eq!(append(&rooms.door, one, 2, topic, &messages(3..4)).await, AppendOnce::Written(Offset(3)));
    rooms.close().await;
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let topic = rooms.topic("target", 1, &[]).await.id;
    let stream = rooms.door.new_stream(&http()).await.unwrap();
    append(&rooms.door, stream, 0, topic, &messages(0..3)).await;
    rooms.close().await;

    let rooms = Rooms::open(dir.path()).await;
    assert_ne!(rooms.door.new_stream(&http()).await.unwrap(), stream, "rule 6: ids are never given twice");
    assert_eq!(rooms.door.stream_last(&http(), at(stream, topic)).await.unwrap(), Some(Sequence(2)), "rule 19");
    assert_eq!(append(&rooms.door, stream, 0, topic, &messages(0..3)).await, AppendOnce::Duplicate(Some(Offset(0))));
    assert_eq!(append(&rooms.door, stream, 3, topic, &messages(3..4)).await, AppendOnce::Written(Offset(3)));
    assert_eq!(values(&rooms.door, "target").await, numbers(0..4));
    rooms.close().await;
}

#[tokio::test]
async fn an_append_larger_than_a_batch_may_be_is_cut_and_a_repeat_after_half_of_it_writes_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let topic = rooms.topic("target", 1, &[("max.message.bytes", "200")]).await.id;
    let stream = rooms.door.new_stream(&http()).await.unwrap();
    // As a crash between two batches leaves it.
    append(&rooms.door, stream, 0, topic, &messages(0..7)).await;
    assert_eq!(append(&rooms.door, stream, 0, topic, &messages(0..60)).await, AppendOnce::Written(Offset(7)));
    assert_eq!(append(&rooms.door, stream, 0, topic, &messages(0..60)).await, AppendOnce::Duplicate(None));
    assert_eq!(values(&rooms.door, "target").await, numbers(0..60));
    rooms.close().await;
}

#[tokio::test]
async fn a_record_of_the_maximum_size_still_fits_with_the_headers_that_the_broker_adds() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let topic = rooms.topic("target", 1, &[("max.message.bytes", "1000")]).await.id;
    let stream = rooms.door.new_stream(&http()).await.unwrap();
    let value: Option<Bytes> = Some(vec![b'x'; 990].into());
    let large = Message { value, ..Message::default() };
    assert_eq!(append(&rooms.door, stream, 0, topic, &[large]).await, AppendOnce::Written(Offset(0)), "rule 19");
    rooms.close().await;
}

async fn on(disk: &FaultyDisk, plugins: &Path) -> Rooms {
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
    Rooms::open_with(settings, plugins.to_path_buf()).await
}

#[tokio::test]
async fn what_was_answered_survives_a_power_cut_in_a_topic_that_does_not_sync_too() {
    let dir = tempfile::tempdir().unwrap();
    for (flush, seed) in [("sync", 1), ("os", 2), ("os", 3)] {
        let disk = FaultyDisk::new();
        let rooms = on(&disk, dir.path()).await;
        let topic = rooms.topic("target", 1, &[("sluice.flush", flush)]).await.id;
        let stream = rooms.door.new_stream(&http()).await.unwrap();
        append(&rooms.door, stream, 0, topic, &messages(0..3)).await;
        let after = disk.power_cut(seed);
        rooms.crash().await;

        let rooms = on(&after, dir.path()).await;
        assert_eq!(values(&rooms.door, "target").await, numbers(0..3), "rule 18: {flush}");
        let again = append(&rooms.door, stream, 0, topic, &messages(0..3)).await;
        assert_eq!(again, AppendOnce::Duplicate(Some(Offset(0))));
        assert_eq!(append(&rooms.door, stream, 3, topic, &messages(3..4)).await, AppendOnce::Written(Offset(3)));
        rooms.close().await;
    }
}

#[tokio::test]
async fn a_compacted_topic_takes_no_message_without_a_key_and_still_answers_what_it_took_before() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    for codec in ["producer", "lz4"] {
        let configs = [("cleanup.policy", "compact"), ("compression.type", codec)];
        let topic = rooms.topic(&format!("target-{codec}"), 1, &configs).await.id;
        let stream = rooms.door.new_stream(&http()).await.unwrap();
        let mut three = messages(0..3);
        let refused = rooms.door.append_once(&http(), at(stream, topic), Sequence(0), &three).await.unwrap_err();
        assert!(matches!(refused, DoorError::Record(RecordFailure::Rejected { .. })), "{refused}");
        for message in &mut three {
            message.key = Some(Bytes::from_static(b"k"));
        }
        assert_eq!(append(&rooms.door, stream, 0, topic, &three).await, AppendOnce::Written(Offset(0)));
        // Already written: nothing of it is judged again.
        assert_eq!(
            append(&rooms.door, stream, 0, topic, &messages(0..3)).await,
            AppendOnce::Duplicate(Some(Offset(0)))
        );
    }
    rooms.close().await;
}

/// A caller as the delay service is one: it knows which step it was at, not whether that step was written. Steps of three
/// records are two batches each.
#[tokio::test]
async fn wherever_the_power_is_cut_a_repeated_step_makes_every_record_appear_once() {
    const STEPS: usize = 4;
    let dir = tempfile::tempdir().unwrap();
    let step = |n: usize| messages(3 * n..3 * n + 3);
    let mut cut_off = 0;
    for stop in 1..30 {
        let disk = FaultyDisk::new();
        let rooms = on(&disk, dir.path()).await;
        let flush = if stop % 2 == 0 { "os" } else { "sync" };
        let topic = rooms.topic("target", 1, &[("sluice.flush", flush), ("max.message.bytes", "130")]).await.id;
        let stream = rooms.door.new_stream(&http()).await.unwrap();
        disk.stop_after(stop);
        let mut answered = 0;
        for n in 0..STEPS {
            let first = Sequence(3 * n as i32);
            if rooms.door.append_once(&http(), at(stream, topic), first, &step(n)).await.is_err() {
                break;
            }
            answered = n + 1;
        }
        cut_off += usize::from(answered < STEPS);
        let after = disk.power_cut(stop);
        rooms.crash().await;

        let rooms = on(&after, dir.path()).await;
        let found = values(&rooms.door, "target").await;
        assert!(found.len() >= 3 * answered, "rule 18: {answered} steps were answered, {found:?} is left (cut {stop})");
        assert_eq!(found, numbers(0..found.len()), "cut {stop}");
        for n in answered..STEPS {
            append(&rooms.door, stream, 3 * n as i32, topic, &step(n)).await;
        }
        assert_eq!(values(&rooms.door, "target").await, numbers(0..3 * STEPS), "rule 18: once (cut {stop})");
        rooms.close().await;
    }
    assert!(cut_off >= 5, "only {cut_off} runs were cut off: nothing was tested");
}
