//! Damage below what was durable, and both ways out of it, also when they are stopped at each of their steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::super::{LogDir, LogDirSettings, LogError};
use super::{Choice, Damage, Repair, Repaired, Survey};
use crate::clock::{ManualClock, SharedClock};
use crate::ids::{LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName, TopicPartition};
use crate::log::config::LogConfig;
use crate::log::ident::PartitionIdent;
use crate::log::io::Disk;
use crate::log::io::faulty::FaultyDisk;
use crate::log::layout::{PARTITION_METADATA, partition_metadata};
use crate::log::partition::Partition;
use crate::record::{Compression, Message, build, check_stored, records};

const DIR: &str = "/data/t-0";
const FIRST: &str = "/data/t-0/00000000000000000000.log";
const SECOND: &str = "/data/t-0/00000000000000000004.log";

fn name() -> TopicPartition {
    TopicPartition { topic: TopicName::new("t").unwrap(), partition: PartitionId(0) }
}

fn clock() -> SharedClock {
    Arc::new(ManualClock::at(1_000_000))
}

fn settings(disk: &FaultyDisk) -> LogDirSettings {
    LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) }
}

fn open(disk: &FaultyDisk) -> Repair {
    Repair::open(settings(disk), clock()).unwrap()
}

/// One record, whose value is its offset; all batches are of one size.
fn batch(offset: i64) -> Vec<u8> {
    let message = Message { value: Some(Bytes::from(format!("{offset}"))), ..Message::default() };
    let built = build(&[message], TimestampMs(1_000), Compression::None, None).unwrap();
    let stamped = built.stamp(Offset(offset), LeaderEpoch(2), None);
    [&stamped.head[..], &stamped.body[..]].concat()
}

fn write(disk: &FaultyDisk, path: &str, bytes: &[u8]) {
    let file = disk.create(Path::new(path)).unwrap();
    file.write_at(bytes, &[], 0).unwrap();
    file.sync_data().unwrap();
}

/// Offsets 0 to 3 and 4 to 7 in two segments, all durable, cleanly stopped.
fn two_segments() -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    write(&disk, FIRST, &(0..4).flat_map(batch).collect::<Vec<_>>());
    write(&disk, SECOND, &(4..8).flat_map(batch).collect::<Vec<_>>());
    let metadata = format!("{DIR}/{PARTITION_METADATA}");
    write(&disk, &metadata, partition_metadata(TopicId(uuid::Uuid::from_u128(9))).as_bytes());
    write(&disk, "/data/recovery-point-offset-checkpoint", b"0\n1\nt 0 8\n");
    write(&disk, "/data/.kafka_cleanshutdown", b"{}");
    for dir in ["/", "/data", DIR] {
        disk.sync_dir(Path::new(dir)).unwrap();
    }
    disk
}

fn size() -> usize {
    batch(0).len()
}

fn rot(disk: &FaultyDisk, path: &str, at: usize) {
    let byte = disk.bytes(Path::new(path)).unwrap()[at];
    disk.rot(Path::new(path), at, byte ^ 0x10);
}

fn look(disk: &FaultyDisk) -> Survey {
    open(disk).survey(&name(), &mut |_| {}).unwrap()
}

fn apply(disk: &FaultyDisk, choice: Choice) -> Result<Repaired, LogError> {
    let mut repair = Repair::open(settings(disk), clock())?;
    let survey = repair.survey(&name(), &mut |_| {})?;
    repair.apply(&name(), &survey, choice)
}

/// As a broker serves it.
fn served(disk: &FaultyDisk) -> (Arc<LogDir>, Arc<Partition>) {
    let dir = LogDir::open(settings(disk), clock()).unwrap();
    let id = TopicId(uuid::Uuid::from_u128(9));
    let ident = PartitionIdent { topic: TopicName::new("t").unwrap(), topic_id: id, partition: PartitionId(0) };
    let partition = dir.open_existing(ident, LogConfig::for_tests()).unwrap();
    (dir, partition)
}

/// What a consumer gets, and where it ends.
fn values(partition: &Partition) -> (Vec<String>, Offset) {
    let (mut values, mut at) = (Vec::new(), partition.offsets().log_start);
    while at < partition.offsets().hw {
        let mut rest = partition.read(at, 1 << 20).unwrap();
        assert!(!rest.is_empty(), "nothing at {at}");
        while !rest.is_empty() {
            let batch = check_stored(rest.clone()).unwrap();
            at = batch.header().next_offset();
            rest = rest.slice(batch.header().size..);
            for record in records(&batch).unwrap() {
                assert_eq!(record.value.as_deref(), Some(record.offset.to_string().as_bytes()), "offsets stay");
                values.push(record.offset.to_string());
            }
        }
    }
    (values, at)
}

fn places(survey: &Survey) -> Vec<(&Path, u64, u64, i64, i64)> {
    let place = |damage: &'_ Damage| (damage.position, damage.bytes, damage.from.0, damage.to.0);
    survey
        .damages
        .iter()
        .map(|damage| {
            let (position, bytes, from, to) = place(damage);
            (damage.path.as_path(), position, bytes, from, to)
        })
        .collect()
}

#[test]
fn a_whole_log_has_no_damage_and_repair_leaves_it_alone() {
    let disk = two_segments();
    let survey = look(&disk);
    assert_eq!((survey.log_start, survey.end, survey.batches, survey.torn_bytes), (Offset(0), Offset(8), 8, 0));
    let before = disk.operations();
    assert_eq!(apply(&disk, Choice::Cut).unwrap().end, Offset(8));
    assert_eq!(disk.operations(), before, "nothing is written, not even the marker goes");
}

#[test]
fn rule_10_damage_is_named_with_place_and_what_stands_behind_it() {
    let disk = two_segments();
    // A value, which only a checksum shows; and a length field, behind which one must search.
    rot(&disk, FIRST, size() + 65);
    rot(&disk, SECOND, 2 * size() + 9);
    let survey = look(&disk);
    let one = size() as u64;
    assert_eq!(places(&survey), [(Path::new(FIRST), one, one, 1, 2), (Path::new(SECOND), 2 * one, one, 6, 7)]);
    assert!(survey.damages[0].reason.contains("CRC"), "{}", survey.damages[0].reason);
    assert_eq!((survey.batches, survey.batches_behind, survey.end), (6, 5, Offset(8)));
    let [partition] = &open(&disk).partitions().unwrap()[..] else { panic!() };
    assert_eq!(*partition, name());
}

#[test]
fn rule_10_what_is_missing_between_two_segments_is_damage() {
    let disk = two_segments();
    write(&disk, FIRST, &(0..2).flat_map(batch).collect::<Vec<_>>());
    let survey = look(&disk);
    assert_eq!((survey.damages.len(), survey.batches, survey.end), (1, 6, Offset(8)));
    let damage = &survey.damages[0];
    assert_eq!((damage.bytes, damage.from, damage.to), (0, Offset(2), Offset(4)));
}

#[test]
fn what_was_never_durable_is_no_damage() {
    let disk = two_segments();
    write(&disk, "/data/recovery-point-offset-checkpoint", b"0\n1\nt 0 5\n");
    rot(&disk, SECOND, size() + 65);
    let survey = look(&disk);
    assert_eq!((survey.damages.len(), survey.torn_bytes, survey.end), (0, 3 * size() as u64, Offset(5)));
}

#[test]
fn a_running_broker_is_not_worked_under() {
    let disk = two_segments();
    let (dir, _partition) = served(&disk);
    assert!(matches!(Repair::open(settings(&disk), clock()), Err(LogError::InUse { .. })));
    dir.close().unwrap();
    assert!(Repair::open(settings(&disk), clock()).is_ok());
    let nowhere = LogDirSettings { path: "/nowhere".into(), disk: Arc::new(disk) };
    assert!(matches!(Repair::open(nowhere, clock()), Err(LogError::Io { .. })), "no folder is made");
}

/// What it is called, how it is done, and which offsets can be read after a skip.
type Way = (&'static str, fn(&FaultyDisk), Vec<i64>);

/// Ways to damage a log.
fn damages() -> Vec<Way> {
    fn shorten(disk: &FaultyDisk, path: &str, batches: usize) {
        let file = disk.open(Path::new(path)).unwrap();
        file.truncate((batches * size()) as u64).unwrap();
        file.sync_data().unwrap();
    }
    vec![
        ("a value in the middle", |disk| rot(disk, FIRST, size() + 65), vec![0, 2, 3, 4, 5, 6, 7]),
        ("the first header", |disk| rot(disk, FIRST, 16), vec![1, 2, 3, 4, 5, 6, 7]),
        ("the last batch of a segment", |disk| rot(disk, FIRST, 3 * size() + 9), vec![0, 1, 2, 4, 5, 6, 7]),
        ("the last batch of all", |disk| rot(disk, SECOND, 3 * size() + 64), vec![0, 1, 2, 3, 4, 5, 6]),
        ("a log that ends too early", |disk| shorten(disk, SECOND, 1), vec![0, 1, 2, 3, 4]),
        ("a segment that ends too early", |disk| shorten(disk, FIRST, 2), vec![0, 1, 4, 5, 6, 7]),
        (
            "two places",
            |disk| {
                rot(disk, FIRST, 65);
                rot(disk, SECOND, 17);
            },
            vec![1, 2, 3, 5, 6, 7],
        ),
    ]
}

#[test]
fn rule_4_skip_keeps_every_whole_batch_at_its_offset() {
    for (what, damage, left) in damages() {
        let disk = two_segments();
        damage(&disk);
        let survey = look(&disk);
        let repaired = apply(&disk, Choice::Skip).unwrap();
        let kept: u64 = repaired.kept.iter().map(|path| disk.bytes(path).unwrap().len() as u64).sum();
        assert_eq!(kept, survey.damages.iter().map(|damage| damage.bytes).sum::<u64>(), "{what}: every byte is kept");
        assert_eq!(repaired.end, Offset(8), "{what}: no offset is given twice");
        assert_eq!(look(&disk).damages, [], "{what}");
        let (dir, partition) = served(&disk);
        partition.usable().unwrap();
        assert!(dir.was_unclean(), "{what}: the term is raised");
        let (values, end) = values(&partition);
        assert_eq!(values, left.iter().map(i64::to_string).collect::<Vec<_>>(), "{what}");
        assert_eq!(end, Offset(8), "{what}");
    }
}

#[test]
fn rule_10_cut_ends_the_log_at_the_damage_and_keeps_the_rest_beside_it() {
    for (what, damage, left) in damages() {
        let disk = two_segments();
        damage(&disk);
        let before: usize = [FIRST, SECOND].iter().map(|path| disk.bytes(Path::new(path)).unwrap().len()).sum();
        let ended = look(&disk).damages[0].from;
        let repaired = apply(&disk, Choice::Cut).unwrap();
        assert_eq!(repaired.end, ended, "{what}");
        let kept: usize = repaired.kept.iter().map(|path| disk.bytes(path).unwrap().len()).sum();
        let log: usize =
            [FIRST, SECOND].iter().filter_map(|path| disk.bytes(Path::new(path))).map(|log| log.len()).sum();
        assert_eq!(kept + log, before, "{what}: every byte is somewhere");
        let (_dir, partition) = served(&disk);
        partition.usable().unwrap();
        let whole: Vec<String> = left.iter().filter(|offset| **offset < ended.0).map(i64::to_string).collect();
        assert_eq!(values(&partition), (whole, ended), "{what}");
    }
}

#[test]
fn rule_10_a_repair_that_is_stopped_anywhere_is_begun_again_and_ends_the_same() {
    for choice in [Choice::Cut, Choice::Skip] {
        for (what, damage, _) in damages() {
            let disk = two_segments();
            damage(&disk);
            let whole = disk.kill();
            apply(&whole, choice).unwrap();
            let (dir, partition) = served(&whole);
            let wanted = values(&partition);
            drop((dir, partition));
            for stop in 0.. {
                let disk = two_segments();
                damage(&disk);
                disk.stop_after(stop);
                let ended = apply(&disk, choice);
                let again = if stop % 2 == 0 { disk.power_cut(stop) } else { disk.kill() };
                let complete = ended.is_ok();
                // A start in between changes nothing but what it may: it cuts only what was lowered to be cut.
                let (dir, partition) = served(&again);
                drop((dir, partition));
                let again = again.kill();
                apply(&again, choice).unwrap_or_else(|error| panic!("{what} {choice:?} {stop}: {error}"));
                let (_dir, partition) = served(&again);
                partition.usable().unwrap();
                assert_eq!(values(&partition), wanted, "{what} {choice:?} stopped at {stop}");
                if complete {
                    assert!(stop > 5, "{what} {choice:?}: {stop} operations are too few to be true");
                    break;
                }
            }
        }
    }
}

#[test]
fn bytes_between_two_batches_are_taken_out_and_no_offset_is_lost() {
    let disk = two_segments();
    let bytes = [batch(0), batch(1), vec![7; 200], batch(2), batch(3)].concat();
    write(&disk, FIRST, &bytes);
    let survey = look(&disk);
    assert_eq!(places(&survey), [(Path::new(FIRST), 2 * size() as u64, 200, 2, 2)]);
    let repaired = apply(&disk, Choice::Skip).unwrap();
    assert_eq!(repaired.kept, [PathBuf::from("/data/t-0/00000000000000000000.cut-1")]);
    assert_eq!(disk.bytes(&repaired.kept[0]).unwrap(), [7; 200]);
    assert_eq!(disk.bytes(Path::new(FIRST)).unwrap(), (0..4).flat_map(batch).collect::<Vec<_>>());
}
