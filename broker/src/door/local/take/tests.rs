//! What is taken of batches, what is told in its place, and what that costs, by bytes of our own making.

use bytes::Bytes;

use super::*;
use crate::context::Source;
use crate::ids::{LeaderEpoch, TimestampMs};
use crate::memory::Budget;
use crate::record::{Header, Message, build};

fn message(value: impl Into<Bytes>) -> Message {
    Message { value: Some(value.into()), ..Message::default() }
}

fn of_messages(base: i64, messages: &[Message], compression: Compression) -> Vec<u8> {
    let built = build(messages, TimestampMs(1), compression, None).unwrap();
    let stamped = built.stamp(Offset(base), LeaderEpoch(0), None);
    [&stamped.head[..], &stamped.body[..]].concat()
}

fn mend(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn batch(base: i64, values: &[&'static str], control: bool) -> Vec<u8> {
    let messages: Vec<_> = values.iter().map(|value| message(*value)).collect();
    let mut bytes = of_messages(base, &messages, Compression::Gzip);
    if control {
        bytes[22] |= 0x20;
        mend(&mut bytes);
    }
    bytes
}

fn room(records: usize, bytes: usize) -> Room {
    Room { records, bytes, empty: true }
}

/// With this much memory; what was taken, or why not, and what is held then.
fn take_within(log: &[u8], from: i64, room: Room, memory: u64) -> (Result<Taken, DoorError>, usize) {
    let budget = Budget::new(memory);
    let mut taking = Taking::new(room, Held::new(&budget, Source::Http, "a test"), usize::MAX);
    let log = Batches::Here(Bytes::copy_from_slice(log));
    let taken = taking.take(&log, Offset(from)).expect("there is time");
    (taken, budget.max() - budget.free())
}

fn take(log: &[u8], from: i64, room: Room) -> Taken {
    take_within(log, from, room, 256 << 20).0.expect("taken")
}

fn offsets(taken: &Taken) -> Vec<i64> {
    taken.records.iter().map(|record| record.offset.0).collect()
}

fn told(taken: &Taken) -> Vec<(i64, i64)> {
    taken.unreadable.iter().map(|unreadable| (unreadable.offset.0, unreadable.next.0)).collect()
}

#[test]
fn records_before_the_first_wanted_and_control_batches_are_passed_over() {
    let log = [batch(0, &["a", "b", "c"], false), batch(3, &["marker"], true), batch(4, &["d"], false)].concat();
    let taken = take(&log, 1, room(10, 100));
    assert_eq!((offsets(&taken), taken.next), (vec![1, 2, 4], Offset(5)));
}

#[test]
fn a_log_of_control_batches_moves_next_behind_them() {
    let taken = take(&batch(3, &["marker"], true), 3, room(10, 100));
    assert_eq!((offsets(&taken), taken.next), (vec![], Offset(4)));
}

#[test]
fn the_first_record_goes_out_whatever_its_size_and_limits_stop_inside_a_batch() {
    let log = batch(0, &["large record", "x", "y"], false);
    let one = take(&log, 0, room(10, 3));
    assert_eq!((offsets(&one), one.next), (vec![0], Offset(1)));
    let two = take(&log, 0, room(2, 1_000));
    assert_eq!((offsets(&two), two.next), (vec![0, 1], Offset(2)));
}

#[test]
fn partitions_share_the_limits_and_the_first_record_of_the_answer_is_the_one_that_always_fits() {
    let log = Batches::Here(batch(0, &["large record", "x"], false).into());
    let budget = Budget::new(64 << 20);
    let mut taking = Taking::new(room(2, 3), Held::new(&budget, Source::Http, "a test"), usize::MAX);
    let first = taking.take(&log, Offset(0)).unwrap().unwrap();
    let second = taking.take(&log, Offset(0)).unwrap().unwrap();
    assert_eq!((offsets(&first), first.next), (vec![0], Offset(1)));
    assert_eq!((offsets(&second), second.next), (vec![], Offset(0)), "not passed over: left for the next read");
}

#[test]
fn a_batch_that_cannot_be_opened_is_told_in_its_place_and_the_reader_goes_on() {
    let mut damaged = batch(1, &["b", "b"], false);
    let at = damaged.len() - 12;
    damaged[at] ^= 0xff;
    mend(&mut damaged);
    let log = [batch(0, &["a"], false), damaged, batch(3, &["c"], false)].concat();
    let taken = take(&log, 0, room(10, 1_000));
    assert_eq!(taken.next, Offset(4));
    let places: Vec<i64> = offsets(&taken);
    assert!(places.first() == Some(&0) && places.last() == Some(&3), "{places:?}");
    let (offset, next) = told(&taken)[0];
    assert!((1..3).contains(&offset) && next == 3, "the rest of the batch");
}

#[test]
fn a_batch_whose_checksum_is_wrong_is_an_error_only_where_it_is_met_first() {
    let mut damaged = batch(1, &["b"], false);
    let at = damaged.len() - 12;
    damaged[at] ^= 0xff;
    let log = [batch(0, &["a"], false), damaged].concat();
    assert_eq!(offsets(&take(&log, 0, room(10, 100))), [0]);
    let met = take_within(&log[batch(0, &["a"], false).len()..], 1, room(10, 100), 256 << 20).0;
    assert!(matches!(met, Err(DoorError::Record(RecordFailure::Unreadable { .. }))), "{met:?}");
}

#[test]
fn a_record_larger_than_is_read_at_once_is_told_in_its_place_and_costs_a_window() {
    let large = message(vec![0; 60 << 20]);
    for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd, Compression::Snappy] {
        let log = of_messages(0, &[message("a"), large.clone(), message("z")], compression);
        let (taken, held) = take_within(&log, 0, room(10, 1_000), 256 << 20);
        let taken = taken.unwrap();
        assert_eq!(
            (offsets(&taken), told(&taken), taken.next),
            (vec![0, 2], vec![(1, 2)], Offset(3)),
            "{compression:?}"
        );
        assert!(held < 10_000, "{compression:?}: {held} bytes are still held for two small records");
    }
}

#[test]
fn batches_that_open_large_never_need_more_than_a_window_and_a_record() {
    // 10 batches of 20 records of a MiB of zeros: 200 MiB.
    let messages: Vec<_> = (0..20).map(|_| message(vec![0; 1 << 20])).collect();
    for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd, Compression::Snappy] {
        let log: Vec<u8> = (0..10).flat_map(|n| of_messages(20 * n, &messages, compression)).collect();
        let (taken, held) = take_within(&log, 0, room(10_000, 2 << 20), 256 << 20);
        let taken = taken.unwrap();
        assert_eq!(offsets(&taken), [0], "the second does not fit with its length fields");
        assert!((1 << 20..3 << 20).contains(&held), "{compression:?}: {held}");
    }
}

#[test]
fn empty_headers_count() {
    let header = Header { key: String::new(), value: None };
    let one = Message { headers: vec![header; 20_000], ..message("x") };
    let log = of_messages(0, &vec![one; 300], Compression::Zstd);
    assert!(log.len() < 10_000);
    let (taken, held) = take_within(&log, 0, room(10_000, 1 << 20), 256 << 20);
    let taken = taken.unwrap();
    assert_eq!(offsets(&taken), [0], "a MiB is full with the first one's");
    assert!(held >= 20_000 * size_of::<Header>(), "{held}");
}

#[test]
fn without_memory_the_read_is_refused_and_with_some_it_goes_on() {
    let messages: Vec<_> = (0..8).map(|_| message(vec![7; 1 << 20])).collect();
    let log = of_messages(0, &messages, Compression::Gzip);
    let budget = Budget::new(256 << 20);
    let takes_none = || {
        let mut others = Vec::new();
        while let Ok(one) = budget.work(Source::Http, "others", 256 << 10) {
            others.push(one);
        }
        while let Ok(one) = budget.work(Source::Http, "others", 2 << 20) {
            others.push(one);
        }
        while let Ok(one) = budget.work(Source::Http, "others", 1 << 10) {
            others.push(one);
        }
        let mut taking = Taking::new(room(10, 100 << 20), Held::new(&budget, Source::Http, "a test"), usize::MAX);
        taking.take(&Batches::Here(log.clone().into()), Offset(0)).unwrap()
    };
    assert!(matches!(takes_none(), Err(DoorError::OverBudget(_))));
    assert_eq!(budget.free(), budget.max(), "what was refused holds nothing");
    let all = takes_all(&budget, &log);
    assert!(!all.records.is_empty());
    assert_eq!(all.next, Offset(all.records.len() as i64));
}

/// The window fits and the record does not: an answer that is empty and says `next` is where it began would be asked for again
/// for ever.
#[test]
fn a_record_that_takes_more_than_memory_has_is_told_in_its_place_or_refused_while_others_hold_it() {
    let header = Header { key: String::new(), value: None };
    let many = Message { headers: vec![header; 99_000], ..message("x") };
    let log = of_messages(0, &[many, message("y")], Compression::Gzip);
    let mut met = [false; 2];
    for mib in 8..128 {
        let (taken, _) = take_within(&log, 0, room(10, 100 << 20), mib << 20);
        let Ok(taken) = taken else { continue };
        assert!(taken.next > Offset(0), "{mib} MiB: {taken:?}");
        met[usize::from(taken.unreadable.is_empty())] = true;
    }
    assert_eq!(met, [true, true], "told with little memory, taken with more");
}

/// What the first records hold is not the next batch's fault.
#[test]
fn a_batch_that_finds_no_memory_behind_records_is_left_to_the_next_read_and_never_passed_over() {
    let small: Vec<_> = (0..7_000).map(|_| Message { headers: vec![header()], ..message(vec![b'a'; 100]) }).collect();
    let noise = (0..1_000_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect::<Vec<_>>();
    let large = of_messages(7_000, &[message(noise), message("z")], Compression::Zstd);
    let log = [of_messages(0, &small, Compression::None), large.clone()].concat();
    let mut cut = false;
    for mib in (32..256).step_by(4) {
        let alone = take_within(&large, 7_000, room(10_000, 8 << 20), mib << 20).0;
        if !alone.is_ok_and(|alone| alone.unreadable.is_empty()) {
            continue;
        }
        let Ok(taken) = take_within(&log, 0, room(10_000, 8 << 20), mib << 20).0 else { continue };
        assert!(taken.unreadable.is_empty() && taken.next == Offset(taken.records.len() as i64), "{mib} MiB");
        cut |= taken.next == Offset(7_000);
    }
    assert!(cut, "with some budget the second batch does not fit behind the first");
}

#[test]
fn a_range_that_ends_inside_of_a_header_ends_before_it() {
    let mut log = batch(3, &["marker"], true);
    log.extend_from_slice(&batch(4, &["d"], false)[..40]);
    let taken = take(&log, 3, room(10, 100));
    assert_eq!((offsets(&taken), taken.next), (vec![], Offset(4)));
}

fn header() -> Header {
    Header { key: "k".to_owned(), value: None }
}

fn takes_all(budget: &Budget, log: &[u8]) -> Taken {
    let mut taking = Taking::new(room(10, 100 << 20), Held::new(budget, Source::Http, "a test"), usize::MAX);
    taking.take(&Batches::Here(Bytes::copy_from_slice(log)), Offset(0)).unwrap().unwrap()
}

#[test]
fn what_takes_long_is_left_to_the_queue_of_long_ones() {
    let log = of_messages(0, &[message(vec![0; 8 << 20])], Compression::Zstd);
    let budget = Budget::new(64 << 20);
    let mut short = Taking::new(room(10, 100), Held::new(&budget, Source::Http, "a test"), 1 << 20);
    assert!(short.take(&Batches::Here(log.into()), Offset(0)).is_err());
}

#[test]
fn only_what_is_small_and_not_compressed_is_light() {
    let light = |log: Vec<u8>| Batches::Here(log.into()).is_light();
    let plain = of_messages(0, &[message("a")], Compression::None);
    assert!(light(plain.clone()));
    assert!(!light([plain, batch(1, &["b"], false)].concat()));
    assert!(!light(of_messages(0, &[message(vec![1; 70_000])], Compression::None)));
}
