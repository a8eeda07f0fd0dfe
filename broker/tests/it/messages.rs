//! The door: messages in, messages out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_broker::door::error::{RecordFailure, StorageFailure, TopicFailure};
use sluice_broker::door::messages::{Acks, Compression, Placed, ProduceRequest, partition_for_key};
use sluice_broker::door::reading::{PartitionRead, ReadFrom, ReadPartition, ReadRequest};
use sluice_broker::door::topics::TopicRef;
use sluice_broker::door::{Door, DoorError, Header, Message};
use sluice_broker::ids::{Offset, PartitionId, TimestampMs};
use sluice_broker::log::io::faulty::FaultyDisk;
use sluice_broker::log::{LogDirSettings, Origin};
use sluice_broker::record::build;

use crate::rooms::{Rooms, http};

const P0: PartitionId = PartitionId(0);

fn message(text: &str) -> Message {
    Message { value: Some(Bytes::from(text.to_owned())), ..Message::default() }
}

fn request(topic: &str, messages: Vec<(Option<PartitionId>, Message)>) -> ProduceRequest {
    let topic = topic.to_owned();
    ProduceRequest { topic, messages, acks: Acks::Durable, compression: Compression::None, expected_offset: None }
}

fn place(partition: PartitionId, from: ReadFrom) -> ReadPartition {
    ReadPartition { topic: TopicRef::name("t"), partition, from }
}

fn read_of(partitions: Vec<ReadPartition>, timeout: Duration) -> ReadRequest {
    ReadRequest { partitions, records_max: 1_000, bytes_max: 1 << 20, timeout }
}

async fn try_read(door: &Door, from: ReadFrom, timeout: Duration) -> Result<PartitionRead, DoorError> {
    door.read(&http(), &read_of(vec![place(P0, from)], timeout)).await.remove(0)
}

async fn read(door: &Door, from: ReadFrom) -> PartitionRead {
    try_read(door, from, Duration::ZERO).await.unwrap()
}

fn texts(answer: &PartitionRead) -> Vec<&str> {
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
        let request = ProduceRequest { compression, ..request("t", vec![(None, sent.clone())]) };
        let placed = rooms.door.produce(&http(), request).await.unwrap().remove(0).unwrap();
        assert_eq!(placed, Placed { partition: P0, offset: Offset(index as i64) });
    }
    let answer = read(&rooms.door, ReadFrom::Earliest).await;
    assert_eq!((answer.records.len(), answer.next, answer.offsets.end), (5, Offset(5), Offset(5)));
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
    let outcomes = rooms.door.produce(&http(), request("t", messages)).await.unwrap();
    let at = |partition, offset| Placed { partition: PartitionId(partition), offset: Offset(offset) };
    assert_eq!(outcomes[0].as_ref().unwrap(), &at(2, 0));
    let keyed = outcomes[1].as_ref().unwrap();
    assert_eq!(keyed.partition, partition_for_key(b"foobar", 3), "as the Java client would");
    assert!(matches!(outcomes[2], Err(DoorError::Topic(TopicFailure::NoPartition { .. }))));
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
    let outcomes = rooms.door.produce(&http(), request("t", messages)).await.unwrap();
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert!(matches!(outcomes[1], Err(DoorError::Record(RecordFailure::TooLarge { .. }))));
    assert_eq!(texts(&read(&rooms.door, ReadFrom::Earliest).await), ["a", "b"]);
    rooms.close().await;
}

#[tokio::test]
async fn a_conditional_append_stands_only_at_the_end_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[]).await;
    let at =
        |offset| ProduceRequest { expected_offset: Some(Offset(offset)), ..request("t", vec![(None, message("x"))]) };
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
    rooms.door.produce(&http(), request("t", messages)).await.unwrap();
    assert_eq!(texts(&read(&rooms.door, ReadFrom::Earliest).await), ["1", "2", "3", "4"]);
    assert_eq!(texts(&read(&rooms.door, ReadFrom::At(Offset(2))).await), ["3", "4"], "inside of a batch");
    assert_eq!(texts(&read(&rooms.door, ReadFrom::Time(TimestampMs(1_001))).await), ["2", "3", "4"]);
    for at_end in [ReadFrom::Latest, ReadFrom::Time(TimestampMs(9_000)), ReadFrom::At(Offset(4))] {
        let answer = read(&rooms.door, at_end).await;
        assert_eq!((texts(&answer), answer.next), (vec![], Offset(4)), "{at_end:?}");
    }
    let refused = try_read(&rooms.door, ReadFrom::At(Offset(5)), Duration::ZERO).await.unwrap_err();
    let expect = DoorError::OffsetOutOfRange { asked: Offset(5), beginning: Offset(0), end: Offset(4) };
    assert_eq!(refused, expect);
    let found = rooms.door.offset_for_time(&http(), &TopicRef::name("t"), P0, TimestampMs(3_000)).await.unwrap();
    assert_eq!(found, Some(Offset(2)));
    rooms.close().await;
}

#[tokio::test]
async fn a_waiting_reader_gets_what_is_written_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[]).await;
    let door = rooms.door.clone();
    let waiting = tokio::spawn(async move { try_read(&door, ReadFrom::Earliest, Duration::from_secs(60)).await });
    rooms.door.produce(&http(), request("t", vec![(None, message("news"))])).await.unwrap();
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(texts(&answer), ["news"]);
    rooms.close().await;
}

#[tokio::test]
async fn one_read_waits_for_several_partitions_and_answers_each_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 3, &[]).await;
    let partitions = [2, 0, 1].map(|number| place(PartitionId(number), ReadFrom::Earliest)).to_vec();
    let (door, waiting) = (rooms.door.clone(), read_of(partitions.clone(), Duration::from_secs(60)));
    let waiting = tokio::spawn(async move { door.read(&http(), &waiting).await });
    rooms.door.produce(&http(), request("t", vec![(Some(PartitionId(0)), message("news"))])).await.unwrap();
    let answers: Vec<_> = waiting.await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().map(texts).collect::<Vec<_>>(), [&[][..], &["news"], &[]]);
    assert_eq!(answers.iter().map(|one| one.offsets.end).collect::<Vec<_>>(), [Offset(0), Offset(1), Offset(0)]);
    rooms.close().await;
}

#[tokio::test]
async fn an_error_of_one_partition_ends_the_wait_and_the_others_answer_with_what_they_have() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 2, &[]).await;
    let id = rooms.door.topic(&http(), &TopicRef::name("t")).unwrap().id;
    rooms.door.produce(&http(), request("t", vec![(Some(PartitionId(1)), message("a"))])).await.unwrap();
    let by_id = ReadPartition { topic: TopicRef::Id(id), ..place(PartitionId(1), ReadFrom::Earliest) };
    let unknown = ReadPartition { topic: TopicRef::name("x"), ..place(P0, ReadFrom::Earliest) };
    let partitions = vec![unknown, by_id, place(PartitionId(9), ReadFrom::At(Offset(0)))];
    let answers = rooms.door.read(&http(), &read_of(partitions, Duration::from_secs(60))).await;
    assert_eq!(answers[0].as_ref().unwrap_err(), &TopicFailure::NotFound { name: "x".into() }.into());
    assert_eq!(texts(answers[1].as_ref().unwrap()), ["a"]);
    assert!(matches!(answers[2], Err(DoorError::Topic(TopicFailure::NoPartition { .. }))));
    rooms.close().await;
}

#[tokio::test]
async fn a_broker_is_ready_and_its_topics_are_listed_with_what_was_set() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 2, &[("max.message.bytes", "500")]).await;
    assert_eq!(rooms.facts.unready(), None);
    let all = rooms.door.topics(&http(), false);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].name.as_str(), all[0].partitions, all[0].internal), ("t", 2, false));
    assert_eq!(all[0].configs, [("max.message.bytes".to_owned(), "500".to_owned())]);
    assert_eq!(rooms.door.topic(&http(), &TopicRef::name("t")).unwrap(), all[0]);
    let unknown = rooms.door.topic(&http(), &TopicRef::name("x"));
    assert_eq!(unknown, Err(TopicFailure::NotFound { name: "x".into() }.into()));
    rooms.close().await;
}

#[tokio::test]
async fn with_no_acknowledgement_there_are_no_outcomes_and_the_record_is_there_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let unanswered = ProduceRequest { acks: Acks::None, ..request("t", vec![(None, message("x"))]) };
    assert!(rooms.door.produce(&http(), unanswered).await.unwrap().is_empty());
    let answer = try_read(&rooms.door, ReadFrom::Earliest, Duration::from_secs(60)).await.unwrap();
    assert_eq!(texts(&answer), ["x"]);
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
    rooms.door.produce(&http(), request("t", vec![(None, message("first"))])).await.unwrap();
    disk.fail_sync(1);
    let outcomes = rooms.door.produce(&http(), request("t", vec![(None, message("x"))])).await.unwrap();
    assert!(matches!(outcomes[0], Err(DoorError::Storage(StorageFailure::Offline { .. }))), "rule 8: {outcomes:?}");
    let why = rooms.facts.unready().expect("a poisoned partition is not ready");
    assert!(why.contains("t-0"), "{why}");
    rooms.crash().await;
}

#[tokio::test]
async fn a_record_that_opens_too_large_is_told_in_its_place_and_the_reader_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[]).await;
    let huge = Message { value: Some(vec![0; 200 << 20].into()), ..Message::default() };
    let partition = rooms.catalog.topic("t").unwrap().partition(P0).unwrap();
    let batch = build(&[message("a"), huge, message("b")], TimestampMs(5), Compression::Zstd, None).unwrap();
    assert!(batch.header().size < 1 << 20, "as any client may send it");
    partition.append(batch, Origin::Client).durable().await.unwrap();
    let answer = read(&rooms.door, ReadFrom::Earliest).await;
    assert_eq!((texts(&answer), answer.next), (vec!["a", "b"], Offset(3)));
    let [told] = &answer.unreadable[..] else { panic!("{:?}", answer.unreadable) };
    assert_eq!((told.offset, told.next), (Offset(1), Offset(2)));
    assert!(told.reason.contains("when opened"), "{}", told.reason);
    let at = read(&rooms.door, ReadFrom::At(Offset(1))).await;
    assert_eq!((at.unreadable.len(), texts(&at)), (1, vec!["b"]), "also where it is the first");
    drop((answer, at));
    rooms.close().await;
}

#[tokio::test]
async fn a_batch_of_many_megabytes_is_read_from_its_file_record_by_record() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[("max.message.bytes", "30000000")]).await;
    let partition = rooms.catalog.topic("t").unwrap().partition(P0).unwrap();
    for compression in [Compression::None, Compression::Gzip] {
        let noise = |n: u32| (0..200_000u32).flat_map(|at| at.wrapping_mul(n | 1).to_le_bytes()).collect::<Vec<u8>>();
        let some = |n: u32| Message { value: Some(noise(n.wrapping_mul(2_654_435_761)).into()), ..Message::default() };
        let messages: Vec<_> = (1..6).map(some).collect();
        let batch = build(&messages, TimestampMs(5), compression, None).unwrap();
        assert!(batch.header().size > 1 << 20);
        let first = partition.append(batch, Origin::Client).durable().await.unwrap().base_offset;
        let mut next = first;
        let mut seen = Vec::new();
        while seen.len() < messages.len() {
            let answer = read(&rooms.door, ReadFrom::At(next)).await;
            seen.extend(answer.records.iter().map(|record| record.value.clone()));
            assert!(answer.next > next && answer.unreadable.is_empty());
            next = answer.next;
        }
        assert_eq!(seen, messages.iter().map(|message| message.value.clone()).collect::<Vec<_>>());
    }
    rooms.close().await;
}
