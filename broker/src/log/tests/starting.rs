//! What a start reads: snapshots and the ends of segments, not whole logs; and that it knows as much as if it had.

use std::path::Path;

use super::*;
use crate::log::error::LogError;
use crate::log::io::Disk;
use crate::log::sync::registry::Points;

const BATCHES: i32 = 200;

/// A partition of many segments, batch `n` of producer 5 at offset `n`, in one of three states.
fn many_segments(bench: &mut Bench, stop: Stop) {
    let dir = bench.open();
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    for n in 0..BATCHES {
        partition.append(stamped(&n.to_string(), 5, n), Origin::Client).placed().unwrap();
    }
    futures::executor::block_on(partition.durable(Offset(i64::from(BATCHES)))).unwrap();
    if stop == Stop::Clean {
        dir.close().unwrap();
    } else {
        dir.registry.write_recovery_points(Points::All).unwrap();
    }
    drop((dir, partition));
    bench.kill();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Clean,
    Killed,
}

fn snapshots(bench: &Bench) -> Vec<String> {
    bench.names("/data/t-0").into_iter().filter(|name| name.ends_with(".snapshot")).collect()
}

/// The last five batches are answered as duplicates with their offsets, the next one is taken.
fn knows_its_producer(partition: &Arc<Partition>) {
    for n in BATCHES - 5..BATCHES {
        let again = partition.append(stamped(&n.to_string(), 5, n), Origin::Client).placed().cloned().unwrap();
        assert!(again.duplicate);
        assert_eq!((again.base_offset, again.last_offset), (Offset(i64::from(n)), Offset(i64::from(n))));
    }
    assert!(partition.append(stamped("gap", 5, BATCHES + 1), Origin::Client).placed().is_err());
    let next = partition.append(stamped("next", 5, BATCHES), Origin::Client).placed().cloned().unwrap();
    assert_eq!(next.base_offset, Offset(i64::from(BATCHES)));
}

#[test]
fn a_start_reads_the_ends_of_segments_and_knows_all_producers() {
    for stop in [Stop::Clean, Stop::Killed] {
        let mut bench = Bench::new();
        many_segments(&mut bench, stop);
        let logs: Vec<String> = bench.names("/data/t-0").into_iter().filter(|name| name.ends_with(".log")).collect();
        assert!(logs.len() > 20);
        // A header in the middle of the first segment: a walk would stumble over it.
        bench.disk.rot(Path::new("/data/t-0/00000000000000000000.log"), 16, 9);
        let dir = bench.open();
        let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
        partition.usable().unwrap();
        assert_eq!(partition.offsets().leo, Offset(i64::from(BATCHES)), "{stop:?}");
        assert!(matches!(partition.read(Offset(0), 10), Err(LogError::Corrupt { .. })), "found when it is read");
        assert_eq!(partition.read(Offset(190), 1_000_000).unwrap()[7], 190);
        knows_its_producer(&partition);
    }
}

#[test]
fn a_large_log_costs_a_start_no_more_than_its_ends() {
    let mut bench = Bench::new();
    let value = "x".repeat(1_000);
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), config()).unwrap();
        for n in 0..1_000 {
            partition.append(stamped(&value, 5, n), Origin::Client).placed().unwrap();
        }
        dir.close().unwrap();
    }
    bench.kill();
    let dir = bench.open();
    let before = bench.disk.bytes_read();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    assert_eq!(partition.offsets().hw, Offset(1_000));
    let read = bench.disk.bytes_read() - before;
    assert!(read < 20_000, "{read} bytes of {}", bench.len("/data/t-0/00000000000000000000.log"));
    // Entries go on where they left off: the index is what one life would have made of it.
    for n in 1_000..1_200 {
        partition.append(stamped(&value, 5, n), Origin::Client).placed().unwrap();
    }
    dir.close().unwrap();
    let index = bench.disk.bytes(Path::new("/data/t-0/00000000000000000000.index")).unwrap();
    bench.disk.unlink(Path::new("/data/t-0/00000000000000000000.index")).unwrap();
    bench.kill();
    let dir = bench.open();
    dir.open_existing(ident("t"), config()).unwrap().usable().unwrap();
    assert_eq!(bench.disk.bytes(Path::new("/data/t-0/00000000000000000000.index")).unwrap(), index);
}

#[test]
fn a_damaged_or_missing_snapshot_costs_a_walk_and_nothing_else() {
    for stop in [Stop::Clean, Stop::Killed] {
        for spoil in [|bytes: &mut Vec<u8>| bytes[20] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(9), Vec::clear] {
            let mut bench = Bench::new();
            many_segments(&mut bench, stop);
            for name in snapshots(&bench) {
                let path = Path::new("/data/t-0").join(name);
                let mut bytes = bench.disk.bytes(&path).unwrap();
                spoil(&mut bytes);
                bench.disk.create(&path).unwrap().write_at(&bytes, b"", 0).unwrap();
            }
            let dir = bench.open();
            let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
            assert_eq!(values(&partition).len(), usize::try_from(BATCHES).unwrap());
            knows_its_producer(&partition);
        }
    }
}

#[test]
fn a_snapshot_above_the_recovery_point_is_not_believed() {
    let mut bench = Bench::new();
    many_segments(&mut bench, Stop::Killed);
    bench.disk.unlink(Path::new("/data/recovery-point-offset-checkpoint")).unwrap();
    let last = snapshots(&bench).pop().unwrap();
    let log = Path::new("/data/t-0").join(last.replace("snapshot", "log"));
    let before: Vec<String> = bench.names("/data/t-0").into_iter().filter(|name| name.ends_with(".log")).collect();
    let second_last = Path::new("/data/t-0").join(&before[before.len() - 2]);
    bench.disk.rot(&second_last, 70, 1);
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    partition.usable().unwrap();
    assert!(partition.offsets().leo < Offset(i64::from(BATCHES)));
    assert!(bench.disk.bytes(&log).is_none(), "set aside");
    // What was cut with its batch is no duplicate any more.
    let end = i32::try_from(partition.offsets().leo.0).unwrap();
    let appended = partition.append(stamped("again", 5, end), Origin::Client).placed().cloned().unwrap();
    assert!(!appended.duplicate && appended.base_offset == Offset(i64::from(end)));
    assert!(snapshots(&bench).iter().all(|name| *name <= format!("{end:020}.snapshot")));
}

#[test]
fn one_snapshot_a_segment_and_one_of_the_last_stop_are_kept() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        dir.create(ident("t"), config()).unwrap();
        dir.close().unwrap();
    }
    assert!(snapshots(&bench).is_empty(), "nothing to say of an empty log");
    for life in 0..3 {
        bench.kill();
        let dir = bench.open();
        let partition = dir.open_existing(ident("t"), config()).unwrap();
        partition.append(stamped("x", 5, life), Origin::Client).placed().unwrap();
        dir.close().unwrap();
        assert_eq!(snapshots(&bench), [format!("{:020}.snapshot", life + 1)]);
    }
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    for n in 3..12 {
        partition.append(stamped("x", 5, n), Origin::Client).placed().unwrap();
    }
    dir.close().unwrap();
    let bases = bench.names("/data/t-0").into_iter().filter(|name| name.ends_with(".log"));
    let mut expected: Vec<String> = bases.skip(1).map(|name| name.replace("log", "snapshot")).collect();
    expected.push(format!("{:020}.snapshot", 12));
    assert_eq!(snapshots(&bench), expected);
}
