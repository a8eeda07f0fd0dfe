//! The decisions about producers as tables: what came before, what comes, what is said. Recovery's use of them is tested
//! with the logs.

use super::*;
use crate::ids::{LeaderEpoch, TimestampMs};
use crate::record::{BatchHeader, Compression, TimestampType};

const STREAM: i64 = RESERVED_PRODUCER_IDS.0 + 7;

fn stamp(id: i64, epoch: i16, first: i32) -> ProducerStamp {
    ProducerStamp { id: ProducerId(id), epoch: ProducerEpoch(epoch), first: Sequence(first) }
}

fn header(stamp: ProducerStamp, count: i32, base: i64) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(base),
        size: 100,
        leader_epoch: LeaderEpoch(0),
        crc: 0,
        compression: Compression::None,
        timestamp_type: TimestampType::CreateTime,
        transactional: false,
        control: false,
        delete_horizon: false,
        last_offset_delta: count - 1,
        base_timestamp: TimestampMs(0),
        max_timestamp: TimestampMs(0),
        producer: Some(stamp),
        record_count: count,
    }
}

/// Batches of ten records each by one producer, the first at offset 0.
fn wrote(id: i64, epoch: i16, firsts: &[i32]) -> Producers {
    let mut producers = Producers::default();
    for (at, first) in firsts.iter().enumerate() {
        producers.record(&header(stamp(id, epoch, *first), 10, at as i64 * 10), None, TimestampMs(0));
    }
    producers
}

fn duplicate_at(verdict: Result<Verdict, Refused>) -> i64 {
    match verdict.expect("a duplicate") {
        Verdict::Duplicate { base_offset, .. } => base_offset.0,
        Verdict::Append => panic!("it would be written twice"),
    }
}

#[test]
fn each_of_the_last_five_batches_is_known_with_its_first_offset() {
    let producers = wrote(1, 0, &[0, 10, 20, 30, 40, 50]);
    for (first, offset) in [(10, 10), (20, 20), (30, 30), (40, 40), (50, 50)] {
        assert_eq!(duplicate_at(producers.check(stamp(1, 0, first), 10, Origin::Client)), offset);
    }
    let Refused { error, reveals } = producers.check(stamp(1, 0, 0), 10, Origin::Client).unwrap_err();
    assert!(
        matches!(error, AppendError::DuplicateSequence { .. }),
        "the sixth is there, its place is forgotten: {error}"
    );
    assert_eq!(reveals, Some(Offset(60)), "rule 2: it tells of what may not be durable yet");
}

#[test]
fn a_producer_has_memory_for_the_batches_that_it_wrote_and_for_five_at_most() {
    for (firsts, room) in [(&[0][..], 1), (&[0, 3], 2), (&[0, 3, 6, 9, 12, 15, 18], PRODUCER_BATCHES_KEPT)] {
        assert_eq!(wrote(1, 0, firsts).known[&ProducerId(1)].batches.capacity(), room, "{firsts:?}");
    }
}

#[test]
fn the_next_sequence_is_taken_and_a_gap_names_what_was_expected() {
    let producers = wrote(1, 0, &[0, 10]);
    assert_eq!(producers.check(stamp(1, 0, 20), 5, Origin::Client).unwrap(), Verdict::Append);
    let Refused { error, reveals } = producers.check(stamp(1, 0, 30), 5, Origin::Client).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrderSequence { expected: Sequence(20), .. }), "{error}");
    assert_eq!(reveals, Some(Offset(20)));
}

#[test]
fn sequences_wrap_from_the_largest_number_to_zero() {
    let producers = wrote(1, 0, &[i32::MAX - 9]);
    assert_eq!(producers.check(stamp(1, 0, 0), 5, Origin::Client).unwrap(), Verdict::Append);
    assert_eq!(duplicate_at(producers.check(stamp(1, 0, i32::MAX - 9), 10, Origin::Client)), 0);
}

#[test]
fn a_new_epoch_begins_at_sequence_zero_and_fences_the_old_one() {
    let mut producers = wrote(1, 0, &[0]);
    let Refused { error, .. } = producers.check(stamp(1, 1, 10), 1, Origin::Client).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrderSequence { expected: Sequence(0), .. }), "{error}");
    assert_eq!(producers.check(stamp(1, 1, 0), 1, Origin::Client).unwrap(), Verdict::Append);
    producers.record(&header(stamp(1, 1, 0), 1, 10), None, TimestampMs(0));
    let Refused { error, reveals } = producers.check(stamp(1, 0, 10), 1, Origin::Client).unwrap_err();
    assert!(matches!(error, AppendError::StaleProducerEpoch { current: ProducerEpoch(1), .. }), "{error}");
    assert_eq!(reveals, Some(Offset(11)));
}

#[test]
fn a_producer_that_was_forgotten_goes_on_where_it_is() {
    let mut producers = wrote(1, 0, &[0]);
    producers.record(&header(stamp(2, 0, 0), 1, 10), None, TimestampMs(500));
    producers.expire(TimestampMs(999), 1_000);
    let Refused { error, .. } = producers.check(stamp(1, 0, 500), 1, Origin::Client).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrderSequence { .. }), "not idle for long enough: {error}");
    producers.expire(TimestampMs(1_000), 1_000);
    let Refused { error, .. } = producers.check(stamp(2, 0, 500), 1, Origin::Client).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrderSequence { .. }), "this one has written since: {error}");
    assert_eq!(producers.check(stamp(1, 0, 500), 1, Origin::Client).unwrap(), Verdict::Append, "KIP-360");
}

#[test]
fn rule_18_a_stream_is_taken_at_exactly_last_plus_one() {
    let producers = wrote(STREAM, 0, &[0, 10]);
    assert_eq!(producers.check(stamp(STREAM, 0, 20), 1, Origin::Stream).unwrap(), Verdict::Append);
    assert_eq!(duplicate_at(producers.check(stamp(STREAM, 0, 10), 10, Origin::Stream)), 10);
    assert_eq!(duplicate_at(producers.check(stamp(STREAM, 0, 13), 2, Origin::Stream)), 13, "part of a batch");
    let Refused { error, .. } = producers.check(stamp(STREAM, 0, 21), 1, Origin::Stream).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrderSequence { expected: Sequence(20), .. }), "{error}");
    let Refused { error, .. } = Producers::default().check(stamp(STREAM, 0, 1), 1, Origin::Stream).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrderSequence { expected: Sequence(0), .. }), "new here: {error}");
}

#[test]
fn rule_19_streams_are_not_for_clients_and_are_never_forgotten() {
    let mut producers = wrote(STREAM, 0, &[0]);
    let Refused { error, .. } = producers.check(stamp(STREAM, 0, 10), 1, Origin::Client).unwrap_err();
    assert!(matches!(error, AppendError::ReservedProducerId { .. }), "{error}");
    producers.expire(TimestampMs(i64::MAX), 1);
    let last = producers.stream_last(ProducerId(STREAM)).expect("kept for ever");
    assert_eq!((last.sequence, last.offset), (Sequence(9), Offset(9)));
}

#[test]
fn rule_18_a_repeated_step_may_be_cut_into_other_batches() {
    let producers = wrote(STREAM, 0, &[0, 10, 20]);
    // The records count, not the batches: sequences 12 to 14 are in the second batch, at offsets 12 to 14.
    let part = producers.check(stamp(STREAM, 0, 12), 3, Origin::Stream);
    assert!(
        matches!(
            part,
            Ok(Verdict::Duplicate { base_offset: Offset(12), last_offset: Offset(14), durable_at: Offset(20), .. })
        ),
        "{part:?}"
    );
    // What lies across two of them was written too.
    let across = producers.check(stamp(STREAM, 0, 5), 10, Origin::Stream);
    assert!(
        matches!(across, Err(Refused { error: AppendError::DuplicateSequence { .. }, reveals: Some(Offset(30)) })),
        "{across:?}"
    );
    let beyond = producers.check(stamp(STREAM, 0, 25), 10, Origin::Stream);
    assert!(
        matches!(beyond, Err(Refused { error: AppendError::OutOfOrderSequence { expected: Sequence(30), .. }, .. })),
        "{beyond:?}"
    );
}

#[test]
fn what_came_before_the_first_batch_that_was_seen_is_not_called_written() {
    let producers = wrote(1, 0, &[500]);
    let early = producers.check(stamp(1, 0, 400), 10, Origin::Client);
    assert!(
        matches!(early, Err(Refused { error: AppendError::OutOfOrderSequence { expected: Sequence(510), .. }, .. })),
        "{early:?}"
    );
}

/// As many of them as may be, the first at time 0, one a millisecond.
fn full() -> Producers {
    let mut producers = Producers::default();
    for id in 0..PRODUCERS_PER_PARTITION_MAX as i64 {
        producers.record(&header(stamp(id, 0, 0), 1, id), None, TimestampMs(id));
    }
    producers
}

#[test]
fn where_there_is_no_room_who_wrote_lately_stays_and_newcomers_are_refused() {
    let mut producers = full();
    let now = TimestampMs(PRODUCER_IDLE_MS_MIN - 1);
    let newcomer = ProducerId(1 << 40);
    let Refused { error, reveals } = producers.admit(newcomer, Origin::Client, now).unwrap_err();
    assert!(matches!(error, AppendError::TooManyProducers { known: PRODUCERS_PER_PARTITION_MAX, .. }), "{error}");
    assert_eq!(reveals, None);
    assert_eq!(duplicate_at(producers.check(stamp(0, 0, 0), 1, Origin::Client)), 0, "nobody was forgotten");
    for (known, origin) in
        [(ProducerId(5), Origin::Client), (newcomer, Origin::Broker), (ProducerId(STREAM), Origin::Stream)]
    {
        assert!(producers.admit(known, origin, now).is_ok());
    }
    // The first hundred have been idle for so long that nobody tries their batches again.
    producers.admit(newcomer, Origin::Client, TimestampMs(PRODUCER_IDLE_MS_MIN + 99)).unwrap();
    assert_eq!(producers.known.len(), PRODUCERS_PER_PARTITION_MAX - 100);
    assert_eq!(duplicate_at(producers.check(stamp(100, 0, 0), 1, Origin::Client)), 100);
}

#[test]
fn when_all_partitions_together_are_full_each_still_has_its_share() {
    let all = AllProducers::default();
    let mut crowded = full();
    crowded.count_with(&all);
    assert_eq!(all.load(Ordering::Relaxed), PRODUCERS_PER_PARTITION_MAX);
    all.fetch_add(PRODUCERS_MAX - PRODUCERS_PER_PARTITION_MAX, Ordering::Relaxed);
    let mut quiet = Producers::default();
    quiet.count_with(&all);
    for id in 0..PRODUCERS_PER_PARTITION_MIN as i64 {
        quiet.admit(ProducerId(id), Origin::Client, TimestampMs(0)).unwrap();
        quiet.record(&header(stamp(id, 0, 0), 1, id), None, TimestampMs(0));
    }
    assert!(quiet.admit(ProducerId(1 << 40), Origin::Client, TimestampMs(0)).is_err());
    // What one partition forgets, or takes with it, is room for the others.
    drop(crowded);
    quiet.admit(ProducerId(1 << 40), Origin::Client, TimestampMs(PRODUCER_IDLE_MS_MIN - 1)).unwrap();
    drop(quiet);
    assert_eq!(all.load(Ordering::Relaxed), PRODUCERS_MAX - PRODUCERS_PER_PARTITION_MAX);
}
