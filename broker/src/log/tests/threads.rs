//! What a network thread does not do: wait for the disk. Appends leave syncs and new segments to others, and the flusher's one
//! thread does for a partition what that partition needs, not what all of them do.

use std::path::Path;

use super::*;
use crate::log::error::LogError;
use crate::log::io::faulty::WriteFault;
use crate::log::io::watched::WatchedDisk;

const EPOCHS: &str = "leader-epoch-checkpoint";

fn open_watched(bench: &Bench) -> (Arc<LogDir>, WatchedDisk) {
    let watched = WatchedDisk::over(Arc::new(bench.disk.clone()));
    let clock: SharedClock = Arc::<ManualClock>::clone(&bench.clock);
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(watched.clone()) };
    (LogDir::open(settings, clock).unwrap(), watched)
}

fn topics(dir: &LogDir, count: usize, config: &LogConfig) -> Vec<Arc<Partition>> {
    (0..count).map(|n| dir.create(ident(&format!("t{n}")), config.clone()).unwrap()).collect()
}

#[tokio::test]
async fn rule_5_the_first_append_of_a_term_waits_for_no_sync_and_all_files_of_epochs_share_a_few() {
    let mut bench = Bench::new();
    let (dir, watched) = open_watched(&bench);
    dir.begin_term(LeaderEpoch(3));
    let partitions = topics(&dir, 50, &config());
    assert!(!watched.take_noted().is_empty(), "a test's own thread may not wait");
    // One sync is under way while the others append: they are the next group.
    bench.disk.hold_syncs(true);
    add(&partitions[0], "a");
    bench.disk.await_held_sync();
    for partition in &partitions[1..] {
        partition.append_at_once(batch("a"), Origin::Client).unwrap().placed().unwrap();
    }
    assert_eq!(watched.take_noted(), [].into());
    let before = bench.disk.syncs();
    bench.disk.hold_syncs(false);
    for partition in &partitions {
        partition.durable(Offset(1)).await.unwrap();
        assert_eq!(partition.offsets().recovery_point, Offset(1));
    }
    assert!(bench.disk.syncs() - before <= 10, "{} syncs for 50 files", bench.disk.syncs() - before);
    drop((dir, partitions));
    bench.disk = bench.disk.power_cut(7);
    for n in 0..50 {
        assert_eq!(bench.text(&format!("/data/t{n}-0/{EPOCHS}")), "0\n1\n3 0\n");
    }
}

#[tokio::test]
async fn rule_1_a_file_of_epochs_that_cannot_be_written_holds_up_the_recovery_point_and_nothing_else() {
    let mut bench = Bench::new();
    let dir = bench.open();
    dir.begin_term(LeaderEpoch(3));
    let partition = dir.create(ident("t"), config()).unwrap();
    // The next write is the batch, the second the new file.
    bench.disk.fail_write(2, WriteFault::NoSpace);
    settle(&partition, "a").await;
    assert_eq!(partition.offsets().recovery_point, Offset(0));
    assert!(!bench.names("/data/t-0").contains(&EPOCHS.to_owned()));
    // There is room again.
    partition.settle(Offset(1)).await.unwrap();
    assert_eq!(bench.text(&format!("/data/t-0/{EPOCHS}")), "0\n1\n3 0\n");

    // A kill before the file is written: the batches say which epoch they are of.
    let other = dir.create(ident("other"), config()).unwrap();
    bench.disk.fail_write(2, WriteFault::NoSpace);
    settle(&other, "a").await;
    drop((dir, partition, other));
    bench.kill();
    let dir = bench.open();
    dir.begin_term(LeaderEpoch(4));
    let other = dir.open_existing(ident("other"), config()).unwrap();
    assert_eq!(other.epoch_at(Offset(0)), Some(LeaderEpoch(3)));
    assert_eq!(bench.text(&format!("/data/other-0/{EPOCHS}")), "0\n1\n3 0\n");
}

#[tokio::test]
async fn rule_8_a_failed_sync_of_the_files_of_epochs_poisons_what_is_not_synced() {
    let bench = Bench::new();
    let dir = bench.open();
    let partitions = topics(&dir, 3, &config());
    bench.disk.hold_syncs(true);
    add(&partitions[0], "a");
    bench.disk.await_held_sync();
    let rest: Vec<Ticket> = partitions[1..].iter().map(|partition| append(partition, "a")).collect();
    // The file of the first one, its group, then the files of the others.
    bench.disk.fail_sync(2);
    bench.disk.hold_syncs(false);
    partitions[0].durable(Offset(1)).await.unwrap();
    for ticket in rest {
        assert!(matches!(ticket.durable().await, Err(crate::log::AppendError::Log(LogError::Poisoned { .. }))));
    }
}

#[tokio::test]
async fn a_full_segment_is_left_to_a_thread_that_may_wait_and_the_order_stays() {
    let bench = Bench::new();
    let (dir, watched) = open_watched(&bench);
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    let _ = watched.take_noted();
    let mut given_back = 0;
    for n in 0..30 {
        let value = n.to_string();
        given_back += u32::from(partition.append_at_once(batch(&value), Origin::Client).is_err());
        let turn = partition.turns().take();
        // What was given back is appended here; what was not is there twice.
        partition.append_async(batch(&format!("{value}'")), Origin::Client, turn).await.placed().unwrap();
    }
    assert!(given_back > 0, "an append met a full segment");
    assert!(partition.turns().free());
    assert_eq!(watched.take_noted(), [].into());
    let end = Offset(i64::from(60 - given_back));
    partition.durable(end).await.unwrap();
    let own: Vec<String> = values(&partition).into_iter().filter(|value| value.ends_with('\'')).collect();
    assert_eq!(own, (0..30).map(|n| format!("{n}'")).collect::<Vec<_>>());
    assert!(bench.names("/data/t-0").iter().filter(|name| name.ends_with(".log")).count() > 10);
}

#[tokio::test]
async fn who_cannot_leave_its_appends_to_others_has_segments_rolled_ahead_of_need() {
    let bench = Bench::new();
    let (dir, watched) = open_watched(&bench);
    let config = LogConfig { segment_bytes: 2_000, ..config() };
    let partition = dir.create(ident("t"), config).unwrap();
    let _ = watched.take_noted();
    let mut rolled = 0;
    for n in 0..200 {
        partition.append(batch(&n.to_string()), Origin::Broker).placed().unwrap();
        if partition.wants_roll() {
            assert!(!partition.wants_roll(), "one is asked, once");
            let ahead = Arc::clone(&partition);
            crate::tasks::blocking("log-roll", move || ahead.roll_ahead()).await.unwrap().unwrap();
            rolled += 1;
        }
    }
    assert_eq!(watched.take_noted(), [].into());
    assert!(rolled > 5, "{rolled} rolls");
    partition.durable(Offset(200)).await.unwrap();
    assert_eq!(values(&partition).len(), 200);
}

#[tokio::test]
async fn a_roll_writes_its_own_recovery_point_and_leaves_other_partitions_alone() {
    let bench = Bench::new();
    let dir = bench.open();
    let often = LogConfig { index_interval_bytes: 1, ..config() };
    let others = topics(&dir, 20, &often);
    let rolling = dir.create(ident("rolling"), small_segments()).unwrap();
    for other in &others {
        settle(other, "a").await;
        settle(other, "b").await;
        settle(other, "c").await;
    }
    let points = || bench.text("/data/recovery-point-offset-checkpoint");
    for n in 0..40 {
        settle(&rolling, &n.to_string()).await;
        if n % 10 == 0 {
            bench.clock.advance_ms(1_000);
        }
    }
    rolling.flushed().await.unwrap();
    for n in 0..20 {
        assert_eq!(bench.len(&format!("/data/t{n}-0/00000000000000000000.index")), 0, "nothing of it was written out");
    }
    assert!(points().contains("rolling 0 ") && !points().contains("rolling 0 0\n"), "{}", points());
    assert!(!points().contains("t0 0 "), "{}", points());
}

#[tokio::test]
async fn an_active_segment_keeps_few_index_entries_in_memory_and_finds_everything() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), LogConfig { index_interval_bytes: 0, ..config() }).unwrap();
    for n in 0..5_000 {
        partition.append(batch_at(&[("v", n)]), Origin::Client).forget();
    }
    partition.durable(Offset(5_000)).await.unwrap();
    let kept = partition.view().active.as_ref().unwrap().entries_in_memory();
    assert!(kept <= 2 * crate::limits::INDEX_ENTRIES_KEPT_MAX, "{kept} entries are in memory");
    assert!(bench.len("/data/t-0/00000000000000000000.index") >= 8 * 3_000, "the others are in the file");
    for offset in (0..5_000).step_by(61).chain([4_999]) {
        let before = bench.disk.bytes_read();
        let batch = check_stored(partition.read(Offset(offset), 1).unwrap()).unwrap();
        assert_eq!(batch.header().base_offset, Offset(offset));
        assert!(bench.disk.bytes_read() - before < 16 * 1_024, "found by its index entry");
        let found = partition.find_time(TimestampMs(offset)).unwrap().unwrap();
        assert_eq!(found.offset, Offset(offset));
    }
    dir.close().unwrap();
    drop((dir, partition));
    let mut bench = bench;
    bench.kill();
    assert_eq!(bench.len("/data/t-0/00000000000000000000.index"), 8 * 4_999, "every entry is in the file, once");
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    assert_eq!(partition.view().active.as_ref().unwrap().entries_in_memory(), 0);
    let batch = check_stored(partition.read(Offset(77), 1).unwrap()).unwrap();
    assert_eq!(batch.header().base_offset, Offset(77));
    assert!(bench.disk.bytes(Path::new("/data/t-0/00000000000000000000.timeindex")).unwrap().len() > 12 * 4_000);
}
