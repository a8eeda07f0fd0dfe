//! Policy, timestamps, rolls, epochs (rule 5), streams (rules 18 and 19) and conditional appends.

use super::*;
use crate::log::error::{AppendError, ConditionalAppendError, LogError};
use crate::log::write::producers::RESERVED_PRODUCER_IDS;
use crate::record::{RecordError, check_produced};

fn refused(partition: &Arc<Partition>, batch: ProducedBatch, origin: Origin) -> AppendError {
    partition.append(batch, origin).placed().unwrap_err().clone()
}

#[test]
fn a_batch_that_is_larger_than_the_topic_takes_is_refused() {
    let bench = Bench::new();
    let dir = bench.open();
    let small = LogConfig { message_bytes_max: 200, ..config() };
    let partition = dir.create(ident("small"), small).unwrap();
    let large = batch(&"x".repeat(300));
    let error = refused(&partition, large, Origin::Client);
    assert!(matches!(error, AppendError::Record(RecordError::TooLarge { limit: 200, .. })), "{error}");
    assert_eq!(partition.offsets().leo, Offset(0));
}

#[test]
fn transactional_batches_of_clients_are_refused() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    let mut bytes = stamped("v", 5, 0).bytes().to_vec();
    bytes[22] |= 0x10;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let error = refused(&partition, check_produced(bytes.into(), 1_000).unwrap(), Origin::Client);
    assert!(error.to_string().contains("transactions are not supported yet"), "{error}");
}

#[tokio::test]
async fn append_time_never_goes_back_not_even_over_a_restart() {
    let mut bench = Bench::new();
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..config() };
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), config.clone()).unwrap();
        let first = settle(&partition, "a").await;
        assert_eq!(first.append_time, Some(TimestampMs(1_000_000)));
        bench.clock.advance_ms(-500);
        assert_eq!(settle(&partition, "b").await.append_time, Some(TimestampMs(1_000_000)));
    }
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config).unwrap();
    assert_eq!(settle(&partition, "c").await.append_time, Some(TimestampMs(1_000_000)));
    bench.clock.advance_ms(501);
    let last = settle(&partition, "d").await;
    assert_eq!(last.append_time, Some(TimestampMs(1_000_001)));
    let stored = check_stored(partition.read(last.base_offset, 1).unwrap()).unwrap();
    assert_eq!(stored.header().timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(records(&stored).unwrap()[0].timestamp, TimestampMs(1_000_001));
    assert_eq!(records(&stored).unwrap()[0].client_timestamp, TimestampMs(1_000));
}

#[test]
fn segments_roll_by_bytes_and_by_time() {
    let bench = Bench::new();
    let dir = bench.open();
    let size = batch("x").bytes().len() as u64;
    let by_bytes = dir.create(ident("bytes"), LogConfig { segment_bytes: 2 * size, ..config() }).unwrap();
    for _ in 0..5 {
        add(&by_bytes, "x");
    }
    let by_time = dir.create(ident("time"), LogConfig { segment_ms: 100, ..config() }).unwrap();
    for timestamp in [1_000, 1_100, 1_101, 900, 1_201, 1_202] {
        by_time.append(batch_at(&[("x", timestamp)]), Origin::Client).placed().unwrap();
    }
    let huge = dir.create(ident("huge"), LogConfig { segment_bytes: 10, ..config() }).unwrap();
    add(&huge, "larger than a segment");
    add(&huge, "another");
    dir.close().unwrap();
    let bases = |dir: &str| -> Vec<i64> {
        bench.names(dir).iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect()
    };
    assert_eq!(bases("/data/bytes-0"), [0, 2, 4]);
    assert_eq!(bases("/data/time-0"), [0, 2, 5], "more than 100 ms after the segment's first batch");
    assert_eq!(bases("/data/huge-0"), [0, 1]);
}

#[tokio::test]
async fn rule_5_the_term_is_every_partitions_epoch_and_its_entry_comes_with_the_first_append() {
    let mut bench = Bench::new();
    const EPOCHS: &str = "/data/t-0/leader-epoch-checkpoint";
    {
        let dir = bench.open();
        dir.begin_term(LeaderEpoch(3));
        let partition = dir.create(ident("t"), config()).unwrap();
        assert!(!bench.names("/data/t-0").contains(&"leader-epoch-checkpoint".to_owned()));
        assert_eq!(partition.current_epoch(), LeaderEpoch(3));
        settle(&partition, "a").await;
        assert_eq!(bench.text(EPOCHS), "0\n1\n3 0\n");
        settle(&partition, "b").await;
    }
    bench.kill();
    let dir = bench.open();
    dir.begin_term(LeaderEpoch(4));
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    assert_eq!(partition.epoch_end(LeaderEpoch(3)), Some((LeaderEpoch(3), Offset(2))));
    assert_eq!(partition.epoch_end(LeaderEpoch(4)), Some((LeaderEpoch(4), Offset(2))));
    assert_eq!(partition.epoch_end(LeaderEpoch(5)), None);
    assert_eq!(partition.epoch_at(Offset(1)), Some(LeaderEpoch(3)));
    assert_eq!(partition.epoch_at(Offset(2)), Some(LeaderEpoch(4)));
    settle(&partition, "c").await;
    assert_eq!(bench.text(EPOCHS), "0\n2\n3 0\n4 2\n");
    let epochs: Vec<i32> = read_all(&partition, 1_000).into_iter().map(|(_, epoch, _)| epoch).collect();
    assert_eq!(epochs, [3, 3, 4]);

    assert!(partition.check_epoch(None).is_ok());
    assert!(partition.check_epoch(Some(LeaderEpoch(4))).is_ok());
    assert!(matches!(partition.check_epoch(Some(LeaderEpoch(3))), Err(LogError::FencedEpoch { .. })));
    assert!(matches!(partition.check_epoch(Some(LeaderEpoch(5))), Err(LogError::UnknownEpoch { .. })));

    // Deleted and made anew: the epoch does not go back, or clients would not believe the new one.
    dir.remove(&partition).unwrap();
    let anew = PartitionIdent { topic_id: TopicId(uuid::Uuid::from_u128(99)), ..ident("t") };
    assert_eq!(dir.create(anew, config()).unwrap().current_epoch(), LeaderEpoch(4));
}

#[tokio::test]
async fn rule_5_the_metadata_log_stays_at_epoch_0() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("__sluice_metadata"), config()).unwrap();
    settle(&partition, "before").await;
    dir.begin_term(LeaderEpoch(9));
    settle(&partition, "after").await;
    let epochs: Vec<i32> = read_all(&partition, 1_000).into_iter().map(|(_, epoch, _)| epoch).collect();
    assert_eq!(epochs, [0, 0]);
}

#[tokio::test]
async fn rules_18_19_a_stream_is_deduplicated_over_restarts_and_closed_to_clients() {
    let mut bench = Bench::new();
    let stream = RESERVED_PRODUCER_IDS.0 + 3;
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), small_segments()).unwrap();
        let reserved = refused(&partition, stamped("v", stream, 0), Origin::Client);
        assert!(matches!(reserved, AppendError::ReservedProducerId { .. }));
        for n in 0..8 {
            bounded_wait(partition.append(stamped(&n.to_string(), stream, n), Origin::Stream).durable()).await.unwrap();
        }
    }
    bench.kill();
    // Longer than any client's producer id is remembered.
    bench.clock.advance_ms(10 * 86_400_000);
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    let last = partition.stream_last(ProducerId(stream)).placed().unwrap().unwrap();
    assert_eq!((last.sequence, last.offset), (Sequence(7), Offset(7)));
    assert!(partition.append(stamped("7", stream, 7), Origin::Stream).placed().unwrap().duplicate);
    let done = refused(&partition, stamped("0", stream, 0), Origin::Stream);
    assert!(matches!(done, AppendError::DuplicateSequence { .. }), "rule 18: done, where is forgotten: {done}");
    let gap = refused(&partition, stamped("9", stream, 9), Origin::Stream);
    assert!(matches!(gap, AppendError::OutOfOrderSequence { expected: Sequence(8), .. }), "{gap}");
    assert_eq!(partition.append(stamped("8", stream, 8), Origin::Stream).placed().unwrap().base_offset, Offset(8));
    let nameless = refused(&partition, batch("v"), Origin::Stream);
    assert!(matches!(nameless, AppendError::Record(RecordError::Invalid { .. })));
}

#[test]
fn rule_19_what_the_broker_moves_is_not_measured_again() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), LogConfig { message_bytes_max: 10, ..config() }).unwrap();
    partition.append(stamped("v", RESERVED_PRODUCER_IDS.0, 0), Origin::Stream).placed().unwrap();
}

#[tokio::test]
async fn an_append_may_be_bound_to_the_end_of_the_log() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    partition.append_if_end(batch("a"), Origin::Broker, Offset(0)).placed().unwrap();
    let wrong =
        bounded_wait(partition.append_if_end(batch("b"), Origin::Broker, Offset(0)).durable()).await.unwrap_err();
    assert!(matches!(wrong, ConditionalAppendError::WrongEnd { end: Offset(1) }));
    let right = bounded_wait(partition.append_if_end(batch("b"), Origin::Broker, Offset(1)).durable()).await.unwrap();
    assert_eq!(right.base_offset, Offset(1));
}

#[test]
fn at_the_end_of_the_offset_numbers_a_batch_is_refused_and_the_partition_stays_usable() {
    use crate::log::io::Disk;
    let bench = Bench::new();
    let dir = bench.open();
    dir.create(ident("t"), config()).unwrap();
    dir.close().unwrap();
    drop(dir);
    for name in bench.names("/data/t-0") {
        if let Some(kind) = name.strip_prefix("00000000000000000000") {
            let last = format!("/data/t-0/{:020}{kind}", i64::MAX - 1);
            bench.disk.rename(&PathBuf::from(format!("/data/t-0/{name}")), &PathBuf::from(last)).unwrap();
        }
    }
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    partition.usable().unwrap();
    let two = || batch_at(&[("a", 1_000), ("b", 1_000)]);
    assert!(matches!(refused(&partition, two(), Origin::Client), AppendError::Record(_)));
    add(&partition, "last");
    assert_eq!(partition.offsets().leo, Offset(i64::MAX));
    for batch in [batch("none"), two()] {
        let error = refused(&partition, batch, Origin::Client);
        assert!(matches!(error, AppendError::Record(_)), "{error}");
    }
    partition.usable().unwrap();
}
