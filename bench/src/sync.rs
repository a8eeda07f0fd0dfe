//! The ways of making many partitions durable, each in a whole broker: end-to-end latency and CPU over loads, numbers of
//! partitions and neighbours. A way is a broker binary with environment variables; a bare write+fdatasync loop runs
//! before each measurement. Prints a row each as it goes and a table of medians at the end.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Args;

use crate::broker::Broker;
use crate::report::Quantiles;
use crate::{bare, load};

type Failure = Box<dyn std::error::Error>;

/// Compare ways of syncing, in whole brokers.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// A way: NAME=BINARY[,VARIABLE=VALUE...]. Repeat it.
    #[arg(long = "way", required = true)]
    ways: Vec<String>,
    /// Partitions of the topic.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 12, 100, 1000])]
    partitions: Vec<i32>,
    /// Records of 1 KiB a second; 50000 go in batches of 16 KiB, the others one by one.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 50_000])]
    rates: Vec<u64>,
    /// Who else is on the machine: quiet, cpu (one busy process), disk (100 MB/s of writes to the same file system).
    #[arg(long, value_delimiter = ',', default_values_t = ["quiet".to_owned(), "cpu".to_owned(), "disk".to_owned()])]
    neighbours: Vec<String>,
    /// Rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where everything is kept.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    neighbour: String,
    rate: u64,
    partitions: i32,
    way: String,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    bare: Quantiles,
    latency: Quantiles,
    cpu: f64,
}

pub fn run(args: &SyncArgs) -> Result<(), Failure> {
    let dir = tempfile::Builder::new().prefix("sluice-bench-").tempdir_in(&args.dir)?;
    let mut brokers = Vec::new();
    for way in &args.ways {
        let (name, rest) = way.split_once('=').ok_or("a way is NAME=BINARY[,VARIABLE=VALUE...]")?;
        let mut parts = rest.split(',');
        let binary = PathBuf::from(parts.next().unwrap_or_default());
        let variables: Vec<(String, String)> =
            parts.filter_map(|part| part.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        brokers.push((name.to_owned(), Broker::start_sluice(&binary, &dir.path().join(name), &variables)?));
    }
    let mut cells: BTreeMap<Cell, Vec<Measured>> = BTreeMap::new();
    for round in 0..args.rounds {
        for neighbour in &args.neighbours {
            let _neighbour = Neighbour::start(neighbour, dir.path())?;
            for (rate, partitions) in
                args.rates.iter().flat_map(|rate| args.partitions.iter().map(move |p| (*rate, *p)))
            {
                for (way, broker) in &brokers {
                    let cell = Cell { neighbour: neighbour.clone(), rate, partitions, way: way.clone() };
                    let topic = format!("{neighbour}-{rate}-{partitions}-{round}");
                    let measured = measure(args, broker, &topic, &cell, dir.path());
                    match measured {
                        Ok(measured) => {
                            println!("round {round} {}", row(&cell, &measured));
                            cells.entry(cell).or_default().push(measured);
                        }
                        Err(error) => println!("round {round} {cell:?}: {error}"),
                    }
                    std::io::stdout().flush()?;
                }
            }
        }
    }
    println!("\nmedians of {} rounds of {} s", args.rounds, args.seconds);
    for (cell, all) in &cells {
        println!("{}", row(cell, &medians(all)));
    }
    Ok(())
}

fn measure(args: &SyncArgs, broker: &Broker, topic: &str, cell: &Cell, dir: &Path) -> Result<Measured, Failure> {
    let bare = bare::write_and_sync(dir, 1_024, 200)?;
    let before = broker.usage()?;
    let time = Duration::from_secs(args.seconds);
    let latency = load::spread(&broker.bootstrap, topic, cell.partitions, cell.rate, 1_024, time)?;
    Ok(Measured { bare, latency, cpu: broker.usage()?.cpu_seconds - before.cpu_seconds })
}

fn row(cell: &Cell, m: &Measured) -> String {
    format!(
        "{:<6} {:>6}/s {:>5} partitions {:<10} p50 {:>8.2} p99 {:>8.2} p99.9 {:>8.2} ms, {:>5.2} cpu s, bare {:.2}/{:.2} ms",
        cell.neighbour,
        cell.rate,
        cell.partitions,
        cell.way,
        m.latency.p50,
        m.latency.p99,
        m.latency.p999,
        m.cpu,
        m.bare.p50,
        m.bare.p99
    )
}

fn medians(all: &[Measured]) -> Measured {
    let middle = |of: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Measured {
        bare: Quantiles { p50: middle(|m| m.bare.p50), p99: middle(|m| m.bare.p99), p999: middle(|m| m.bare.p999) },
        latency: Quantiles {
            p50: middle(|m| m.latency.p50),
            p99: middle(|m| m.latency.p99),
            p999: middle(|m| m.latency.p999),
        },
        cpu: middle(|m| m.cpu),
    }
}

/// Somebody else on the machine, until dropped.
enum Neighbour {
    Nobody,
    Busy(Child),
    Writing(Arc<AtomicBool>, Option<JoinHandle<()>>),
}

impl Neighbour {
    fn start(name: &str, dir: &Path) -> Result<Neighbour, Failure> {
        match name {
            "quiet" => Ok(Neighbour::Nobody),
            "cpu" => {
                let mut busy = Command::new("sh");
                Ok(Neighbour::Busy(busy.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn()?))
            }
            "disk" => {
                let stop = Arc::new(AtomicBool::new(false));
                let (path, stopped) = (dir.join("neighbour"), Arc::clone(&stop));
                let writing = std::thread::spawn(move || {
                    let _ = write_steadily(&path, &stopped);
                });
                Ok(Neighbour::Writing(stop, Some(writing)))
            }
            other => Err(format!("no neighbour '{other}': quiet, cpu and disk are known").into()),
        }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        match self {
            Neighbour::Nobody => {}
            Neighbour::Busy(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Neighbour::Writing(stop, writing) => {
                stop.store(true, Ordering::Relaxed);
                if let Some(writing) = writing.take() {
                    let _ = writing.join();
                }
            }
        }
    }
}

/// 1 MiB each 10 ms, beginning again at 2 GiB.
fn write_steadily(path: &Path, stop: &AtomicBool) -> std::io::Result<()> {
    let block = vec![3u8; 1 << 20];
    let mut file = std::fs::File::create(path)?;
    let (start, mut written) = (Instant::now(), 0u32);
    while !stop.load(Ordering::Relaxed) {
        file.write_all(&block)?;
        written += 1;
        if written % 2_048 == 0 {
            file = std::fs::File::create(path)?;
        }
        let due = start + Duration::from_millis(10) * written;
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
    }
    std::fs::remove_file(path)
}
