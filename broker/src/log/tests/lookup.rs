//! Reads at every offset and in every size, and offsets by time.

use super::*;
use crate::log::error::LogError;
use crate::log::read::locate::Patience;

#[test]
fn a_read_begins_with_the_batch_that_holds_the_offset_and_never_skips() {
    let bench = Bench::new();
    let dir = bench.open();
    let config = LogConfig { sync: false, segment_bytes: 700, index_interval_bytes: 150, ..config() };
    let partition = dir.create(ident("t"), config).unwrap();
    let mut bases = Vec::new();
    for n in 0..60 {
        let records: Vec<String> = (0..=n % 4).map(|of| format!("{n}/{of}/{}", "x".repeat(n % 7 * 10))).collect();
        let records: Vec<(&str, i64)> = records.iter().map(|value| (value.as_str(), 1)).collect();
        bases.push(partition.append(batch_at(&records), Origin::Client).placed().cloned().unwrap());
    }
    let end = partition.offsets().hw;
    for appended in &bases {
        for offset in appended.base_offset.0..=appended.last_offset.0 {
            for max_bytes in [0, 1, 61, 200, 100_000] {
                let slice = partition.read(Offset(offset), max_bytes).unwrap();
                let first = check_stored(slice.clone()).unwrap();
                assert_eq!(first.header().base_offset, appended.base_offset, "at {offset}");
                assert!(slice.len() <= max_bytes.max(first.header().size), "{} bytes for {max_bytes}", slice.len());
            }
        }
    }
    for max_bytes in [0, 300, 100_000] {
        let offsets: Vec<i64> = read_all(&partition, max_bytes).into_iter().map(|(offset, ..)| offset).collect();
        assert_eq!(offsets, (0..end.0).collect::<Vec<_>>(), "in pieces of {max_bytes}");
    }
    assert!(partition.read(end, 100).unwrap().is_empty());
    let beyond = partition.read(Offset(end.0 + 1), 100);
    assert!(matches!(beyond, Err(LogError::OutOfRange { log_start: Offset(0), .. })));
}

#[test]
fn a_batch_larger_than_the_limit_is_returned_whole() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), LogConfig { sync: false, ..config() }).unwrap();
    add(&partition, &"x".repeat(100_000));
    add(&partition, "small");
    assert!(partition.read(Offset(0), 10).unwrap().len() > 100_000);
    assert_eq!(values(&partition).len(), 2);
}

/// What Kafka's definition says, over a plain list of (offset, timestamp).
fn by_hand(records: &[(i64, i64)], at: i64) -> Option<i64> {
    records.iter().find(|(_, timestamp)| *timestamp >= at).map(|(offset, _)| *offset)
}

#[test]
fn offsets_by_time_are_those_of_the_first_record_at_or_after_it() {
    let bench = Bench::new();
    let dir = bench.open();
    let config = LogConfig { sync: false, segment_bytes: 600, index_interval_bytes: 150, ..config() };
    let partition = dir.create(ident("t"), config.clone()).unwrap();
    assert_eq!(partition.find_time(TimestampMs(0)).unwrap(), None);
    assert_eq!(partition.find_max_time().unwrap(), None);
    let mut dice = crate::log::io::faulty::Dice::new(5);
    let mut all = Vec::new();
    for n in 0..80 {
        let times: Vec<i64> = (0..3).map(|_| n * 10 + i64::try_from(dice.roll(60)).unwrap()).collect();
        let records: Vec<(&str, i64)> = times.iter().map(|time| ("v", *time)).collect();
        let base = partition.append(batch_at(&records), Origin::Client).placed().unwrap().base_offset.0;
        all.extend(times.iter().zip(base..).map(|(time, offset)| (offset, *time)));
    }
    let check = |partition: &Partition| {
        for at in (-1..900).step_by(7) {
            let found = partition.find_time(TimestampMs(at)).unwrap();
            assert_eq!(found.map(|found| found.offset.0), by_hand(&all, at), "at {at}");
        }
        let largest = all.iter().map(|(_, time)| *time).max().unwrap();
        let found = partition.find_max_time().unwrap().unwrap();
        assert_eq!((found.offset.0, found.timestamp.0), (by_hand(&all, largest).unwrap(), largest));
    };
    check(&partition);
    dir.close().unwrap();
    drop(dir);
    let dir = bench.open();
    check(&dir.open_existing(ident("t"), config).unwrap());
}

#[tokio::test]
async fn the_largest_timestamp_is_looked_for_below_hw_only() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), LogConfig { index_interval_bytes: 1, ..config() }).unwrap();
    for timestamp in [10, 30, 20] {
        bounded_wait(partition.append(batch_at(&[("v", timestamp)]), Origin::Client).durable()).await.unwrap();
    }
    bench.disk.hold_syncs(true);
    for timestamp in [40, 50] {
        partition.append(batch_at(&[("v", timestamp)]), Origin::Client).placed().unwrap();
    }
    let found = partition.find_max_time().unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (Offset(1), TimestampMs(30)));
    assert_eq!(partition.find_time(TimestampMs(31)).unwrap(), None);
    bench.disk.hold_syncs(false);
    partition.durable(Offset(5)).await.unwrap();
    assert_eq!(partition.find_max_time().unwrap().unwrap().offset, Offset(4));
    assert_eq!(partition.find_time(TimestampMs(31)).unwrap().unwrap().offset, Offset(3));
}

#[test]
fn under_log_append_time_every_record_of_a_batch_has_the_batchs_time() {
    let bench = Bench::new();
    let dir = bench.open();
    let config = LogConfig { sync: false, timestamp_type: TimestampType::LogAppendTime, ..config() };
    let partition = dir.create(ident("t"), config).unwrap();
    partition.append(batch_at(&[("a", 1), ("b", 99)]), Origin::Client).placed().unwrap();
    bench.clock.advance_ms(10);
    partition.append(batch_at(&[("c", 1)]), Origin::Client).placed().unwrap();
    let find = |at| partition.find_time(TimestampMs(at)).unwrap().map(|found| found.offset.0);
    assert_eq!([find(0), find(1_000_000), find(1_000_001), find(1_000_011)], [Some(0), Some(0), Some(2), None]);
    assert_eq!(partition.find_max_time().unwrap().unwrap().offset, Offset(2));
}

/// What compaction leaves of a batch whose records are all superseded: the header, with count 0.
fn emptied(batch: &[u8]) -> Vec<u8> {
    let mut bytes = batch[..61].to_vec();
    bytes[8..12].copy_from_slice(&49i32.to_be_bytes());
    bytes[57..61].copy_from_slice(&0i32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn a_read_never_ends_at_empty_batches_when_a_full_one_follows() {
    let mut bench = Bench::new();
    let path = PathBuf::from("/data/t-0/00000000000000000000.log");
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), config()).unwrap();
        for value in ["a", "b", "c", "d"] {
            add(&partition, value);
        }
        dir.close().unwrap();
    }
    let bytes = bench.disk.bytes(&path).unwrap();
    let size = bytes.len() / 4;
    let batches: Vec<&[u8]> = bytes.chunks(size).collect();
    let compacted = [emptied(batches[0]), emptied(batches[1]), batches[2].to_vec(), emptied(batches[3])].concat();
    {
        use crate::log::io::Disk;
        bench.disk.create(&path).unwrap().write_at(&compacted, b"", 0).unwrap();
        bench.disk.unlink(&PathBuf::from("/data/recovery-point-offset-checkpoint")).unwrap();
    }
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    for from in 0..=2 {
        for max_bytes in [0, 1, 61, 10_000] {
            let records = partition.read(Offset(from), max_bytes).unwrap();
            assert_eq!(check_stored(records.slice(..size)).unwrap().header().base_offset, Offset(2), "from {from}");
        }
    }
    // At the end of the log there is nothing else: the reader gets past it.
    let last = partition.read(Offset(3), 0).unwrap();
    assert_eq!(check_stored(last).unwrap().header().next_offset(), Offset(4));
    assert!(partition.read(Offset(4), 0).unwrap().is_empty());
}

#[test]
fn a_range_begins_at_the_batch_that_holds_the_offset_and_stays_below_the_high_watermark() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    for n in 0..30 {
        partition.append(batch_at(&[("a", n), ("b", n)]), Origin::Client).placed().unwrap();
    }
    futures::executor::block_on(partition.durable(Offset(60))).unwrap();
    for from in 0..60 {
        for max_bytes in [0, 1, 200, 1_000_000] {
            let located = partition.locate(Offset(from), max_bytes, Patience::Wait).unwrap().unwrap();
            let slice = located.slice.unwrap();
            let bytes = Bytes::from(slice.read(Patience::Wait).unwrap().unwrap());
            let first = check_stored(bytes.clone()).unwrap();
            assert_eq!(first.header().base_offset, Offset(from - from % 2), "the batch that holds it");
            assert!(slice.len() == first.header().size || slice.len() <= max_bytes);
            assert!(bytes.len() <= 300, "within one segment");
        }
    }
    assert!(partition.locate(Offset(60), 100, Patience::Wait).unwrap().unwrap().slice.is_none());
    // A sealed segment's index is not opened for somebody who may not wait; once it is, memory is enough.
    drop(partition);
    dir.close().unwrap();
    let mut bench = bench;
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    assert!(partition.locate(Offset(0), 100, Patience::Cached).unwrap().is_none());
    assert!(partition.locate(Offset(0), 100, Patience::Wait).unwrap().is_some());
    assert!(partition.locate(Offset(0), 100, Patience::Cached).unwrap().unwrap().slice.is_some());
}
