//! Rows and medians, in words that can be pasted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Three quantiles of a set of times, in ms.
#[derive(Clone, Copy, Debug)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Quantiles {
    pub fn of(mut times: Vec<Duration>) -> Quantiles {
        times.sort_unstable();
        let at = |q: f64| {
            let index = ((times.len() as f64 * q) as usize).min(times.len().saturating_sub(1));
            times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        Quantiles { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}

/// One broker in one round.
#[derive(Clone, Debug)]
pub struct Row {
    pub broker: &'static str,
    pub size: usize,
    /// The bare write+fdatasync loop, just before.
    pub bare: Quantiles,
    pub latency: Quantiles,
    pub latency_cpu: f64,
    pub volume_cpu: f64,
    pub produced: Option<Duration>,
    pub consumed: Option<Duration>,
    pub records: u64,
    pub rss_mb: f64,
}

impl Row {
    fn rate(&self, time: Option<Duration>) -> f64 {
        time.map_or(f64::NAN, |time| self.records as f64 / time.as_secs_f64())
    }

    fn figures(&self) -> [f64; 10] {
        [
            self.bare.p50,
            self.bare.p99,
            self.latency.p50,
            self.latency.p99,
            self.latency.p999,
            self.rate(self.produced),
            self.rate(self.consumed),
            self.latency_cpu,
            self.volume_cpu,
            self.rss_mb,
        ]
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, self.broker, self.size, &self.figures())?;
        // A busy machine makes every latency a lie (each woken thread waits for a slice).
        if self.bare.p99 > 1.0 { write!(f, "  [bare loop over 1 ms: thrown away]") } else { Ok(()) }
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, size: usize, figures: &[f64; 10]) -> fmt::Result {
    let [bare50, bare99, p50, p99, p999, produced, consumed, cpu, volume_cpu, rss] = figures;
    let mb = |rate: f64| rate * size as f64 / 1e6;
    write!(
        f,
        "{name:<12} bare {bare50:.2}/{bare99:.2} ms | end to end p50 {p50:.2} p99 {p99:.2} p99.9 {p999:.2} ms, {cpu:.2} cpu s | \
         produce {produced:.0} msg/s {:.0} MB/s, consume {consumed:.0} msg/s {:.0} MB/s, {volume_cpu:.2} cpu s | rss {rss:.0} MB",
        mb(*produced),
        mb(*consumed),
    )
}

/// Every row that counts.
#[derive(Default)]
pub struct Report {
    rows: BTreeMap<&'static str, Vec<Row>>,
}

impl Report {
    pub fn add(&mut self, row: Row) {
        self.rows.entry(row.broker).or_default().push(row);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (broker, rows) in &self.rows {
            let quiet: Vec<&Row> = rows.iter().filter(|row| row.bare.p99 <= 1.0).collect();
            let counted = if quiet.is_empty() { rows.iter().collect() } else { quiet };
            let mut medians = [0.0; 10];
            for (at, median) in medians.iter_mut().enumerate() {
                let mut values: Vec<f64> = counted.iter().map(|row| row.figures()[at]).collect();
                values.sort_by(f64::total_cmp);
                *median = values[values.len() / 2];
            }
            write!(f, "median of {} of {}: ", counted.len(), rows.len())?;
            line(f, broker, counted[0].size, &medians)?;
            writeln!(f)?;
        }
        Ok(())
    }
}
