//! A reader of cold data beside a producer: its records fill the page cache and keep the disk busy, the producer's
//! latency should not notice.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;

use crate::broker::Broker;
use crate::load;

type Failure = Box<dyn std::error::Error>;

/// A producer's latency without and beside a reader of cold data.
#[derive(Debug, Args)]
pub struct ColdArgs {
    /// The sluice binary.
    #[arg(long)]
    sluice: PathBuf,
    /// GB of cold data.
    #[arg(long, default_value_t = 5)]
    gigabytes: u64,
    /// Rounds; each measures without and beside.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Records of 1 KiB a second of the producer.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Leave the data in memory: what a reader costs that never waits for the disk.
    #[arg(long)]
    warm: bool,
    /// Where everything is kept.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

pub fn run(args: &ColdArgs) -> Result<(), Failure> {
    let dir = tempfile::Builder::new().prefix("sluice-bench-").tempdir_in(&args.dir)?;
    let broker = Broker::start_sluice(&args.sluice, &dir.path().join("sluice"), &[])?;
    let records = args.gigabytes * 1_000_000;
    load::produce(&broker.bootstrap, "cold", records, 1_000)?;
    println!("{} GB are there; memory {:.0} MB", args.gigabytes, broker.usage()?.rss_mb);
    let time = Duration::from_secs(args.seconds);
    for round in 0..args.rounds {
        let alone = load::end_to_end(&broker.bootstrap, &format!("alone-{round}"), args.rate, 1_024, time)?;
        if !args.warm {
            forget_pages()?;
        }
        let (stop, read) = (AtomicBool::new(false), AtomicU64::new(0));
        let beside = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(error) = load::read_all(&broker.bootstrap, "cold", records, &stop, &read) {
                        return eprintln!("the cold reader ended: {error}");
                    }
                }
            });
            let beside = load::end_to_end(&broker.bootstrap, &format!("beside-{round}"), args.rate, 1_024, time);
            stop.store(true, Ordering::Relaxed);
            beside
        })?;
        println!(
            "round {round}: alone p50 {:.2} p99 {:.2} p99.9 {:.2} ms; beside {:.0} MB/s of reads p50 {:.2} p99 {:.2} \
             p99.9 {:.2} ms, p99 {:.1} x; memory {:.0} MB",
            alone.p50,
            alone.p99,
            alone.p999,
            read.load(Ordering::Relaxed) as f64 / 1e6 / args.seconds as f64,
            beside.p50,
            beside.p99,
            beside.p999,
            beside.p99 / alone.p99,
            broker.usage()?.rss_mb,
        );
    }
    Ok(())
}

/// So that the reader finds nothing in memory. Needs root.
fn forget_pages() -> Result<(), Failure> {
    Command::new("sync").status()?;
    std::fs::write("/proc/sys/vm/drop_caches", "1\n")
        .map_err(|error| format!("cannot drop the page cache: {error}"))?;
    Ok(())
}
