//! Measures brokers side by side, in one run, through librdkafka: produce, consume and end-to-end latency.
//! `bench/run` builds what is needed and calls this. Prints one line a measurement and, at the end, medians over the rounds.

mod bare;
mod broker;
mod cold;
mod load;
mod report;
mod sync;
mod volume;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::broker::{Broker, Kind};
use crate::report::{Report, Row};

/// Measurements of sluice on this machine, through librdkafka.
#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sluice beside Apache Kafka: latency, throughput, CPU, memory.
    Compare(Compare),
    /// Ways of syncing many partitions, in whole brokers.
    Sync(sync::SyncArgs),
    /// Latency of a producer while somebody else reads cold data.
    Cold(cold::ColdArgs),
    /// CPU and memory of a large volume, and of many idle partitions.
    Volume(volume::VolumeArgs),
}

#[derive(Debug, Args)]
struct Compare {
    /// The sluice binary (a release build).
    #[arg(long)]
    sluice: PathBuf,
    /// Another build of sluice, measured in the same rounds: for a change that must cost nothing.
    #[arg(long)]
    before: Option<PathBuf>,
    /// The script that starts Apache Kafka: `SCRIPT start DIR PORT` prints the pid.
    #[arg(long)]
    kafka: Option<PathBuf>,
    /// Rounds after one warm-up round; brokers alternate within each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each latency measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Records a second while latency is measured.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Bytes of a record.
    #[arg(long, default_value_t = 1_024)]
    size: usize,
    /// Records of each throughput measurement; 0 skips it.
    #[arg(long, default_value_t = 200_000)]
    records: u64,
    /// Where brokers and the bare loop keep their data; on the file system that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match Program::parse().what {
        What::Compare(args) => compare(&args),
        What::Sync(args) => sync::run(&args),
        What::Cold(args) => cold::run(&args),
        What::Volume(args) => volume::run(&args),
    }
}

fn compare(args: &Compare) -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::Builder::new().prefix("sluice-bench-").tempdir_in(&args.dir)?;
    let mut kinds = vec![Kind::Sluice(args.sluice.clone())];
    kinds.extend(args.before.clone().map(Kind::SluiceBefore));
    if let Some(script) = &args.kafka {
        kinds.push(Kind::Kafka(script.clone()));
        kinds.push(Kind::KafkaFlushing(script.clone()));
    }
    let mut brokers = Vec::new();
    for kind in &kinds {
        brokers.push(Broker::start(kind, dir.path())?);
    }
    let mut report = Report::default();
    for round in 0..=args.rounds {
        // The order rotates, so that nobody always comes after the same neighbour.
        for broker in brokers.iter().cycle().skip(round % brokers.len()).take(brokers.len()) {
            let row = measure(args, broker, round, dir.path())?;
            println!("{} {row}", if round == 0 { "warm-up".to_owned() } else { format!("round {round}") });
            if round > 0 {
                report.add(row);
            }
        }
    }
    println!("\n{report}");
    Ok(())
}

fn measure(
    args: &Compare,
    broker: &Broker,
    round: usize,
    dir: &std::path::Path,
) -> Result<Row, Box<dyn std::error::Error>> {
    let bare = bare::write_and_sync(dir, args.size, 500)?;
    let latency_topic = format!("latency-{round}");
    let before = broker.usage()?;
    let latency =
        load::end_to_end(&broker.bootstrap, &latency_topic, args.rate, args.size, Duration::from_secs(args.seconds))?;
    let after = broker.usage()?;
    let (produced, consumed) = if args.records == 0 {
        (None, None)
    } else {
        let topic = format!("volume-{round}");
        let produced = load::produce(&broker.bootstrap, &topic, args.records, args.size)?;
        (Some(produced), Some(load::consume(&broker.bootstrap, &topic, args.records)?))
    };
    let end = broker.usage()?;
    Ok(Row {
        broker: broker.name,
        size: args.size,
        bare,
        latency,
        latency_cpu: after.cpu_seconds - before.cpu_seconds,
        volume_cpu: end.cpu_seconds - after.cpu_seconds,
        produced,
        consumed,
        records: args.records,
        rss_mb: end.rss_mb,
    })
}
