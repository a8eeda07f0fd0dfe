//! Retention and DeleteRecords: what goes, what must not, and that a crash at any step of it loses nothing else.

use super::*;
use crate::log::{DeleteRecordsError, DeleteUntil, LogError};

const DAY_MS: i64 = 86_400_000;

/// Four batches of one record a segment; kept for a day, unlinked at once.
fn kept_for_a_day() -> LogConfig {
    let cleanup = Cleanup {
        delete: true,
        retention_ms: Some(DAY_MS),
        retention_bytes: None,
        file_delete_delay_ms: 0,
        compact: None,
    };
    LogConfig { cleanup, ..small_segments() }
}

fn logs(bench: &Bench) -> Vec<String> {
    bench.names("/data/t-0").into_iter().filter(|name| name.contains(".log")).collect()
}

/// Ten records with these values, at the clock's time, durable.
async fn fill(bench: &Bench, partition: &Arc<Partition>, from: i64) {
    use crate::clock::Clock;
    for n in from..from + 10 {
        bounded_wait(partition.append(batch_at(&[(&n.to_string(), bench.clock.wall().0)]), Origin::Client).durable())
            .await
            .unwrap();
    }
}

fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn old_segments_go_young_ones_stay_and_offsets_do_not_change() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
    fill(&bench, &partition, 0).await;
    bench.clock.advance_ms(DAY_MS);
    fill(&bench, &partition, 10).await;
    dir.retain();
    assert_eq!(partition.offsets().log_start, Offset(0), "a day is not over yet");
    bench.clock.advance_ms(1);
    dir.retain();
    let start = partition.offsets().log_start;
    assert_eq!(start, Offset(8), "the segment with the tenth record has younger ones");
    assert_eq!(values(&partition), numbers(8..20));
    assert_eq!(logs(&bench)[0], "00000000000000000008.log");
    assert!(matches!(partition.read(Offset(7), 1), Err(LogError::OutOfRange { log_start: Offset(8), .. })));
    assert_eq!(bench.text("/data/log-start-offset-checkpoint"), "0\n1\nt 0 8\n");
    dir.close().unwrap();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), kept_for_a_day()).unwrap();
    assert_eq!(values(&partition), numbers(8..20));
}

#[tokio::test]
async fn a_log_that_is_old_throughout_becomes_empty_and_goes_on() {
    let mut bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
    fill(&bench, &partition, 0).await;
    bench.clock.advance_ms(2 * DAY_MS);
    dir.retain();
    let offsets = partition.offsets();
    assert_eq!((offsets.log_start, offsets.hw, offsets.leo), (Offset(10), Offset(10), Offset(10)));
    assert_eq!(logs(&bench), ["00000000000000000010.log"]);
    assert!(partition.read(Offset(10), 1).unwrap().is_empty());
    dir.retain();
    assert_eq!(logs(&bench), ["00000000000000000010.log"], "an empty segment is not rolled again");
    fill(&bench, &partition, 10).await;
    assert_eq!(values(&partition), numbers(10..20));
    drop((dir, partition));
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), kept_for_a_day()).unwrap();
    assert_eq!(values(&partition), numbers(10..20));
}

#[tokio::test]
async fn size_keeps_the_newest_segments_and_a_compacted_topic_keeps_all() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    fill(&bench, &partition, 0).await;
    let cleanup = Cleanup { retention_bytes: Some(1), ..Cleanup::default() };
    partition.reconfigure(LogConfig { cleanup: cleanup.clone(), ..small_segments() });
    dir.retain();
    assert_eq!(partition.offsets().log_start, Offset(0), "without 'delete' nothing goes");
    partition.reconfigure(LogConfig { cleanup: Cleanup { delete: true, ..cleanup }, ..small_segments() });
    dir.retain();
    assert_eq!(values(&partition), numbers(8..10));
}

#[tokio::test]
async fn a_reader_of_a_removed_segment_goes_on_and_its_files_stay_for_their_time() {
    let bench = Bench::new();
    let dir = bench.open();
    let mut config = kept_for_a_day();
    config.cleanup.file_delete_delay_ms = 60_000;
    let partition = dir.create(ident("t"), config).unwrap();
    fill(&bench, &partition, 0).await;
    let span = partition.view().spans(Some(Offset(4))).next().unwrap();
    bench.clock.advance_ms(2 * DAY_MS);
    dir.retain();
    let found = partition.first_holding(&span, Offset(4)).unwrap().expect("still readable");
    assert_eq!(found.header.base_offset, Offset(4));
    assert!(bench.names("/data/t-0").contains(&"00000000000000000004.log.deleted".to_owned()));
    bench.clock.advance_ms(59_999);
    dir.retain();
    assert!(bench.names("/data/t-0").contains(&"00000000000000000004.log.deleted".to_owned()));
    bench.clock.advance_ms(1);
    dir.retain();
    assert!(!bench.names("/data/t-0").iter().any(|name| name.contains(".deleted")));
}

#[tokio::test]
async fn what_is_held_stays_whatever_its_age() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
    partition.hold(Offset(5));
    fill(&bench, &partition, 0).await;
    bench.clock.advance_ms(2 * DAY_MS);
    dir.retain();
    assert_eq!(partition.offsets().log_start, Offset(4), "the segment that holds offset 5 begins there");
    let refused = partition.delete_records(DeleteUntil::Offset(Offset(6))).await;
    assert!(matches!(refused, Err(DeleteRecordsError::Held { held: Offset(5), .. })), "{refused:?}");
    partition.hold(Offset(10));
    dir.retain();
    assert_eq!(partition.offsets().log_start, Offset(10));
}

#[tokio::test]
async fn deleted_records_cannot_be_read_nor_found_and_do_not_come_back() {
    let mut bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
    fill(&bench, &partition, 0).await;
    assert_eq!(partition.delete_records(DeleteUntil::Offset(Offset(5))).await.unwrap(), Offset(5));
    assert_eq!(partition.delete_records(DeleteUntil::Offset(Offset(2))).await.unwrap(), Offset(5), "never back");
    let beyond = partition.delete_records(DeleteUntil::Offset(Offset(11))).await;
    assert!(matches!(beyond, Err(DeleteRecordsError::Log(LogError::OutOfRange { end: Offset(10), .. }))));
    assert_eq!(values(&partition), numbers(5..10));
    assert_eq!(partition.find_time(TimestampMs(0)).unwrap().unwrap().offset, Offset(5));
    assert_eq!(partition.find_max_time().unwrap().unwrap().offset, Offset(5), "the first of equals that is left");
    let offsets = partition.offsets();
    assert!(offsets.log_start <= offsets.recovery_point, "rule 1: {offsets:?}");
    drop((dir, partition));
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), kept_for_a_day()).unwrap();
    assert_eq!(values(&partition), numbers(5..10));
    assert_eq!(logs(&bench)[0], "00000000000000000004.log", "what is wholly below went with the start");
    assert_eq!(partition.delete_records(DeleteUntil::HighWatermark).await.unwrap(), Offset(10));
    fill(&bench, &partition, 10).await;
    dir.retain();
    assert_eq!(values(&partition), numbers(10..20));
    dir.close().unwrap();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), kept_for_a_day()).unwrap();
    assert_eq!(values(&partition), numbers(10..20));
    assert!(partition.usable().is_ok());
}

#[tokio::test]
async fn a_page_cache_topic_is_synced_before_its_start_moves() {
    let mut bench = Bench::new();
    let dir = bench.open();
    let config = LogConfig { sync: false, ..kept_for_a_day() };
    let partition = dir.create(ident("t"), config.clone()).unwrap();
    fill(&bench, &partition, 0).await;
    partition.delete_records(DeleteUntil::Offset(Offset(10))).await.unwrap();
    drop((dir, partition));
    bench.disk = bench.disk.power_cut(3);
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config).unwrap();
    let offsets = partition.offsets();
    assert!(partition.usable().is_ok());
    assert_eq!((offsets.log_start, offsets.leo), (Offset(10), Offset(10)), "rule 1");
}

#[tokio::test]
async fn a_topic_made_anew_begins_at_offset_0() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
    fill(&bench, &partition, 0).await;
    partition.delete_records(DeleteUntil::HighWatermark).await.unwrap();
    dir.remove(&partition).unwrap();
    assert!(matches!(partition.delete_records(DeleteUntil::HighWatermark).await, Err(DeleteRecordsError::Log(_))));
    let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
    fill(&bench, &partition, 0).await;
    dir.close().unwrap();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), kept_for_a_day()).unwrap();
    assert_eq!(values(&partition), numbers(0..10));
}

/// Rule 3, and the order of steps: whatever is the last operation before the power goes, everything young is there, in
/// order, and the log opens without complaint.
#[test]
fn rule_3_a_power_cut_at_any_step_of_retention_removes_nothing_else() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for whole_log in [false, true] {
        for stop in 0.. {
            let mut bench = Bench::new();
            let dir = bench.open();
            let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
            runtime.block_on(fill(&bench, &partition, 0));
            bench.clock.advance_ms(2 * DAY_MS);
            if !whole_log {
                runtime.block_on(fill(&bench, &partition, 10));
            }
            let end = partition.offsets().hw;
            bench.disk.stop_after(stop);
            dir.retain();
            let shown = partition.offsets().log_start;
            let done = bench.disk.operations() < stop;
            drop((dir, partition));
            let disk = bench.disk.clone();
            for seed in 0..6 {
                bench.disk = if seed == 0 { disk.kill() } else { disk.power_cut(seed) };
                let dir = bench.open();
                let partition = dir.open_existing(ident("t"), kept_for_a_day()).unwrap();
                partition.usable().unwrap_or_else(|error| panic!("stop {stop}, seed {seed}: {error}"));
                let offsets = partition.offsets();
                let text = format!("stop {stop}, seed {seed}: {offsets:?}");
                assert_eq!(offsets.hw, end, "{text}");
                assert!(offsets.log_start >= shown, "a start that was shown does not go back: {text}");
                assert_eq!(values(&partition), numbers(offsets.log_start.0..end.0), "{text}");
                assert!(offsets.log_start.0 <= if whole_log { 10 } else { 8 }, "{text}");
                assert!(!bench.names("/data/t-0").iter().any(|name| name.contains(".deleted")), "{text}");
            }
            if done {
                break;
            }
            assert!(stop < 500, "retention comes to an end");
        }
    }
}

#[tokio::test]
async fn rule_19_what_a_stream_wrote_last_is_known_when_its_segment_is_gone() {
    use crate::log::write::producers::RESERVED_PRODUCER_IDS;
    let mut bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
    let stream = RESERVED_PRODUCER_IDS;
    bounded_wait(partition.append(stamped("delivered", stream.0, 0), Origin::Stream).durable()).await.unwrap();
    fill(&bench, &partition, 1).await;
    bench.clock.advance_ms(2 * DAY_MS);
    dir.retain();
    assert_eq!(partition.offsets().log_start, Offset(11));
    drop((dir, partition));
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), kept_for_a_day()).unwrap();
    assert_eq!(partition.stream_last(stream).placed().unwrap().map(|last| last.offset), Some(Offset(0)));
    let again = partition.append(stamped("delivered", stream.0, 0), Origin::Stream).placed().cloned().unwrap();
    assert!(again.duplicate);
}

#[tokio::test]
async fn rule_19_an_index_or_epochs_that_are_rebuilt_cost_no_producer_whose_segment_is_gone() {
    use crate::log::io::Disk;
    use crate::log::write::producers::RESERVED_PRODUCER_IDS;
    let stream = RESERVED_PRODUCER_IDS;
    for (lost, clean) in [(".index", false), (".index", true), ("checkpoint", false), ("checkpoint", true)] {
        let mut bench = Bench::new();
        let dir = bench.open();
        let partition = dir.create(ident("t"), kept_for_a_day()).unwrap();
        bounded_wait(partition.append(stamped("delivered", stream.0, 0), Origin::Stream).durable()).await.unwrap();
        fill(&bench, &partition, 1).await;
        partition.delete_records(DeleteUntil::Offset(Offset(5))).await.unwrap();
        dir.retain();
        let start = partition.offsets().log_start.0;
        assert_ne!(logs(&bench)[0], "00000000000000000000.log", "its segment is gone");
        if clean {
            dir.close().unwrap();
        }
        drop((dir, partition));
        bench.kill();
        let lost = bench.names("/data/t-0").into_iter().find(|name| name.ends_with(lost)).unwrap();
        bench.disk.unlink(&std::path::Path::new("/data/t-0").join(&lost)).unwrap();
        let dir = bench.open();
        let partition = dir.open_existing(ident("t"), kept_for_a_day()).unwrap();
        partition.usable().unwrap();
        assert_eq!(values(&partition), numbers(start..11));
        assert_eq!(
            partition.stream_last(stream).placed().unwrap().map(|last| last.offset),
            Some(Offset(0)),
            "without {lost}: {clean}"
        );
    }
}
