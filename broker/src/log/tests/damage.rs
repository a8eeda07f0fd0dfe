//! Rules 4, 9, 10 and 17: what recovery keeps, cuts, refuses and repairs.

use std::path::Path;

use super::*;
use crate::log::error::LogError;
use crate::log::io::Disk;
use crate::log::sync::registry::Points;

const LOG: &str = "/data/t-0/00000000000000000000.log";

/// A log of four batches; the recovery point on disk is `point`.
async fn four_batches(bench: &mut Bench, point: i64) {
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    for value in ["a", "b", "c", "d"] {
        settle(&partition, value).await;
    }
    drop((dir, partition));
    bench.kill();
    let text = format!("0\n1\nt 0 {point}\n");
    let file = bench.disk.create(Path::new("/data/recovery-point-offset-checkpoint")).unwrap();
    file.write_at(text.as_bytes(), b"", 0).unwrap();
}

fn flip(bench: &Bench, at: usize) {
    let byte = bench.disk.bytes(Path::new(LOG)).unwrap()[at];
    bench.disk.rot(Path::new(LOG), at, byte ^ 0x40);
}

#[tokio::test]
async fn rule_10_above_the_recovery_point_the_first_bad_batch_ends_the_log_and_is_kept() {
    let mut bench = Bench::new();
    four_batches(&mut bench, 1).await;
    let before = bench.disk.bytes(Path::new(LOG)).unwrap();
    let size = before.len() / 4;
    flip(&bench, 2 * size + 64);
    let damaged = bench.disk.bytes(Path::new(LOG)).unwrap();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    partition.usable().unwrap();
    assert_eq!(values(&partition), ["a", "b"]);
    let [cut] = &dir.reports()[..] else { panic!("one cut: {:?}", dir.reports()) };
    assert_eq!((cut.offset, cut.bytes), (Offset(2), 2 * size as u64));
    assert_eq!(cut.kept, Path::new("/data/t-0/00000000000000000000.cut-1"));
    assert_eq!(bench.disk.bytes(&cut.kept).unwrap(), damaged[2 * size..], "the bytes cut are kept");
    assert_eq!(bench.len(LOG), 2 * size);
    assert_eq!(settle(&partition, "e").await.base_offset, Offset(2));
    assert!(dir.first_failure().is_none(), "a torn tail is no failure");
}

#[tokio::test]
async fn rule_10_below_the_recovery_point_it_is_damage_read_only_and_nothing_is_touched() {
    let mut bench = Bench::new();
    four_batches(&mut bench, 4).await;
    let size = bench.len(LOG) / 4;
    // A header field: seen without reading the records.
    flip(&bench, 2 * size + 16);
    let before = bench.disk.bytes(Path::new(LOG)).unwrap();
    for _ in 0..3 {
        let dir = bench.open();
        let partition = dir.open_existing(ident("t"), config()).unwrap();
        let Err(LogError::Corrupt { path, position, .. }) = partition.usable() else {
            panic!("{:?}", partition.usable());
        };
        assert_eq!((path.as_path(), position), (Path::new(LOG), 2 * size as u64));
        assert_eq!(partition.read(Offset(0), 1_000).unwrap().len(), 2 * size, "readable up to there");
        assert!(matches!(partition.read(Offset(2), 100), Err(LogError::Corrupt { .. })), "not 'out of range'");
        assert!(matches!(partition.read(Offset(3), 100), Err(LogError::Corrupt { .. })));
        assert!(partition.append(batch("x"), Origin::Client).placed().is_err());
        assert!(dir.first_failure().unwrap().contains("sluice log repair"));
        dir.close().unwrap();
        // A clean stop does not make the damage forgotten.
        assert_eq!(bench.disk.bytes(Path::new(LOG)).unwrap(), before);
    }
}

#[tokio::test]
async fn rule_10_an_offset_that_no_crc_covers_is_not_believed() {
    let mut bench = Bench::new();
    four_batches(&mut bench, 1).await;
    let size = bench.len(LOG) / 4;
    // The third batch says that it begins at 66.
    flip(&bench, 2 * size + 7);
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    assert_eq!(values(&partition), ["a", "b"]);
    assert_eq!(dir.reports()[0].bytes, 2 * size as u64);
}

#[tokio::test]
async fn rule_10_a_log_that_ends_before_what_was_durable_is_damaged() {
    let mut bench = Bench::new();
    four_batches(&mut bench, 4).await;
    let size = bench.len(LOG) as u64 / 4;
    bench.disk.open(Path::new(LOG)).unwrap().truncate(3 * size).unwrap();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    assert!(matches!(partition.usable(), Err(LogError::Corrupt { .. })));
}

#[tokio::test]
async fn a_whole_segment_behind_a_torn_one_is_set_aside_too() {
    let mut bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    for n in 0..9 {
        settle(&partition, &n.to_string()).await;
    }
    let bases: Vec<String> = bench.names("/data/t-0").into_iter().filter(|name| name.ends_with(".log")).collect();
    assert!(bases.len() >= 3, "{bases:?}");
    drop((dir, partition));
    bench.kill();
    bench.disk.unlink(Path::new("/data/recovery-point-offset-checkpoint")).unwrap();
    flip(&bench, 64);
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    partition.usable().unwrap();
    assert_eq!(partition.offsets().leo, Offset(0));
    assert_eq!(dir.reports().len(), bases.len());
    let left: Vec<String> = bench.names("/data/t-0").into_iter().filter(|name| !name.contains(".cut-")).collect();
    assert_eq!(
        left,
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "leader-epoch-checkpoint",
            "partition.metadata"
        ]
    );
    settle(&partition, "again").await;
    assert_eq!(values(&partition), ["again"]);
}

#[tokio::test]
async fn rule_4_a_stored_batch_may_have_holes() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), config()).unwrap();
        let three = batch_at(&[("a", 1), ("b", 2), ("c", 3)]);
        partition.append(three, Origin::Client).placed().unwrap();
        dir.close().unwrap();
    }
    // Compaction takes records out and leaves the offsets: here all three, the count says 0.
    let mut bytes = bench.disk.bytes(Path::new(LOG)).unwrap();
    bytes.truncate(61);
    bytes[8..12].copy_from_slice(&49i32.to_be_bytes());
    bytes[57..61].copy_from_slice(&0i32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let file = bench.disk.create(Path::new(LOG)).unwrap();
    file.write_at(&bytes, b"", 0).unwrap();
    bench.kill();
    bench.disk.unlink(Path::new("/data/recovery-point-offset-checkpoint")).unwrap();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    partition.usable().unwrap();
    assert_eq!(partition.offsets().leo, Offset(3));
    assert_eq!(settle(&partition, "d").await.base_offset, Offset(3));
    assert_eq!(read_all(&partition, 1_000), [(3, 0, "d".to_owned())]);
}

#[tokio::test]
async fn indexes_that_are_missing_torn_or_wrong_are_rebuilt() {
    let names = |base: i64, suffix: &str| format!("/data/t-0/{base:020}.{suffix}");
    let spoil: [(&str, &[u8]); 4] =
        [("index", &[0, 0, 0, 1, 0, 0, 0, 9]), ("index", &[1, 2, 3]), ("timeindex", &[0; 12]), ("timeindex", &[9; 5])];
    for (suffix, bytes) in spoil {
        let mut bench = Bench::new();
        {
            let dir = bench.open();
            let partition = dir.create(ident("t"), small_segments()).unwrap();
            for n in 0..9 {
                let value = batch_at(&[(&n.to_string(), n)]);
                partition.append(value, Origin::Client).placed().unwrap();
            }
            dir.close().unwrap();
        }
        let bases: Vec<i64> =
            bench.names("/data/t-0").iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
        let good: Vec<_> = bases.iter().map(|base| bench.disk.bytes(Path::new(&names(*base, suffix)))).collect();
        for base in &bases {
            let file = bench.disk.create(Path::new(&names(*base, suffix))).unwrap();
            file.write_at(bytes, b"", 0).unwrap();
        }
        bench.kill();
        let dir = bench.open();
        let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
        let rebuilt: Vec<_> = bases.iter().map(|base| bench.disk.bytes(Path::new(&names(*base, suffix)))).collect();
        assert_eq!(rebuilt, good, "{suffix} {bytes:?}");
        assert_eq!(partition.find_time(TimestampMs(7)).unwrap().unwrap().offset, Offset(7));
    }
}

#[tokio::test]
async fn after_a_clean_stop_nothing_is_written_again() {
    let bench = Bench::new();
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), small_segments()).unwrap();
        for n in 0..9 {
            add(&partition, &n.to_string());
        }
        dir.close().unwrap();
    }
    assert_eq!(bench.text("/data/recovery-point-offset-checkpoint"), "0\n1\nt 0 9\n");
    assert!(bench.names("/data").contains(&".kafka_cleanshutdown".to_owned()));
    let dir = bench.open();
    assert!(!bench.names("/data").contains(&".kafka_cleanshutdown".to_owned()), "gone before anything is appended");
    let before = bench.disk.operations();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    assert_eq!(values(&partition).len(), 9);
    // The sync that clears old error reports, and the directory's.
    assert!(bench.disk.operations() - before <= 2, "{} operations", bench.disk.operations() - before);
}

#[tokio::test]
async fn idempotence_survives_a_crash() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), small_segments()).unwrap();
        for n in 0..9 {
            bounded_wait(partition.append(stamped(&n.to_string(), 5, n), Origin::Client).durable()).await.unwrap();
        }
    }
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    let again = partition.append(stamped("5", 5, 5), Origin::Client).placed().cloned().unwrap();
    assert!(again.duplicate);
    assert_eq!((again.base_offset, again.last_offset), (Offset(5), Offset(5)));
    assert_eq!(partition.append(stamped("9", 5, 9), Origin::Client).placed().unwrap().base_offset, Offset(9));
}

#[test]
fn recovery_points_that_cannot_be_read_stop_the_start() {
    let bench = Bench::new();
    bench.open().close().unwrap();
    let path = Path::new("/data/recovery-point-offset-checkpoint");
    bench.disk.create(path).unwrap().write_at(b"0\nrubbish", b"", 0).unwrap();
    let clock: SharedClock = Arc::<ManualClock>::clone(&bench.clock);
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(bench.disk.clone()) };
    let error = LogDir::open(settings, clock).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
}

/// The rename was done, the sync of its name failed: the points may be on disk although nobody was told.
#[tokio::test]
async fn rule_10_the_recovery_point_of_a_deleted_topic_is_not_held_against_its_successor() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        let first = dir.create(ident("t"), config()).unwrap();
        settle(&first, "old").await;
        bench.disk.fail_sync(2);
        dir.registry.write_recovery_points(Points::All).unwrap_err();
        dir.remove(&first).unwrap();
        dir.create(ident("t"), config()).unwrap();
    }
    bench.kill();
    let dir = bench.open();
    let successor = dir.open_existing(ident("t"), config()).unwrap();
    successor.usable().unwrap();
    assert_eq!(settle(&successor, "new").await.base_offset, Offset(0));
}

#[tokio::test]
async fn rule_10_a_log_start_behind_the_end_of_the_log_is_damage_and_removes_nothing() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), small_segments()).unwrap();
        for n in 0..12 {
            settle(&partition, &n.to_string()).await;
        }
        dir.close().unwrap();
    }
    bench.kill();
    let before = bench.names("/data/t-0");
    let starts = bench.disk.create(Path::new("/data/log-start-offset-checkpoint")).unwrap();
    starts.write_at(b"0\n1\nt 0 1000\n", b"", 0).unwrap();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    assert!(matches!(partition.usable(), Err(LogError::Corrupt { .. })), "{:?}", partition.usable());
    assert_eq!(bench.names("/data/t-0"), before);
}

/// A log of several segments after a clean stop, and the path of the second one's `.log`.
async fn twelve_batches() -> (Bench, PathBuf) {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    for n in 0..12 {
        settle(&partition, &n.to_string()).await;
    }
    dir.close().unwrap();
    let second = bench.names("/data/t-0").into_iter().filter(|name| name.ends_with(".log")).nth(1).unwrap();
    (bench, Path::new("/data/t-0").join(second))
}

#[tokio::test]
async fn rule_10_a_segment_that_is_missing_below_the_recovery_point_is_damage() {
    let (mut bench, second) = twelve_batches().await;
    bench.disk.unlink(&second).unwrap();
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    assert!(matches!(partition.usable(), Err(LogError::Corrupt { .. })), "twelve were acknowledged");
    let Err(LogError::Corrupt { .. }) = partition.read(partition.offsets().hw, 100) else {
        panic!("not the end of the log")
    };
}

#[tokio::test]
async fn rule_10_a_sealed_segment_that_lost_its_last_batch_is_damage() {
    let (mut bench, second) = twelve_batches().await;
    let len = bench.disk.bytes(&second).unwrap().len();
    bench.disk.open(&second).unwrap().truncate((len / 4 * 3) as u64).unwrap();
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), small_segments()).unwrap();
    assert!(matches!(partition.usable(), Err(LogError::Corrupt { .. })), "twelve were acknowledged");
    let Err(LogError::Corrupt { .. }) = partition.read(partition.offsets().hw, 100) else {
        panic!("not the end of the log")
    };
}
