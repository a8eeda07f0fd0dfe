//! A replay: everything below HW, once, in order, with what transactions say about it; or an error.

use std::path::Path;

use super::*;
use crate::log::error::{LogError, ReplayFault};
use crate::log::io::Disk;
use crate::log::replay::Replayed;
use crate::record::ProducerIdent;

const LOG: &str = "/data/t-0/00000000000000000000.log";
const TRANSACTIONAL: u8 = 0x10;
const CONTROL: u8 = 0x20;

/// A batch as a log with transactions holds it: `build` makes none.
fn stored(offset: i64, producer: Option<(i64, i16)>, attributes: u8, records: &[Message]) -> Vec<u8> {
    let mut bytes = build(records, TimestampMs(1), Compression::None, None).unwrap().bytes().to_vec();
    bytes[0..8].copy_from_slice(&offset.to_be_bytes());
    bytes[22] |= attributes;
    if let Some((id, epoch)) = producer {
        bytes[43..51].copy_from_slice(&id.to_be_bytes());
        bytes[51..53].copy_from_slice(&epoch.to_be_bytes());
    }
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// A control record of Kafka's layout.
fn control(kind: i16) -> [Message; 1] {
    let mut key = 0i16.to_be_bytes().to_vec();
    key.extend(kind.to_be_bytes());
    [Message { key: Some(key.into()), value: Some(Bytes::from_static(&[0; 6])), ..Message::default() }]
}

/// A partition whose log is these bytes.
fn holding(bench: &mut Bench, batches: &[Vec<u8>]) -> (Arc<LogDir>, Arc<Partition>) {
    drop(bench.open().create(ident("t"), config()).unwrap());
    bench.kill();
    bench.disk.open(Path::new(LOG)).unwrap().write_at(&batches.concat(), b"", 0).unwrap();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    (dir, partition)
}

/// One line for each record and marker.
fn lines(partition: &Partition) -> Result<Vec<String>, LogError> {
    let who = |producer: ProducerIdent| format!("{}/{}", producer.id, producer.epoch);
    let mut lines = Vec::new();
    partition.replay(|found| {
        match found {
            Replayed::Records { transaction, records } => {
                let of = transaction.map_or_else(String::new, |producer| format!(" of {}", who(producer)));
                for record in records {
                    let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap();
                    lines.push(format!("{}: {value}{of}", record.offset));
                }
            }
            Replayed::Marker { producer, commit, offset } => {
                lines.push(format!("{offset}: {} {}", if commit { "commit" } else { "abort" }, who(producer)));
            }
        }
        Ok::<(), LogError>(())
    })?;
    Ok(lines)
}

#[tokio::test]
async fn a_replay_sees_every_record_below_hw_once_and_in_order_however_many_segments_there_are() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    for n in 0..20 {
        settle(&partition, &n.to_string()).await;
    }
    bench.disk.hold_syncs(true);
    add(&partition, "not durable");
    let expected: Vec<String> = (0..20).map(|n| format!("{n}: {n}")).collect();
    assert_eq!(lines(&partition).unwrap(), expected);
    bench.disk.hold_syncs(false);
}

#[test]
fn a_replay_says_what_belongs_to_which_transaction_and_how_it_ended() {
    let mut bench = Bench::new();
    let (_dir, partition) = holding(
        &mut bench,
        &[
            stored(0, Some((7, 1)), TRANSACTIONAL, &[message("a", 1), message("b", 1)]),
            stored(2, Some((8, 0)), TRANSACTIONAL, &[message("c", 1)]),
            stored(3, None, 0, &[message("d", 1)]),
            stored(4, Some((9, 0)), 0, &[message("e", 1)]),
            stored(5, Some((7, 1)), TRANSACTIONAL | CONTROL, &control(0)),
            stored(6, None, CONTROL, &control(2)),
            stored(7, Some((8, 0)), TRANSACTIONAL | CONTROL, &control(1)),
        ],
    );
    let expected = ["0: a of 7/1", "1: b of 7/1", "2: c of 8/0", "3: d", "4: e", "5: abort 7/1", "7: commit 8/0"];
    assert_eq!(lines(&partition).unwrap(), expected);
}

#[test]
fn a_batch_that_cannot_be_understood_ends_a_replay_with_its_offset() {
    type IsExpected = fn(&ReplayFault) -> bool;
    let cases: [(Vec<u8>, IsExpected); 3] = [
        (stored(1, None, TRANSACTIONAL, &[message("b", 1)]), |fault| matches!(fault, ReplayFault::NoProducer)),
        (stored(1, None, CONTROL, &control(1)), |fault| matches!(fault, ReplayFault::NoProducer)),
        (stored(1, Some((7, 0)), CONTROL, &[message("no key", 1)]), |fault| matches!(fault, ReplayFault::Record(_))),
    ];
    for (second, is_expected) in cases {
        let mut bench = Bench::new();
        let (_dir, partition) = holding(&mut bench, &[stored(0, None, 0, &[message("a", 1)]), second]);
        match lines(&partition) {
            Err(LogError::NotReplayable { offset: Offset(1), fault, .. }) if is_expected(&fault) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_partition_that_is_damaged_or_deleted_is_not_replayed_in_part() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    settle(&partition, "a").await;
    bench.disk.rot(Path::new(LOG), 64, 0xff);
    assert!(matches!(lines(&partition), Err(LogError::NotReplayable { offset: Offset(0), .. })));
    dir.remove(&partition).unwrap();
    assert!(matches!(lines(&partition), Err(LogError::Deleted { .. })));
}
