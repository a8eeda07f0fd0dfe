//! Rules 16 and 17: deletion, strays, missing directories, and what a name may be used for again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use super::*;
use crate::log::error::{AppendError, LogError};
use crate::log::io::Disk;

#[tokio::test]
async fn rule_16_waiters_of_a_deleted_topic_end_and_its_files_go() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    settle(&partition, "a").await;
    let notify = Arc::new(Notify::new());
    let _watch = partition.watch(&notify);
    bench.disk.hold_syncs(true);
    let waiting = append(&partition, "b");
    let remover = {
        let (dir, partition) = (Arc::clone(&dir), Arc::clone(&partition));
        std::thread::spawn(move || dir.remove(&partition))
    };
    // Without the disk: the sync is still held.
    assert!(matches!(bounded_wait(waiting.durable()).await, Err(AppendError::Log(LogError::Deleted { .. }))));
    notify.notified().await;
    bench.disk.hold_syncs(false);
    remover.join().unwrap().unwrap();
    assert!(matches!(partition.read(Offset(0), 100), Err(LogError::Deleted { .. })));
    assert!(matches!(partition.usable(), Err(LogError::Deleted { .. })));
    assert!(partition.append(batch("c"), Origin::Client).placed().is_err());
    dir.close().unwrap();
    assert!(bench.names("/data").iter().all(|name| !name.starts_with("t-0")), "{:?}", bench.names("/data"));
}

#[tokio::test]
async fn rule_16_an_interrupted_deletion_is_finished_at_the_next_start() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), config()).unwrap();
        settle(&partition, "a").await;
        drop(dir);
        let aside = crate::log::layout::delete_dir(&ident("t").topic, PartitionId(0));
        bench.disk.rename(Path::new("/data/t-0"), &Path::new("/data").join(aside)).unwrap();
    }
    bench.kill();
    let dir = bench.open();
    assert!(dir.set_aside_strays(&|_, _| true).unwrap().is_empty());
    dir.close().unwrap();
    assert!(bench.names("/data").iter().all(|name| !name.contains("-delete")), "{:?}", bench.names("/data"));
}

#[tokio::test]
async fn a_name_used_again_is_an_empty_log_that_owes_nothing_to_the_old_one() {
    let mut bench = Bench::new();
    let anew = PartitionIdent { topic_id: TopicId(uuid::Uuid::from_u128(99)), ..ident("t") };
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), config()).unwrap();
        for n in 0..10 {
            settle(&partition, &n.to_string()).await;
        }
        dir.close().unwrap();
    }
    {
        let dir = bench.open();
        let partition = dir.open_existing(ident("t"), config()).unwrap();
        assert!(dir.create(anew.clone(), config()).is_err(), "the name is taken");
        dir.remove(&partition).unwrap();
        let partition = dir.create(anew.clone(), config()).unwrap();
        settle(&partition, "new").await;
    }
    // The recovery point of ten records is no reason to call a log of one damaged.
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(anew, config()).unwrap();
    partition.usable().unwrap();
    assert_eq!(values(&partition), ["new"]);
}

#[tokio::test]
async fn rule_17_strays_are_set_aside_and_reported_and_never_removed() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        for name in ["known", "unknown"] {
            settle(&dir.create(ident(name), config()).unwrap(), "a").await;
        }
        bench.disk.create_dir(Path::new("/data/nameless-3")).unwrap();
        bench.disk.create_dir(Path::new("/data/not a partition")).unwrap();
    }
    bench.kill();
    let dir = bench.open();
    let known = ident("known").topic_id;
    let strays = dir.set_aside_strays(&|id, partition| id == known && partition == PartitionId(0)).unwrap();
    assert_eq!(strays.len(), 2, "{strays:?}");
    let stray = strays.iter().find(|path| path.to_string_lossy().contains("/unknown-0.")).unwrap();
    assert!(stray.to_string_lossy().ends_with("-stray"));
    assert!(bench.len(&format!("{}/00000000000000000000.log", stray.display())) > 0);
    assert!(bench.names("/data").contains(&"not a partition".to_owned()));
    assert!(dir.set_aside_strays(&|id, _| id == known).unwrap().is_empty(), "strays stay as they are");
    assert_eq!(values(&dir.open_existing(ident("known"), config()).unwrap()), ["a"]);
}

#[tokio::test]
async fn rule_17_what_should_be_there_and_is_not_is_offline_and_never_a_new_log() {
    let bench = Bench::new();
    let dir = bench.open();
    drop(dir.create(ident("foreign"), config()).unwrap());
    let files = |name: &str| PathBuf::from(format!("/data/{name}-0"));
    drop(dir.create(ident("empty"), config()).unwrap());
    dir.close().unwrap();
    bench.disk.unlink(&files("empty").join("00000000000000000000.log")).unwrap();
    let dir = bench.open();
    let others = PartitionIdent { topic_id: TopicId(uuid::Uuid::from_u128(99)), ..ident("foreign") };
    for wanted in [ident("missing"), others, ident("empty")] {
        let partition = dir.open_existing(wanted, config()).unwrap();
        let Err(LogError::Offline { partition: name, .. }) = partition.usable() else {
            panic!("{:?}", partition.usable());
        };
        assert_eq!(name, partition.ident().name().to_string());
        assert!(matches!(partition.read(Offset(0), 100), Err(LogError::Offline { .. })));
        assert!(matches!(partition.find_time(TimestampMs(0)), Err(LogError::Offline { .. })));
        assert!(partition.append(batch("a"), Origin::Client).placed().is_err());
        assert!(partition.durable(Offset(1)).await.is_err(), "nobody waits for ever");
    }
    assert!(!bench.names("/data").contains(&"missing-0".to_owned()));
    assert!(dir.first_failure().is_some());
}

#[tokio::test]
async fn the_recovery_points_are_written_when_a_minute_has_passed_and_at_a_roll() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    // An answer comes before its group has set the time of the checkpoint; the next group's comes after.
    settle(&partition, "a").await;
    settle(&partition, "a again").await;
    let points = || bench.disk.bytes(Path::new("/data/recovery-point-offset-checkpoint"));
    assert_eq!(points(), None);
    bench.clock.advance_ms(60_001);
    // The checkpoint that is due comes before the group that this append is in.
    settle(&partition, "b").await;
    settle(&partition, "c").await;
    let text = String::from_utf8(points().unwrap()).unwrap();
    assert!(["0\n1\nt 0 2\n", "0\n1\nt 0 3\n"].contains(&text.as_str()), "{text}");

    let rolling = dir.create(ident("r"), small_segments()).unwrap();
    for n in 0..9 {
        settle(&rolling, &n.to_string()).await;
    }
    // At a roll, and no more than once a second.
    bench.clock.advance_ms(1_000);
    settle(&rolling, "9").await;
    settle(&rolling, "10").await;
    let text = String::from_utf8(points().unwrap()).unwrap();
    let point: i64 = text.lines().find_map(|line| line.strip_prefix("r 0 ")).unwrap().parse().unwrap();
    assert!(point >= 3, "{text}");
}

#[tokio::test]
async fn the_recovery_point_of_a_removed_partition_goes_with_the_next_checkpoint() {
    let bench = Bench::new();
    let points = || bench.text("/data/recovery-point-offset-checkpoint");
    {
        let dir = bench.open();
        for name in ["gone", "kept", "anew"] {
            settle(&dir.create(ident(name), config()).unwrap(), "a").await;
        }
        dir.close().unwrap();
        assert_eq!(points(), "0\n3\nanew 0 1\ngone 0 1\nkept 0 1\n");
    }
    let dir = bench.open();
    let open = |name| dir.open_existing(ident(name), config()).unwrap();
    let (gone, anew, _kept) = (open("gone"), open("anew"), open("kept"));
    dir.remove(&gone).unwrap();
    dir.remove(&anew).unwrap();
    let anew = dir.create(ident("anew"), config()).unwrap();
    settle(&anew, "b").await;
    settle(&anew, "c").await;
    dir.close().unwrap();
    assert_eq!(points(), "0\n2\nanew 0 2\nkept 0 1\n");
}
