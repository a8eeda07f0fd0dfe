//! The door: messages in, messages out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_broker::door::produce::{Placed, ProduceWish};
use sluice_broker::door::read::{ReadAnswer, ReadFrom, ReadWish};
use sluice_broker::door::{Door, DoorError, Header, Message};
use sluice_broker::engine::produce::Acks;
use sluice_broker::ids::{Offset, PartitionId, TimestampMs};
use sluice_broker::log::io::faulty::FaultyDisk;
use sluice_broker::log::{AppendError, LogDirSettings, LogError};
use sluice_broker::record::{Compression, RecordError, partition_for_key};
use sluice_broker::topics::TopicError;

use crate::rooms::{Rooms, http};

const P0: PartitionId = PartitionId(0);

fn message(text: &str) -> Message {
    Message { value: Some(Bytes::from(text.to_owned())), ..Message::default() }
}

fn wish(topic: &str, messages: Vec<(Option<PartitionId>, Message)>) -> ProduceWish {
    let topic = topic.to_owned();
    ProduceWish { topic, messages, acks: Acks::Durable, compression: Compression::None, expected_offset: None }
}

fn read_wish(topic: &str, from: ReadFrom) -> ReadWish {
    ReadWish {
        topic: topic.to_owned(),
        partition: P0,
        from,
        max_records: 1_000,
        max_bytes: 1 << 20,
        timeout: Duration::ZERO,
    }
}

async fn read(door: &Door, from: ReadFrom) -> ReadAnswer {
    door.read(&http(), &read_wish("t", from)).await.unwrap()
}

fn texts(answer: &ReadAnswer) -> Vec<&str> {
    let values = answer.records.iter().map(|record| record.value.as_deref().unwrap());
    values.map(|value| std::str::from_utf8(value).unwrap()).collect()
}

#[tokio::test]
async fn a_message_comes_back_as_it_was_from_a_topic_made_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let sent = Message {
        key: Some("k".into()),
        value: None,
        headers: vec![Header { key: "h".into(), value: Some("v".into()) }, Header { key: "h".into(), value: None }],
        timestamp: Some(TimestampMs(1_700_000_000_123)),
    };
    for (index, compression) in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
            .into_iter()
            .enumerate()
    {
        let wish = ProduceWish { compression, ..wish("t", vec![(None, sent.clone())]) };
        let placed = rooms.door.produce(&http(), wish).await.unwrap().remove(0).unwrap();
        assert_eq!(placed, Placed { partition: P0, offset: Offset(index as i64) });
    }
    let answer = read(&rooms.door, ReadFrom::Earliest).await;
    assert_eq!((answer.records.len(), answer.next, answer.offsets.hw), (5, Offset(5), Offset(5)));
    for record in answer.records {
        assert_eq!((record.key, record.value, record.headers), (sent.key.clone(), None, sent.headers.clone()));
        assert_eq!(Some(record.timestamp), sent.timestamp);
    }
    rooms.close().await;
}

#[tokio::test]
async fn outcomes_are_in_the_order_of_the_messages_whatever_their_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 3, &[]).await;
    let keyed = Message { key: Some("foobar".into()), ..message("keyed") };
    let messages = vec![
        (Some(PartitionId(2)), message("a")),
        (None, keyed),
        (Some(PartitionId(9)), message("nowhere")),
        (Some(PartitionId(2)), message("b")),
    ];
    let outcomes = rooms.door.produce(&http(), wish("t", messages)).await.unwrap();
    let at = |partition, offset| Placed { partition: PartitionId(partition), offset: Offset(offset) };
    assert_eq!(outcomes[0].as_ref().unwrap(), &at(2, 0));
    let keyed = outcomes[1].as_ref().unwrap();
    assert_eq!(keyed.partition, partition_for_key(b"foobar", 3), "as the Java client would");
    assert!(matches!(outcomes[2], Err(DoorError::Topic(TopicError::NoPartition { .. }))));
    assert_eq!(outcomes[3].as_ref().unwrap().offset, Offset(1));
    rooms.close().await;
}

#[tokio::test]
async fn one_message_that_is_too_large_does_not_take_the_others_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[("max.message.bytes", "500")]).await;
    let large = "x".repeat(600);
    let messages = vec![(None, message("a")), (None, message(&large)), (None, message("b"))];
    let outcomes = rooms.door.produce(&http(), wish("t", messages)).await.unwrap();
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert!(matches!(outcomes[1], Err(DoorError::Append(AppendError::Record(RecordError::TooLarge { .. })))));
    assert_eq!(texts(&read(&rooms.door, ReadFrom::Earliest).await), ["a", "b"]);
    rooms.close().await;
}

#[tokio::test]
async fn a_conditional_append_stands_only_at_the_end_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[]).await;
    let at = |offset| ProduceWish { expected_offset: Some(Offset(offset)), ..wish("t", vec![(None, message("x"))]) };
    rooms.door.produce(&http(), at(0)).await.unwrap();
    for wrong in [0, 2] {
        let refused = rooms.door.produce(&http(), at(wrong)).await.unwrap_err();
        assert!(matches!(refused, DoorError::WrongEnd { end: Offset(1) }), "{refused}");
    }
    rooms.door.produce(&http(), at(1)).await.unwrap();
    assert_eq!(read(&rooms.door, ReadFrom::Earliest).await.next, Offset(2));
    rooms.close().await;
}

#[tokio::test]
async fn a_reader_begins_where_it_wants_to() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let stamped = |n: i64| Message { timestamp: Some(TimestampMs(1_000 * n)), ..message(&n.to_string()) };
    let messages = (1..=4).map(|n| (None, stamped(n))).collect();
    rooms.door.produce(&http(), wish("t", messages)).await.unwrap();
    assert_eq!(texts(&read(&rooms.door, ReadFrom::Earliest).await), ["1", "2", "3", "4"]);
    assert_eq!(texts(&read(&rooms.door, ReadFrom::At(Offset(2))).await), ["3", "4"], "inside of a batch");
    assert_eq!(texts(&read(&rooms.door, ReadFrom::Time(TimestampMs(1_001))).await), ["2", "3", "4"]);
    for at_end in [ReadFrom::Latest, ReadFrom::Time(TimestampMs(9_000)), ReadFrom::At(Offset(4))] {
        let answer = read(&rooms.door, at_end).await;
        assert_eq!((texts(&answer), answer.next), (vec![], Offset(4)), "{at_end:?}");
    }
    let refused = rooms.door.read(&http(), &read_wish("t", ReadFrom::At(Offset(5)))).await.unwrap_err();
    assert!(matches!(refused, DoorError::Log(LogError::OutOfRange { .. })), "{refused}");
    let found = rooms.door.offset_for_time(&http(), "t", P0, TimestampMs(3_000)).await.unwrap();
    assert_eq!(found, Some(Offset(2)));
    rooms.close().await;
}

#[tokio::test]
async fn a_waiting_reader_gets_what_is_written_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[]).await;
    let (door, context) = (rooms.door.clone(), http());
    let waiting = tokio::spawn(async move {
        let wish = ReadWish { timeout: Duration::from_secs(60), ..read_wish("t", ReadFrom::Earliest) };
        door.read(&context, &wish).await
    });
    rooms.door.produce(&http(), wish("t", vec![(None, message("news"))])).await.unwrap();
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(texts(&answer), ["news"]);
    rooms.close().await;
}

#[tokio::test]
async fn a_broker_is_ready_and_its_topics_are_listed_with_what_was_set() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 2, &[("max.message.bytes", "500")]).await;
    assert_eq!(rooms.door.unready(), None);
    let all = rooms.door.topics(&http(), false);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].name.as_str(), all[0].partitions, all[0].internal), ("t", 2, false));
    assert_eq!(all[0].configs, [("max.message.bytes".to_owned(), "500".to_owned())]);
    assert_eq!(rooms.door.topic(&http(), "t").unwrap(), all[0]);
    assert!(matches!(rooms.door.topic(&http(), "x"), Err(DoorError::Topic(TopicError::NotFound { .. }))));
    rooms.close().await;
}

#[tokio::test]
async fn with_no_acknowledgement_there_are_no_outcomes_and_the_record_is_there_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let unanswered = ProduceWish { acks: Acks::None, ..wish("t", vec![(None, message("x"))]) };
    assert!(rooms.door.produce(&http(), unanswered).await.unwrap().is_empty());
    let waiting = ReadWish { timeout: Duration::from_secs(60), ..read_wish("t", ReadFrom::Earliest) };
    assert_eq!(texts(&rooms.door.read(&http(), &waiting).await.unwrap()), ["x"]);
    rooms.close().await;
}

#[tokio::test]
async fn a_failed_sync_is_an_error_to_the_writer_and_turns_readiness_red() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
    let rooms = Rooms::open_with(settings, dir.path().to_path_buf()).await;
    rooms.topic("t", 1, &[]).await;
    // The first append of a term syncs more than the log.
    rooms.door.produce(&http(), wish("t", vec![(None, message("first"))])).await.unwrap();
    disk.fail_sync(1);
    let outcomes = rooms.door.produce(&http(), wish("t", vec![(None, message("x"))])).await.unwrap();
    assert!(matches!(outcomes[0], Err(DoorError::Log(LogError::Poisoned { .. }))), "rule 8: {outcomes:?}");
    let why = rooms.door.unready().expect("a poisoned partition is not ready");
    assert!(why.contains("t-0"), "{why}");
    rooms.crash().await;
}
