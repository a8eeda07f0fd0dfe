//! Compaction against a model: offsets stay, the last record of each key stays, tombstones stay their time, producers go
//! on, and no crash at any step of it loses or doubles anything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::log::Compaction;
use crate::log::io::Disk;
use crate::log::sync::registry::Points;

/// What the log must say: offset to key and value.
type Records = BTreeMap<i64, (String, Option<String>)>;

const KEYS_BYTES: usize = 1 << 20;

/// Segments of a few batches, compacted as soon as anything is sealed.
fn compacted(delete_retention_ms: i64) -> LogConfig {
    let compact = Compaction { min_dirty_millionths: 0, min_lag_ms: 0, max_lag_ms: i64::MAX, delete_retention_ms };
    let cleanup = Cleanup { compact: Some(compact), ..Cleanup::default() };
    LogConfig { segment_bytes: 500, index_interval_bytes: 100, cleanup, ..config() }
}

fn keyed(key: &str, value: Option<&str>, time: i64) -> Message {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Message { key: Some(bytes(key)), value: value.map(bytes), timestamp: Some(TimestampMs(time)), ..Message::default() }
}

/// Appends one batch and notes it.
async fn put(bench: &Bench, partition: &Arc<Partition>, records: &mut Records, batch: &[(String, Option<String>)]) {
    let now = bench.clock.wall().0;
    let messages: Vec<Message> = batch.iter().map(|(key, value)| keyed(key, value.as_deref(), now)).collect();
    let compression = if batch.len() > 1 { Compression::Lz4 } else { Compression::None };
    let built = build(&messages, TimestampMs(now), compression, None).unwrap();
    let appended = bounded_wait(partition.append(built, Origin::Client).durable()).await.unwrap();
    records.extend((appended.base_offset.0..).zip(batch.iter().cloned()));
}

fn one(key: &str, value: Option<&str>) -> Vec<(String, Option<String>)> {
    vec![(key.to_owned(), value.map(str::to_owned))]
}

fn read_records(partition: &Partition) -> Records {
    let (mut found, mut at) = (Records::new(), partition.offsets().log_start);
    while at < partition.offsets().hw {
        let mut slice = partition.read(at, 400).unwrap();
        assert!(!slice.is_empty(), "nothing at {at} below HW");
        while !slice.is_empty() {
            let stored = check_stored(slice.clone()).unwrap();
            for record in records(&stored).unwrap() {
                let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
                let before =
                    found.insert(record.offset.0, (text(&record.key.unwrap()), record.value.as_ref().map(text)));
                assert!(before.is_none(), "offset {} is there twice", record.offset);
            }
            at = stored.header().next_offset();
            slice = slice.split_off(stored.header().size);
        }
    }
    found
}

/// Nothing is there that was not written there, and the last of every key is; `all`: of the last, tombstones too.
fn check(found: &Records, written: &Records, all: bool, text: &str) {
    for (offset, record) in found {
        assert_eq!(written.get(offset), Some(record), "{text}: offset {offset}");
    }
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for (offset, (key, _)) in written {
        last.insert(key, *offset);
    }
    for (key, offset) in last {
        if all || written[&offset].1.is_some() {
            assert!(found.contains_key(&offset), "{text}: the last of {key}, at {offset}, is gone");
        }
    }
}

/// Everything synced, sealed segments below the recovery point on disk.
async fn settle_all(dir: &LogDir, partition: &Partition) {
    partition.flushed().await.unwrap();
    dir.registry.write_recovery_points(Points::All).unwrap();
}

#[tokio::test]
async fn of_each_key_the_last_record_stays_at_its_offset() {
    let mut bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), compacted(1_000)).unwrap();
    let mut written = Records::new();
    for n in 0..40 {
        put(&bench, &partition, &mut written, &one(&format!("k{}", n % 5), Some(&n.to_string()))).await;
    }
    settle_all(&dir, &partition).await;
    let before = partition.offsets();
    let segments = partition.view().sealed.len();
    dir.compact(KEYS_BYTES);
    let found = read_records(&partition);
    check(&found, &written, true, "compacted");
    assert!(found.len() <= 5 + 10, "only the active segment has what is superseded: {}", found.len());
    assert_eq!(partition.offsets(), before);
    assert!(!partition.read(Offset(0), 1).unwrap().is_empty());
    assert!(bench.text("/data/cleaner-offset-checkpoint").starts_with("0\n1\nt 0 "));
    let syncs = bench.disk.operations();
    dir.compact(KEYS_BYTES);
    assert_eq!(bench.disk.operations(), syncs, "nothing is dirty any more");
    for n in 40..60 {
        put(&bench, &partition, &mut written, &one(&format!("k{}", n % 7), Some(&n.to_string()))).await;
    }
    settle_all(&dir, &partition).await;
    // Room for one key at a time: as many passes as it takes.
    dir.compact(1);
    check(&read_records(&partition), &written, true, "in little memory");
    assert!(partition.view().sealed.len() < segments / 2, "small ones were merged");
    assert!(partition.find_max_time().unwrap().is_some());
    drop((dir, partition));
    bench.kill();
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), compacted(1_000)).unwrap();
    partition.usable().unwrap();
    check(&read_records(&partition), &written, true, "reopened");
    assert_eq!(partition.offsets().hw, Offset(60));
}

#[tokio::test]
async fn kip_534_a_tombstone_stays_for_its_time_after_the_first_pass_and_then_goes() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), compacted(1_000)).unwrap();
    let mut written = Records::new();
    put(&bench, &partition, &mut written, &one("a", Some("1"))).await;
    put(&bench, &partition, &mut written, &one("a", None)).await;
    let fill = |from: i64| (from..from + 20).map(|n| one("filler", Some(&n.to_string()))).collect::<Vec<_>>();
    for (round, stays) in [(0, true), (999, true), (1, false)] {
        bench.clock.advance_ms(round);
        for batch in fill(round) {
            put(&bench, &partition, &mut written, &batch).await;
        }
        settle_all(&dir, &partition).await;
        dir.compact(KEYS_BYTES);
        let found = read_records(&partition);
        check(&found, &written, stays, "tombstones");
        assert_eq!(found.contains_key(&1), stays, "after {round}");
        assert!(!found.contains_key(&0));
    }
}

#[tokio::test]
async fn rule_19_sequences_go_on_though_every_record_of_a_producer_is_superseded() {
    let mut bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), compacted(0)).unwrap();
    let stamped = |first: i32| {
        let stamp = ProducerStamp { id: ProducerId(7), epoch: ProducerEpoch(0), first: Sequence(first) };
        build(&[keyed("a", Some("mine"), 1)], TimestampMs(1), Compression::None, Some(stamp)).unwrap()
    };
    let mut written = Records::new();
    for first in 0..3 {
        partition.append(stamped(first), Origin::Client).placed().unwrap();
        written.insert(i64::from(first), ("a".to_owned(), Some("mine".to_owned())));
    }
    for n in 0..20 {
        put(&bench, &partition, &mut written, &one("a", Some(&n.to_string()))).await;
    }
    settle_all(&dir, &partition).await;
    dir.compact(KEYS_BYTES);
    let found = read_records(&partition);
    assert!(!found.contains_key(&2), "its value is superseded");
    let first = partition.view().sealed[0].clone();
    drop((dir, partition));
    bench.kill();
    // Without a snapshot there is only what the log says.
    for name in bench.names("/data/t-0").into_iter().filter(|name| name.ends_with(".snapshot")) {
        bench.disk.unlink(&PathBuf::from("/data/t-0").join(name)).unwrap();
    }
    assert!(first.size > 0);
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), compacted(0)).unwrap();
    assert!(partition.append(stamped(2), Origin::Client).placed().unwrap().duplicate, "the last batch is known");
    assert!(partition.append(stamped(9), Origin::Client).placed().is_err(), "a gap is one");
    assert!(!partition.append(stamped(3), Origin::Client).placed().unwrap().duplicate);
}

#[tokio::test]
async fn rule_3_who_reads_an_old_segment_goes_on_reading_it() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), compacted(0)).unwrap();
    let mut written = Records::new();
    for n in 0..30 {
        put(&bench, &partition, &mut written, &one("a", Some(&n.to_string()))).await;
    }
    settle_all(&dir, &partition).await;
    let spans: Vec<_> = partition.view().spans(None).collect();
    dir.compact(KEYS_BYTES);
    for span in &spans[..spans.len() - 1] {
        for offset in span.segment.base.0..span.end.0 {
            let found = partition.first_holding(span, Offset(offset)).unwrap().expect("still there");
            assert_eq!(found.header.base_offset, Offset(offset));
        }
    }
    assert_eq!(read_records(&partition).keys().next(), Some(&(spans.last().unwrap().segment.base.0 - 1)));
}

/// Wherever the power goes, and again while the next start puts things in order: everything the model has is there.
#[test]
fn a_power_cut_at_any_step_of_compaction_loses_and_doubles_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for stop in 0.. {
        let mut bench = Bench::new();
        let dir = bench.open();
        let partition = dir.create(ident("t"), compacted(0)).unwrap();
        let mut written = Records::new();
        for n in 0..24 {
            let batch = one(&format!("k{}", n % 3), Some(&n.to_string()));
            runtime.block_on(put(&bench, &partition, &mut written, &batch));
        }
        runtime.block_on(settle_all(&dir, &partition));
        bench.disk.stop_after(stop);
        let before = bench.disk.operations();
        dir.compact(KEYS_BYTES);
        let done = bench.disk.operations() - before < stop;
        drop((dir, partition));
        let disk = bench.disk.clone();
        for seed in 0..8 {
            bench.disk = if seed == 0 { disk.kill() } else { disk.power_cut(seed) };
            if seed > 3 {
                bench.disk.stop_after(seed * 3 - 11);
                let clock: SharedClock = Arc::<ManualClock>::clone(&bench.clock);
                let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(bench.disk.clone()) };
                drop(LogDir::open(settings, clock).map(|dir| dir.open_existing(ident("t"), compacted(0))));
                bench.disk = bench.disk.power_cut(seed);
            }
            let text = format!("stop {stop}, seed {seed}");
            let dir = bench.open();
            let partition = dir.open_existing(ident("t"), compacted(0)).unwrap();
            partition.usable().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(partition.offsets().hw, Offset(24), "{text}");
            check(&read_records(&partition), &written, true, &text);
            let left = bench.names("/data/t-0");
            let interim = |name: &String| [".cleaned", ".swap", ".deleted"].iter().any(|end| name.ends_with(end));
            assert!(!left.iter().any(interim), "{text}: {left:?}");
            runtime.block_on(settle_all(&dir, &partition));
            dir.compact(KEYS_BYTES);
            check(&read_records(&partition), &written, true, &format!("{text}, compacted again"));
        }
        if done {
            break;
        }
        assert!(stop < 1_000, "compaction comes to an end");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<(u8, Option<u8>)>),
    Compact(usize),
    Pass(i64),
    Restart(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let batch = proptest::collection::vec((0u8..6, proptest::option::weighted(0.8, any::<u8>())), 1..5);
    let step = prop_oneof![
        10 => batch.prop_map(Step::Put),
        3 => prop_oneof![Just(1usize), Just(300), Just(KEYS_BYTES)].prop_map(Step::Compact),
        2 => (0i64..800).prop_map(Step::Pass),
        1 => (0u64..50).prop_map(Step::Restart),
    ];
    proptest::collection::vec(step, 1..70)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn the_last_of_each_key_survives_appends_passes_and_crashes_and_no_tombstone_goes_early(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut bench = Bench::new();
        let mut dir = bench.open();
        let mut partition = dir.create(ident("t"), compacted(1_000)).unwrap();
        let mut written = Records::new();
        let mut tombstones: BTreeMap<i64, i64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(batch) => {
                    let text = |(key, value): &(u8, Option<u8>)| (key.to_string(), value.map(|value| value.to_string()));
                    let batch: Vec<_> = batch.iter().map(text).collect();
                    let from = partition.offsets().leo.0;
                    runtime.block_on(put(&bench, &partition, &mut written, &batch));
                    let now = bench.clock.wall().0;
                    for (at, (_, value)) in (from..).zip(&batch) {
                        if value.is_none() {
                            tombstones.insert(at, now);
                        }
                    }
                }
                Step::Compact(keys_bytes) => {
                    runtime.block_on(settle_all(&dir, &partition));
                    dir.compact(keys_bytes);
                }
                Step::Pass(ms) => bench.clock.advance_ms(ms),
                Step::Restart(seed) => {
                    drop((dir, partition));
                    bench.disk = bench.disk.power_cut(seed);
                    dir = bench.open();
                    partition = dir.open_existing(ident("t"), compacted(1_000)).unwrap();
                }
            }
            prop_assert!(partition.usable().is_ok());
            let found = read_records(&partition);
            check(&found, &written, false, "model");
            let active = partition.view().active.as_ref().unwrap().base.0;
            for offset in active..partition.offsets().hw.0 {
                prop_assert!(found.contains_key(&offset), "nothing in the active segment goes");
            }
            let now = bench.clock.wall().0;
            for (offset, at) in &tombstones {
                let last = written.iter().rev().find(|(_, (key, _))| *key == written[offset].0).map(|(at, _)| at);
                if last == Some(offset) && now < at + 1_000 {
                    prop_assert!(found.contains_key(offset), "the tombstone at {} went early", offset);
                }
            }
        }
    }
}
