//! Offsets that transactions have written, as a load finds them in a log of Kafka's layout: hand-made batches, because
//! nothing here writes them yet.

use std::path::Path;
use std::sync::atomic::AtomicUsize;

use super::super::classic::Rules;
use super::super::commits::Progress;
use super::super::machine::{GroupMachine, GroupTimer, Setting};
use super::super::payer::Paid;
use super::super::records::{self, GroupMetadata, GroupRecord};
use super::*;
use crate::clock::Clock;
use crate::coordinator::load;
use crate::coordinator::machine::{Machine, Now};
use crate::ids::{TimestampMs, TopicId};
use crate::log::io::Disk;
use crate::log::io::faulty::FaultyDisk;
use crate::log::{Partition, PartitionIdent};
use crate::record::{Compression, Message, build};
use crate::topics::TopicConfigs;

const TRANSACTIONAL: u8 = 0x10;
const CONTROL: u8 = 0x20;
const LOG: &str = "/data/__consumer_offsets-0/00000000000000000000.log";

/// The batches of a log, one after the other.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    next: i64,
}

impl Written {
    /// One batch at the end, as Kafka writes it: a marker has a producer without a sequence.
    fn batch(mut self, producer: Option<i64>, attributes: u8, messages: &[Message]) -> Written {
        let mut bytes = build(messages, TimestampMs(1), Compression::None, None).expect("a batch").bytes().to_vec();
        bytes[0..8].copy_from_slice(&self.next.to_be_bytes());
        bytes[22] |= attributes;
        if let Some(id) = producer {
            bytes[43..51].copy_from_slice(&id.to_be_bytes());
            bytes[51..53].copy_from_slice(&0i16.to_be_bytes());
            let sequence: i32 = if attributes & CONTROL == 0 { 0 } else { -1 };
            bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
        }
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        self.bytes.extend(bytes);
        self.next += i64::try_from(messages.len()).expect("few");
        self
    }

    fn commit(self, producer: Option<i64>, offsets: &[(&str, i32, Option<i64>)]) -> Written {
        let message = |(group, partition, offset): &(&str, i32, Option<i64>)| {
            let value = offset.map(|offset| CommittedOffset {
                offset: Offset(offset),
                epoch: None,
                metadata: String::new(),
                committed_at: TimestampMs(1),
                topic_id: None,
            });
            let group = (*group).into();
            records::message(&GroupRecord::Offset {
                group,
                target: target("t", *partition),
                value,
                paid: Paid::default(),
            })
        };
        let messages: Vec<Message> = offsets.iter().map(message).collect();
        self.batch(producer, if producer.is_some() { TRANSACTIONAL } else { 0 }, &messages)
    }

    /// The record of a group whose members have left.
    fn empty_group(self, group: &str) -> Written {
        let (generation, state_since) = (crate::ids::Generation(3), Some(TimestampMs(1)));
        let value = GroupMetadata {
            protocol_type: Some("consumer".into()),
            generation,
            protocol: None,
            leader: None,
            state_since,
            members: Vec::new(),
        };
        self.batch(None, 0, &[records::message(&GroupRecord::Group { group: group.into(), value: Some(value) })])
    }

    /// `EndTransactionMarker`: version 0, the type in the key.
    fn marker(self, producer: i64, commit: bool) -> Written {
        let key = Bytes::copy_from_slice(&[0, 0, 0, u8::from(commit)]);
        let marker = Message { key: Some(key), value: Some(Bytes::from_static(&[0; 6])), ..Message::default() };
        self.batch(Some(producer), TRANSACTIONAL | CONTROL, &[marker])
    }

    /// What a load makes of it.
    async fn loaded(self) -> GroupMachine {
        let rig = Rig::new().await;
        rig.topic("t", 9).await;
        let rules = Rules {
            initial_delay: Duration::ZERO,
            session_min: Duration::ZERO,
            session_max: Duration::from_secs(60),
            members_max: 9,
        };
        let (catalog, group_count) = (Arc::clone(&rig.catalog), AtomicUsize::new(0));
        let setting = Arc::new(Setting {
            catalog,
            rules,
            state: rig.memory.state().clone(),
            retention: Duration::from_secs(60),
            group_count,
        });
        let now = Now { mono: rig.clock.monotonic(), wall: rig.clock.wall() };
        let mut machine = GroupMachine::new(setting, now);
        let (_log_dir, partition) = self.partition();
        load::replay(&partition, &mut machine).expect("it is read");
        drop(machine.loaded(now));
        machine
    }

    fn partition(self) -> (Arc<LogDir>, Arc<Partition>) {
        let ident = PartitionIdent {
            topic: TopicName::new(OFFSETS_TOPIC).expect("a topic name"),
            topic_id: TopicId(uuid::Uuid::from_u128(7)),
            partition: PartitionId(0),
        };
        let open = |disk: &FaultyDisk| {
            let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
            LogDir::open(settings, Arc::new(MachineClock)).expect("a log directory")
        };
        let config = TopicConfigs::default().log_config();
        let disk = FaultyDisk::new();
        drop(open(&disk).create(ident.clone(), config.clone()).expect("a partition"));
        let disk = disk.kill();
        disk.open(Path::new(LOG)).expect("its log").write_at(&self.bytes, b"", 0).expect("written");
        let log_dir = open(&disk);
        let partition = log_dir.open_existing(ident, config).expect("a partition");
        assert_eq!(partition.offsets().hw, Offset(self.next), "every batch is whole");
        (log_dir, partition)
    }
}

/// Partition and offset of what the group has committed.
fn committed(machine: &GroupMachine, group: &str) -> Vec<(i32, i64)> {
    let all = machine.committed(group, None);
    all.into_iter().map(|(target, value)| (target.partition.0, value.expect("an offset").offset.0)).collect()
}

#[tokio::test]
async fn offsets_of_a_transaction_count_from_its_commit_marker_on() {
    let machine = Written::default()
        .commit(Some(7), &[("g", 0, Some(5)), ("h", 1, Some(6))])
        .commit(None, &[("g", 2, Some(1))])
        .marker(7, true)
        .loaded()
        .await;
    assert_eq!((committed(&machine, "g"), committed(&machine, "h")), (vec![(0, 5), (2, 1)], vec![(1, 6)]));
    assert_eq!(machine.groups.len(), 2, "groups that only a transaction names exist as well");
}

#[tokio::test]
async fn offsets_of_an_aborted_or_open_transaction_are_nobodys() {
    let machine = Written::default()
        .commit(None, &[("g", 0, Some(1))])
        .commit(Some(7), &[("g", 0, Some(5))])
        .commit(Some(8), &[("g", 1, Some(6)), ("h", 1, Some(6))])
        .marker(7, false)
        .loaded()
        .await;
    assert_eq!((committed(&machine, "g"), committed(&machine, "h")), (vec![(0, 1)], vec![]));
    assert_eq!(machine.groups.len(), 1, "no group is made of an open transaction");
}

#[tokio::test]
async fn a_producers_next_transaction_is_another_one() {
    let machine = Written::default()
        .commit(Some(7), &[("g", 0, Some(5))])
        .marker(7, false)
        .commit(Some(7), &[("g", 1, Some(6))])
        .marker(8, true)
        .marker(7, true)
        .loaded()
        .await;
    assert_eq!(committed(&machine, "g"), [(1, 6)]);
}

#[tokio::test]
async fn a_commit_between_a_transactions_record_and_its_marker_is_the_later_one() {
    let machine = Written::default()
        .commit(Some(7), &[("g", 0, Some(5)), ("g", 1, Some(5))])
        .commit(None, &[("g", 0, Some(9))])
        .marker(7, true)
        .loaded()
        .await;
    assert_eq!(committed(&machine, "g"), [(0, 9), (1, 5)]);
}

#[tokio::test]
async fn a_tombstone_in_a_transaction_counts_at_once_as_in_kafka() {
    let machine = Written::default()
        .commit(None, &[("g", 0, Some(1)), ("g", 1, Some(1))])
        .commit(Some(7), &[("g", 0, None)])
        .marker(7, false)
        .loaded()
        .await;
    assert_eq!(committed(&machine, "g"), [(1, 1)]);
}

#[tokio::test]
async fn a_tombstone_removes_what_open_transactions_have_written_for_that_offset_as_in_kafka() {
    let machine = Written::default()
        .commit(Some(7), &[("g", 0, Some(5)), ("g", 1, Some(5)), ("h", 0, Some(5))])
        .commit(Some(8), &[("g", 0, Some(6))])
        .commit(None, &[("g", 0, None)])
        .marker(7, true)
        .marker(8, true)
        .loaded()
        .await;
    assert_eq!((committed(&machine, "g"), committed(&machine, "h")), (vec![(1, 5)], vec![(0, 5)]));
    let machine = Written::default()
        .commit(Some(7), &[("g", 0, Some(5))])
        .commit(Some(8), &[("g", 0, None)])
        .commit(Some(7), &[("g", 1, Some(6))])
        .marker(8, false)
        .marker(7, true)
        .loaded()
        .await;
    assert_eq!(committed(&machine, "g"), [(1, 6)]);
}

/// Long after everything that is written here.
fn much_later() -> Now {
    Now { mono: MachineClock.monotonic(), wall: TimestampMs(2_000_000_000) }
}

/// The group and the partition of each tombstone; `None` for the group's own.
fn tombstones(records: &[GroupRecord]) -> Vec<(String, Option<i32>)> {
    let tombstone = |record: &GroupRecord| match record {
        GroupRecord::Offset { group, target, value: None, .. } => (group.to_string(), Some(target.partition.0)),
        GroupRecord::Group { group, value: None, .. } => (group.to_string(), None),
        GroupRecord::Offset { .. } | GroupRecord::Group { .. } => panic!("no tombstone"),
    };
    records.iter().map(tombstone).collect()
}

#[tokio::test]
async fn what_an_open_transaction_has_written_keeps_the_offset_and_the_group_from_expiring() {
    let written = || {
        Written::default()
            .empty_group("g")
            .empty_group("h")
            .commit(None, &[("g", 0, Some(1)), ("g", 1, Some(1))])
            .commit(Some(7), &[("g", 0, Some(5)), ("h", 0, Some(5))])
    };
    let mut open = written().loaded().await;
    assert_eq!(tombstones(&open.expire(much_later()).records), [("g".to_owned(), Some(1))]);
    let mut ended = written().marker(7, false).loaded().await;
    let all = [("g".to_owned(), Some(0)), ("g".to_owned(), Some(1)), ("g".to_owned(), None), ("h".to_owned(), None)];
    assert_eq!(tombstones(&ended.expire(much_later()).records), all);
}

/// Many groups with an offset each.
async fn many_groups(count: usize) -> (GroupMachine, Offset) {
    let names: Vec<String> = (0..count).map(|number| format!("group-{number}")).collect();
    let offsets: Vec<(&str, i32, Option<i64>)> = names.iter().map(|name| (name.as_str(), 0, Some(1))).collect();
    let written = Written::default().commit(None, &offsets);
    let end = Offset(written.next);
    (written.loaded().await, end)
}

/// As the shard does with a command's records; returns the end of the log.
fn append(machine: &mut GroupMachine, mut end: Offset, records: Vec<GroupRecord>) -> Offset {
    for record in records {
        machine.replay(end, None, record);
        end = end.next();
    }
    machine.durable(end);
    end
}

#[tokio::test]
async fn retention_looks_at_a_bounded_part_of_a_shard_at_a_time_and_at_every_group_in_the_end() {
    let count = crate::limits::SWEEP_OFFSETS_MAX + 100;
    let (mut machine, mut end) = many_groups(count).await;
    let early = Now { wall: TimestampMs(2), ..much_later() };
    let next = |plan: &crate::coordinator::machine::Plan<GroupMachine>| {
        let timer = plan.timers.iter().find(|(timer, _)| *timer == GroupTimer::Retention);
        timer.expect("it goes on").1.expect("at a time") - early.mono
    };
    let mut commands = 1;
    loop {
        let plan = machine.expire(early);
        assert!(plan.records.is_empty(), "nothing is old");
        if next(&plan) == crate::limits::OFFSETS_RETENTION_CHECK {
            break;
        }
        assert_eq!(next(&plan), crate::limits::GROUP_DEADLINE_MIN, "the rest at once, after others");
        commands += 1;
    }
    assert_eq!(commands, 3, "a group and its offset count two");
    let late = Now { wall: TimestampMs(2_000_000_000), ..early };
    let mut written = 0;
    loop {
        let plan = machine.expire(late);
        let next = next(&plan);
        written += plan.records.len();
        end = append(&mut machine, end, plan.records);
        if next == crate::limits::OFFSETS_RETENTION_CHECK {
            break;
        }
    }
    assert_eq!((written, machine.groups.len()), (count, 0), "one tombstone each");
}

#[tokio::test]
async fn retention_goes_on_within_a_group_of_very_many_offsets() {
    let count = i32::try_from(2 * crate::limits::SWEEP_OFFSETS_MAX + 100).expect("a few thousand");
    let offsets: Vec<(&str, i32, Option<i64>)> = (0..count).map(|partition| ("g", partition, Some(1))).collect();
    let written = Written::default().empty_group("g").commit(None, &offsets);
    let mut end = Offset(written.next);
    let mut machine = written.loaded().await;
    let early = Now { wall: TimestampMs(2), ..much_later() };
    for _ in 0..3 {
        assert!(machine.expire(early).records.is_empty(), "nothing is old");
    }
    assert!(machine.retention_from.is_none(), "three steps are enough");
    let late = Now { wall: TimestampMs(2_000_000_000), ..early };
    let mut written = 0;
    while !machine.groups.is_empty() {
        let plan = machine.expire(late);
        assert!(plan.records.len() <= crate::limits::TOMBSTONES_PER_BATCH);
        assert!(!plan.records.is_empty(), "it gets on");
        written += plan.records.len();
        end = append(&mut machine, end, plan.records);
    }
    assert_eq!(written, usize::try_from(count).expect("positive") + 1, "each offset once, and the group at last");
}

#[tokio::test]
async fn groups_are_listed_in_steps() {
    let (machine, _) = many_groups(crate::limits::GROUPS_LISTED_AT_ONCE + 1).await;
    let first = machine.list(None);
    assert_eq!(first.len(), crate::limits::GROUPS_LISTED_AT_ONCE);
    let last = machine.list(first.last().map(|group| &*group.group));
    assert_eq!(last.len(), 1);
    assert!(machine.list(Some(&last[0].group)).is_empty());
}

#[tokio::test]
async fn an_offset_that_an_open_transaction_has_written_is_not_stable() {
    let written = Written::default()
        .commit(None, &[("g", 0, Some(1)), ("g", 1, Some(1))])
        .commit(Some(7), &[("g", 0, Some(5)), ("h", 0, Some(5))]);
    let machine = written.loaded().await;
    let stable = |group: &str, partition: i32| {
        let asked = [target("t", partition)];
        machine.stable_offsets(group, Some(&asked)).answer.remove(0).1
    };
    assert_eq!((stable("g", 0), stable("h", 0)), (StableOffset::Unstable, StableOffset::Unstable));
    assert!(matches!(stable("g", 1), StableOffset::Is(Some(_))));
    assert_eq!(stable("g", 9), StableOffset::Is(None));
    let all = machine.stable_offsets("g", None).answer;
    assert_eq!(all.iter().filter(|(_, offset)| *offset == StableOffset::Unstable).count(), 1);
}

#[tokio::test]
async fn a_deleted_topic_is_forgotten_by_very_many_groups_in_batches_that_go_on_where_the_last_one_ended() {
    let count = crate::limits::SWEEP_OFFSETS_MAX + 100;
    let (mut machine, mut end) = many_groups(count).await;
    let topic = TopicName::new("t").expect("a topic name");
    let (mut from, mut batches) = (None, Vec::new());
    loop {
        let forgotten = machine.forget_topic(&topic, TopicId(uuid::Uuid::nil()), from.as_deref());
        batches.push(forgotten.plan.records.len());
        end = append(&mut machine, end, forgotten.plan.records);
        match forgotten.answer {
            Progress::Done => break,
            Progress::More { from: left } => {
                let before = |group: &Arc<str>| **group < *left;
                assert!(!machine.groups.keys().any(before), "nothing is left before it");
                from = Some(left);
            }
        }
    }
    assert_eq!(batches, [500, 500, 500, 500, 100]);
    assert!(machine.groups.is_empty());
}
