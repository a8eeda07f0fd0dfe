//! What a large volume and many idle partitions cost: CPU seconds a GB produced and consumed, and memory.

use std::path::PathBuf;

use clap::Args;

use crate::broker::{Broker, Kind};
use crate::load;

type Failure = Box<dyn std::error::Error>;

/// CPU and memory of a large volume, and of many idle partitions.
#[derive(Debug, Args)]
pub struct VolumeArgs {
    /// The sluice binary.
    #[arg(long)]
    sluice: PathBuf,
    /// The script that starts Apache Kafka, to compare with.
    #[arg(long)]
    kafka: Option<PathBuf>,
    /// GB through each broker, written and read.
    #[arg(long, default_value_t = 10)]
    gigabytes: u64,
    /// Idle partitions (of sluice alone).
    #[arg(long, default_value_t = 2_000)]
    partitions: i32,
    /// Where everything is kept.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

pub fn run(args: &VolumeArgs) -> Result<(), Failure> {
    let dir = tempfile::Builder::new().prefix("sluice-bench-").tempdir_in(&args.dir)?;
    let mut kinds = vec![Kind::Sluice(args.sluice.clone())];
    kinds.extend(args.kafka.clone().map(Kind::Kafka));
    for kind in &kinds {
        let broker = Broker::start(kind, dir.path())?;
        let started = broker.usage()?;
        let (mut wrote, mut read, records) = (0.0, 0.0, 1_000_000);
        for gigabyte in 0..args.gigabytes {
            let topic = format!("volume-{gigabyte}");
            wrote += load::produce(&broker.bootstrap, &topic, records, 1_000)?.as_secs_f64();
            read += load::consume(&broker.bootstrap, &topic, records)?.as_secs_f64();
        }
        let used = broker.usage()?;
        let gigabytes = args.gigabytes as f64;
        println!(
            "{}: {gigabytes} GB written in {wrote:.1} s and read in {read:.1} s, {:.2} CPU s a GB; memory {:.0} MB at the start, \
             {:.0} MB after",
            broker.name,
            (used.cpu_seconds - started.cpu_seconds) / gigabytes,
            started.rss_mb,
            used.rss_mb
        );
    }
    idle(args, dir.path())
}

fn idle(args: &VolumeArgs, dir: &std::path::Path) -> Result<(), Failure> {
    let place = dir.join("idle");
    {
        let broker = Broker::start_sluice(&args.sluice, &place, &[])?;
        let empty = broker.usage()?.rss_mb;
        for topic in 0..args.partitions / 100 {
            load::create(&broker.bootstrap, &format!("idle-{topic}"), 100)?;
        }
        println!(
            "{} partitions made: memory {empty:.0} MB before, {:.0} MB after",
            args.partitions,
            broker.usage()?.rss_mb
        );
    }
    let start = std::time::Instant::now();
    let broker = Broker::start_sluice(&args.sluice, &place, &[])?;
    println!(
        "started again with {} partitions in {:.2} s; memory {:.0} MB",
        args.partitions,
        start.elapsed().as_secs_f64(),
        broker.usage()?.rss_mb
    );
    Ok(())
}
