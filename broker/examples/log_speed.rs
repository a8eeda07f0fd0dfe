//! What the log does in a second, without a network: appends beside a bare loop of writes with the same syncs, recovery
//! of what was not flushed, and the opening of many partitions. `bench/log` builds and runs it, alternating the two
//! sides in each round; prints one line a figure. Everything it writes is in a folder of its own, removed at the end.

#![allow(missing_docs, clippy::disallowed_methods, reason = "a program that measures reads the clock")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use sluice_broker::clock::MachineClock;
use sluice_broker::ids::{LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName};
use sluice_broker::log::{Cleanup, FlushEvery, LogConfig, LogDir, LogDirSettings, Origin, Partition, PartitionIdent};
use sluice_broker::record::{Compression, Message, TimestampType, build, check_produced};

type Failure = Box<dyn std::error::Error>;

const RECORDS_PER_BATCH: usize = 16;
const ROUNDS: usize = 3;
const PARTITIONS: usize = 2_000;
/// What may be appended and not yet synced: what the broker lets connections have waiting.
const UNSYNCED_BATCHES_MAX: usize = 4_096;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let parent = args.next().unwrap_or_else(|| ".".to_owned());
    let mebibytes: usize = args.next().map_or(Ok(2_048), |text| text.parse())?;
    let dir = tempfile::Builder::new().prefix("sluice-log-speed-").tempdir_in(parent)?;
    let batch = batch()?;
    let batches = mebibytes * 1024 * 1024 / batch.len();
    append(dir.path(), &batch, batches)?;
    recover(dir.path(), &batch, batches)?;
    read_fresh(&dir.path().join("read"), &batch)?;
    open_many(&dir.path().join("many"))
}

fn append(dir: &Path, batch: &Bytes, batches: usize) -> Result<(), Failure> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bare.push(bare_writes(&dir.join(format!("bare-{round}")), batch, batches)?);
        ours.push(log_appends(&dir.join(format!("log-{round}")), batch, batches)?);
        println!("round {round}: bare {:.0} MB/s, log {:.0} MB/s", bare[round], ours[round]);
    }
    let (ours, bare) = (median(&mut ours), median(&mut bare));
    println!(
        "append, 16 KiB batches, synced beside: log {ours:.0} MB/s, bare {bare:.0} MB/s, {:.0} %",
        100.0 * ours / bare
    );
    Ok(())
}

/// One thread writes, another syncs as fast as it can: what the log does, without being one.
fn bare_writes(path: &Path, batch: &Bytes, batches: usize) -> Result<f64, Failure> {
    let file = Arc::new(File::create(path)?);
    let written = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let syncer = std::thread::spawn({
        let (file, written) = (Arc::clone(&file), Arc::clone(&written));
        move || -> std::io::Result<()> {
            while !written.load(Ordering::Acquire) {
                file.sync_data()?;
            }
            file.sync_data()
        }
    });
    for n in 0..batches {
        file.write_all_at(batch, (n * batch.len()) as u64)?;
    }
    written.store(true, Ordering::Release);
    syncer.join().map_err(|_| "the syncing thread ended abnormally")??;
    let rate = rate(batch, batches, start);
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn log_appends(path: &Path, batch: &Bytes, batches: usize) -> Result<f64, Failure> {
    let dir = open(path)?;
    let partition = dir.create(ident(0)?, config(true))?;
    let start = Instant::now();
    fill(&partition, batch, batches)?;
    let rate = rate(batch, batches, start);
    dir.close()?;
    std::fs::remove_dir_all(path)?;
    Ok(rate)
}

fn fill(partition: &Arc<Partition>, batch: &Bytes, batches: usize) -> Result<(), Failure> {
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..batches {
        waiting.push_back(partition.append(check_produced(batch.clone(), 1 << 20)?, Origin::Client));
        if waiting.len() > UNSYNCED_BATCHES_MAX
            && let Some(oldest) = waiting.pop_front()
        {
            futures::executor::block_on(oldest.durable())?;
        }
    }
    for ticket in waiting {
        futures::executor::block_on(ticket.durable())?;
    }
    Ok(())
}

/// A log of which nothing is known to be flushed: every byte is read, verified, written again and synced.
fn recover(dir: &Path, batch: &Bytes, batches: usize) -> Result<(), Failure> {
    let path = dir.join("recover");
    {
        let dir = open(&path)?;
        let partition = dir.create(ident(0)?, config(false))?;
        fill(&partition, batch, batches)?;
        // Dropped without `close`: as after a kill.
    }
    let bytes = (batch.len() * batches) as f64;
    for (name, forget) in [("unflushed", true), ("flushed, after a kill", false)] {
        if forget {
            let _ = std::fs::remove_file(path.join("recovery-point-offset-checkpoint"));
        }
        let dir = open(&path)?;
        let start = Instant::now();
        let partition = dir.open_existing(ident(0)?, config(true))?;
        partition.usable()?;
        let seconds = start.elapsed().as_secs_f64();
        println!("recovery, {name}: {:.2} s for {:.2} GB, {:.2} GB/s", seconds, bytes / 1e9, bytes / 1e9 / seconds);
        drop(partition);
        dir.close()?;
        std::fs::remove_file(path.join(".kafka_cleanshutdown"))?;
    }
    std::fs::remove_dir_all(path)?;
    Ok(())
}

/// What a cache of our own for fresh records would save.
fn read_fresh(path: &Path, batch: &Bytes) -> Result<(), Failure> {
    let dir = open(path)?;
    let partition = dir.create(ident(0)?, config(true))?;
    fill(&partition, batch, 1_000)?;
    let (from, reads) = (Offset(partition.offsets().hw.0 - RECORDS_PER_BATCH as i64), 200_000u32);
    let start = Instant::now();
    for _ in 0..reads {
        assert_eq!(partition.read(from, batch.len())?.len(), batch.len());
    }
    let read = start.elapsed() / reads;
    let start = Instant::now();
    for _ in 0..reads {
        std::hint::black_box(Bytes::copy_from_slice(std::hint::black_box(batch)));
    }
    println!("read the last 16 KiB: {read:?} from the page cache; a copy within memory {:?}", start.elapsed() / reads);
    Ok(dir.close()?)
}

fn open_many(path: &Path) -> Result<(), Failure> {
    {
        let dir = open(path)?;
        let start = Instant::now();
        for n in 0..PARTITIONS {
            let partition = dir.create(ident(n)?, config(true))?;
            let one = build(&[message(100)], TimestampMs(1), Compression::None, None)?;
            partition.append(one, Origin::Client).placed().cloned().map_err(Clone::clone)?;
        }
        println!("make {PARTITIONS} partitions with a record each: {:.2} s", start.elapsed().as_secs_f64());
        dir.close()?;
    }
    let before = resident_kib()?;
    let start = Instant::now();
    let dir = open(path)?;
    let mut partitions = Vec::with_capacity(PARTITIONS);
    for n in 0..PARTITIONS {
        let partition = dir.open_existing(ident(n)?, config(true))?;
        assert_eq!(partition.offsets().hw, Offset(1));
        partitions.push(partition);
    }
    let seconds = start.elapsed().as_secs_f64();
    let kib = resident_kib()?.saturating_sub(before);
    println!("open {PARTITIONS} partitions after a clean stop, one thread: {seconds:.2} s, {kib} KiB more in memory");
    Ok(dir.close()?)
}

fn open(path: &Path) -> Result<Arc<LogDir>, Failure> {
    let dir = LogDir::open(LogDirSettings::new(PathBuf::from(path)), Arc::new(MachineClock))?;
    dir.begin_term(LeaderEpoch(1));
    Ok(dir)
}

fn ident(n: usize) -> Result<PartitionIdent, Failure> {
    Ok(PartitionIdent {
        topic: TopicName::new(&format!("t{n}")).map_err(|_| "a name")?,
        topic_id: TopicId(uuid::Uuid::from_u128(n as u128 + 1)),
        partition: PartitionId(0),
    })
}

fn config(sync: bool) -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        index_interval_bytes: 4_096,
        message_bytes_max: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        sync,
        flush: FlushEvery::NEVER,
        cleanup: Cleanup::default(),
    }
}

fn message(bytes: usize) -> Message {
    Message { value: Some(Bytes::from(vec![7; bytes])), ..Message::default() }
}

fn batch() -> Result<Bytes, Failure> {
    let messages: Vec<Message> = (0..RECORDS_PER_BATCH).map(|_| message(1_000)).collect();
    Ok(build(&messages, TimestampMs(1), Compression::None, None)?.bytes().clone())
}

fn rate(batch: &Bytes, batches: usize, start: Instant) -> f64 {
    (batch.len() * batches) as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn resident_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}
