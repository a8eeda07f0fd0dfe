//! Consumer sessions: members of groups inside of the broker, here among themselves.

mod with_clients;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use sluice_broker::auth::{Authorizer, Operation, ResourceKind};
use sluice_broker::clock::bounded_wait;
use sluice_broker::door::consumer::{ConsumeFrom, ConsumerEvent, ConsumerRequest, ConsumerSession, PartitionRecords};
use sluice_broker::door::error::GroupFailure;
use sluice_broker::door::groups::GroupOffset;
use sluice_broker::door::messages::{Acks, Compression, ProduceRequest};
use sluice_broker::door::{Door, DoorError, Message};
use sluice_broker::ids::{Offset, PartitionId, TopicName, TopicPartition, TopicRef};

use crate::rooms::{Rooms, http};

/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(60);

fn request(topic: &str) -> ConsumerRequest {
    ConsumerRequest {
        group: "g".to_owned(),
        topics: vec![TopicName::new(topic).unwrap()],
        from: ConsumeFrom::Earliest,
        records_max: 7,
        bytes_max: 1 << 20,
        session_timeout: Duration::from_secs(30),
        heartbeat_interval: Duration::from_millis(20),
        rebalance_timeout: LONG,
    }
}

fn open(door: &Door) -> ConsumerSession {
    door.consumer(&http(), request("t")).unwrap()
}

fn part(partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicName::new("t").unwrap(), partition: PartitionId(partition) }
}

fn parts(partitions: std::ops::Range<i32>) -> Vec<TopicPartition> {
    partitions.map(part).collect()
}

fn at(partition: i32, offset: i64) -> GroupOffset {
    GroupOffset { target: part(partition), offset: Offset(offset), metadata: None }
}

/// `count` records into each of these partitions, each with a value of its own.
async fn produce(door: &Door, partitions: std::ops::Range<i32>, count: i32) -> BTreeSet<String> {
    let texts = partitions.flat_map(|partition| (0..count).map(move |n| (partition, format!("{partition}/{n}"))));
    let texts: Vec<(i32, String)> = texts.collect();
    let message = |text: &String| Message { value: Some(Bytes::from(text.clone())), ..Message::default() };
    let messages = texts.iter().map(|(partition, text)| (Some(PartitionId(*partition)), message(text))).collect();
    let (topic, compression) = ("t".to_owned(), Compression::None);
    let request = ProduceRequest { topic, messages, acks: Acks::Durable, compression, expected_offset: None };
    for placed in door.produce(&http(), request).await.unwrap() {
        placed.unwrap();
    }
    texts.into_iter().map(|(_, text)| text).collect()
}

async fn next(session: &mut ConsumerSession) -> ConsumerEvent {
    session.poll(LONG).await.unwrap().expect("an event")
}

async fn assigned(session: &mut ConsumerSession) -> Vec<TopicPartition> {
    match next(session).await {
        ConsumerEvent::Assigned(partitions) => partitions,
        other => panic!("{other:?}"),
    }
}

async fn revoked(session: &mut ConsumerSession) -> Vec<TopicPartition> {
    match next(session).await {
        ConsumerEvent::Revoked(partitions) => partitions,
        other => panic!("{other:?}"),
    }
}

async fn records(session: &mut ConsumerSession) -> Vec<PartitionRecords> {
    match next(session).await {
        ConsumerEvent::Records(records) => records,
        other => panic!("{other:?}"),
    }
}

/// Polls through rebalances, in which no record may come, until this many partitions are assigned.
async fn settle(session: &mut ConsumerSession, count: usize) -> Vec<TopicPartition> {
    loop {
        match next(session).await {
            ConsumerEvent::Assigned(partitions) if partitions.len() == count => return partitions,
            ConsumerEvent::Assigned(_) | ConsumerEvent::Revoked(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The values of so many records, none of them twice.
async fn read(session: &mut ConsumerSession, count: usize) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    while texts.len() < count {
        for record in records(session).await.into_iter().flat_map(|part| part.records) {
            let text = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            assert!(texts.insert(text.clone()), "{text} came twice");
        }
    }
    texts
}

#[tokio::test]
async fn one_session_gets_all_partitions_and_every_record_once_even_when_polls_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 3, &[]).await;
    let sent = produce(&rooms.door, 0..3, 10).await;
    let mut session = open(&rooms.door);
    assert_eq!(assigned(&mut session).await, parts(0..3));
    let Some(ConsumerEvent::Records(first)) = session.poll(Duration::MAX).await.unwrap() else { panic!("no records") };
    let texts = first.iter().flat_map(|part| &part.records).map(|record| record.value.clone().unwrap());
    let mut got: BTreeSet<String> = texts.map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
    assert_eq!(got.len(), 7, "as many as were asked for");
    got.extend(read(&mut session, 23).await);
    assert_eq!(got, sent);
    assert!(session.poll(Duration::ZERO).await.unwrap().is_none());
    for _ in 0..3 {
        assert!(session.poll(LONG).now_or_never().is_none());
    }
    let sent = produce(&rooms.door, 1..2, 5).await;
    assert_eq!(read(&mut session, 5).await, sent);
    session.close().await;
    rooms.close().await;
}

#[tokio::test]
async fn two_sessions_share_the_partitions_and_each_record_goes_to_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 4, &[]).await;
    let mut first = open(&rooms.door);
    assert_eq!(assigned(&mut first).await, parts(0..4));
    let mut second = open(&rooms.door);
    let (of_first, of_second) = tokio::join!(settle(&mut first, 2), settle(&mut second, 2));
    let both: BTreeSet<_> = of_first.into_iter().chain(of_second).collect();
    assert_eq!(both.into_iter().collect::<Vec<_>>(), parts(0..4));
    let sent = produce(&rooms.door, 0..4, 10).await;
    let (of_first, of_second) = tokio::join!(read(&mut first, 20), read(&mut second, 20));
    assert!(of_first.is_disjoint(&of_second));
    assert_eq!(of_first.union(&of_second).cloned().collect::<BTreeSet<_>>(), sent);
    for session in [&mut first, &mut second] {
        assert!(session.poll(Duration::ZERO).await.unwrap().is_none());
    }
    rooms.close().await;
}

#[tokio::test]
async fn what_a_session_commits_after_a_revocation_is_where_the_next_owner_begins() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 2, &[]).await;
    produce(&rooms.door, 0..2, 4).await;
    let mut first = open(&rooms.door);
    assert_eq!(assigned(&mut first).await, parts(0..2));
    assert_eq!(read(&mut first, 8).await.len(), 8);
    let mut second = open(&rooms.door);
    let (gone, ()) = tokio::join!(revoked(&mut first), async {
        assert!(second.poll(Duration::ZERO).await.unwrap().is_none(), "it waits for the first");
    });
    assert_eq!(gone, parts(0..2));
    let outcomes = first.commit(vec![at(0, 4), at(1, 3), at(9, 1)]).await.unwrap();
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok(), "{outcomes:?}");
    let expect = GroupFailure::NotAssigned { topic: "t".to_owned(), partition: 9 };
    assert_eq!(outcomes[2], Err(DoorError::Group(expect)));
    let (of_first, of_second) = tokio::join!(settle(&mut first, 1), settle(&mut second, 1));
    assert_ne!(of_first, of_second);
    let (has_one, mut other) = if of_first == [part(1)] { (first, second) } else { (second, first) };
    let mut has_one = has_one;
    assert_eq!(read(&mut has_one, 1).await, BTreeSet::from(["1/3".to_owned()]));
    assert!(other.poll(Duration::ZERO).await.unwrap().is_none());
    let refused = other.commit(vec![at(1, 0)]).await.unwrap().remove(0).unwrap_err();
    assert!(matches!(refused, DoorError::Group(GroupFailure::NotAssigned { partition: 1, .. })), "{refused}");
    rooms.close().await;
}

#[tokio::test]
async fn a_session_that_is_closed_or_dropped_leaves_its_partitions_to_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 4, &[]).await;
    let mut stays = open(&rooms.door);
    for close in [true, false] {
        let mut goes = open(&rooms.door);
        tokio::join!(settle(&mut stays, 2), settle(&mut goes, 2));
        if close {
            goes.close().await;
        } else {
            drop(goes);
        }
        assert_eq!(settle(&mut stays, 4).await, parts(0..4), "long before the session of the other would end");
    }
    let sent = produce(&rooms.door, 0..4, 3).await;
    assert_eq!(read(&mut stays, 12).await, sent);
    rooms.close().await;
}

#[tokio::test]
async fn a_commit_survives_a_restart_and_a_new_session_begins_there() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[]).await;
    produce(&rooms.door, 0..1, 9).await;
    let mut session = open(&rooms.door);
    let before = session.commit(vec![at(0, 1)]).await.unwrap_err();
    assert!(matches!(before, DoorError::Group(GroupFailure::RebalanceInProgress { .. })), "{before}");
    assert_eq!(assigned(&mut session).await, parts(0..1));
    let got = records(&mut session).await.remove(0);
    assert_eq!((got.target, got.records.len(), got.next), (part(0), 7, Offset(7)));
    session.commit(vec![at(0, got.next.0)]).await.unwrap().remove(0).unwrap();
    rooms.close().await;
    assert_eq!(session.poll(LONG).await.unwrap_err(), DoorError::Stopping);

    let rooms = Rooms::open(dir.path()).await;
    let mut session = open(&rooms.door);
    assert_eq!(assigned(&mut session).await, parts(0..1), "at once: the member before has left");
    assert_eq!(read(&mut session, 2).await, BTreeSet::from(["0/7".to_owned(), "0/8".to_owned()]));
    rooms.close().await;
}

#[tokio::test]
async fn without_a_usable_commit_a_session_begins_where_its_request_says() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[]).await;
    produce(&rooms.door, 0..1, 3).await;
    let begun = async |from| {
        let mut session = rooms.door.consumer(&http(), ConsumerRequest { from, ..request("t") }).unwrap();
        assert_eq!(assigned(&mut session).await, parts(0..1));
        session
    };
    let failed = async |session: &mut ConsumerSession| match next(session).await {
        ConsumerEvent::Failed { target, error } if target == part(0) => error,
        other => panic!("{other:?}"),
    };
    let mut strict = begun(ConsumeFrom::Error).await;
    let nothing = GroupFailure::NothingCommitted { topic: "t".to_owned(), partition: 0 };
    assert_eq!(failed(&mut strict).await, DoorError::Group(nothing));
    strict.close().await;

    for committed in [None, Some(at(0, 100))] {
        if let Some(offset) = committed {
            rooms.door.commit_group_offsets(&http(), "g", vec![offset]).await.unwrap().remove(0).unwrap();
        }
        let mut early = begun(ConsumeFrom::Earliest).await;
        assert_eq!(records(&mut early).await[0].records[0].offset, Offset(0));
        early.close().await;
        let mut late = begun(ConsumeFrom::Latest).await;
        assert!(late.poll(Duration::ZERO).await.unwrap().is_none());
        let end = rooms.door.offsets(&http(), &TopicRef::name("t"), PartitionId(0)).await.unwrap().end;
        produce(&rooms.door, 0..1, 1).await;
        assert_eq!(records(&mut late).await[0].records[0].offset, end);
        late.close().await;
    }
    let mut strict = begun(ConsumeFrom::Error).await;
    let error = failed(&mut strict).await;
    assert!(matches!(error, DoorError::OffsetOutOfRange { asked: Offset(100), .. }), "{error}");
    rooms.close().await;
}

#[tokio::test]
async fn a_topic_that_is_created_deleted_or_recreated_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    let mut session = open(&rooms.door);
    assert_eq!(assigned(&mut session).await, []);
    rooms.topic("t", 2, &[]).await;
    assert_eq!(settle(&mut session, 2).await, parts(0..2));
    let sent = produce(&rooms.door, 0..2, 2).await;
    assert_eq!(read(&mut session, 4).await, sent);
    rooms.door.delete_topic(&http(), "t").await.unwrap();
    rooms.topic("t", 3, &[]).await;
    let sent = produce(&rooms.door, 0..3, 1).await;
    let mut got = BTreeSet::new();
    let follows = async {
        while got != sent {
            match next(&mut session).await {
                ConsumerEvent::Records(parts) => {
                    let values = parts.into_iter().flat_map(|part| part.records).map(|record| record.value.unwrap());
                    got.extend(values.map(|value| String::from_utf8(value.to_vec()).unwrap()));
                }
                ConsumerEvent::Failed { .. } => tokio::task::yield_now().await,
                ConsumerEvent::Assigned(_) | ConsumerEvent::Revoked(_) => {}
            }
        }
    };
    bounded_wait(follows).await;
    rooms.close().await;
}

#[tokio::test]
async fn a_session_that_nobody_polls_gives_way_and_joins_again_when_it_is_polled() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(dir.path()).await;
    rooms.topic("t", 1, &[]).await;
    let short = ConsumerRequest { rebalance_timeout: Duration::from_millis(300), ..request("t") };
    let mut session = rooms.door.consumer(&http(), short).unwrap();
    assert_eq!(assigned(&mut session).await, parts(0..1));
    // Only a group without members lets somebody from outside commit.
    let outcome = async {
        loop {
            match rooms.door.commit_group_offsets(&http(), "g", vec![at(0, 0)]).await {
                Err(DoorError::Group(GroupFailure::NotEmpty { .. })) => tokio::task::yield_now().await,
                outcome => return outcome,
            }
        }
    };
    bounded_wait(outcome).await.unwrap().remove(0).unwrap();
    let fenced = session.commit(vec![at(0, 1)]).await.unwrap_err();
    assert!(matches!(fenced, DoorError::Group(GroupFailure::UnknownMember { .. })), "{fenced}");
    assert_eq!(revoked(&mut session).await, parts(0..1));
    assert_eq!(settle(&mut session, 1).await, parts(0..1));
    rooms.close().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_served_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let auth = Authorizer::with_policy(|asked| match asked.kind {
        ResourceKind::Topic => asked.operation != Operation::Read || asked.resource.to_string() != "secret",
        _ => asked.resource.to_string() != "private",
    });
    let rooms = Rooms::open_for(dir.path(), auth).await;
    let refused = |request: ConsumerRequest| rooms.door.consumer(&http(), request).unwrap_err();
    let no_topics = refused(ConsumerRequest { topics: Vec::new(), ..request("t") });
    assert!(matches!(no_topics, DoorError::InvalidRequest { .. }), "{no_topics}");
    for heartbeat_interval in [Duration::ZERO, Duration::from_secs(30)] {
        let silent = refused(ConsumerRequest { heartbeat_interval, ..request("t") });
        assert!(matches!(silent, DoorError::InvalidRequest { .. }), "{silent}");
    }
    for rebalance_timeout in [Duration::ZERO, Duration::MAX] {
        let endless = refused(ConsumerRequest { rebalance_timeout, ..request("t") });
        assert!(matches!(endless, DoorError::InvalidRequest { .. }), "{endless}");
    }
    let group = refused(ConsumerRequest { group: "private".to_owned(), ..request("t") });
    assert!(matches!(group, DoorError::Denied { .. }), "{group}");
    let topic = refused(request("secret"));
    assert!(matches!(topic, DoorError::Denied { .. }), "{topic}");

    let session_timeout = Duration::from_secs(1);
    let hasty = ConsumerRequest { session_timeout, ..request("t") };
    let mut session = rooms.door.consumer(&http(), hasty).unwrap();
    for _ in 0..2 {
        let error = session.poll(LONG).await.unwrap_err();
        assert!(matches!(error, DoorError::Group(GroupFailure::InvalidSessionTimeout { .. })), "{error}");
    }
    rooms.close().await;
}
