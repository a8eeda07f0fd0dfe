//! The page of `/metrics` while it is written: families of numbers in the text format of OpenMetrics, which Prometheus' older
//! text format reads as well. Sections write to it, one after the other; a family is written once, whole, by one section.
//! Never a label whose text a stranger chooses without a bound.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::counts::{Counter, Histogram};

/// A part of the broker that shows something. Called on a thread that may block, at most once at a time; holds its locks only
/// for a slice of what it walks over.
pub trait Section: fmt::Debug + Send + Sync {
    /// Writes its families.
    fn show(&self, page: &mut Page<'_>);
}

/// How much of what strangers can multiply is shown by name; the rest is in the sums alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Partitions.
    pub partitions_max: usize,
    /// Groups.
    pub groups_max: usize,
}

/// The page.
#[derive(Debug)]
pub struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
    bounds: Bounds,
    outcome: fmt::Result,
}

/// The rows of one family.
#[derive(Debug)]
pub struct Rows<'a> {
    encoder: MetricEncoder<'a>,
    outcome: fmt::Result,
}

/// Names and values of a row's labels.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page<'_> {
    /// How much may be shown by name.
    #[must_use]
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Numbers that only rise. `name` is without `_total`, which each row gets.
    pub fn counters(&mut self, name: &'static str, help: &'static str, rows: impl FnOnce(&mut Rows<'_>)) {
        self.family(name, help, MetricType::Counter, rows);
    }

    /// One number that only rises.
    pub fn counter(&mut self, name: &'static str, help: &'static str, count: &Counter) {
        self.counters(name, help, |rows| rows.count(&[], count.get()));
    }

    /// Numbers that rise and fall.
    pub fn gauges(&mut self, name: &'static str, help: &'static str, rows: impl FnOnce(&mut Rows<'_>)) {
        self.family(name, help, MetricType::Gauge, rows);
    }

    /// One number that rises and falls.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.gauges(name, help, |rows| rows.value(&[], value));
    }

    /// Distributions.
    pub fn histograms(&mut self, name: &'static str, help: &'static str, rows: impl FnOnce(&mut Rows<'_>)) {
        self.family(name, help, MetricType::Histogram, rows);
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: MetricType, rows: impl FnOnce(&mut Rows<'_>)) {
        let outcome = self.encoder.encode_descriptor(name, help, None, kind).and_then(|encoder| {
            let mut family = Rows { encoder, outcome: Ok(()) };
            rows(&mut family);
            family.outcome
        });
        self.outcome = self.outcome.and(outcome);
    }
}

impl Rows<'_> {
    /// A row of a family of counters.
    pub fn count(&mut self, labels: Labels<'_>, count: u64) {
        self.row(labels, |encoder| encoder.encode_counter::<NoLabelSet, _, u64>(&count, None));
    }

    /// As `count`, for what is counted in parts, as seconds.
    pub(crate) fn count_of(&mut self, labels: Labels<'_>, count: f64) {
        self.row(labels, |encoder| encoder.encode_counter::<NoLabelSet, _, u64>(&count, None));
    }

    /// A row of a family of gauges.
    pub(crate) fn value(&mut self, labels: Labels<'_>, value: f64) {
        self.row(labels, |encoder| encoder.encode_gauge(&value));
    }

    /// As `value`, for an offset, a length or a number of things.
    pub fn number(&mut self, labels: Labels<'_>, number: i64) {
        self.row(labels, |encoder| encoder.encode_gauge(&number));
    }

    /// A row of a family of histograms.
    pub fn distribution(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let shown = histogram.distribution();
        self.row(labels, |encoder| {
            encoder.encode_histogram::<NoLabelSet>(shown.sum, shown.count, &shown.buckets, None)
        });
    }

    fn row(&mut self, labels: Labels<'_>, write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result) {
        let outcome = match labels {
            [] => write(&mut self.encoder),
            labels => self.encoder.encode_family(&labels).and_then(|mut row| write(&mut row)),
        };
        self.outcome = self.outcome.and(outcome);
    }
}

/// All sections, as the one collector of a registry that lives for one page.
#[derive(Debug)]
struct Collected {
    sections: Vec<Arc<dyn Section>>,
    bounds: Bounds,
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder, bounds: self.bounds, outcome: Ok(()) };
        self.sections.iter().for_each(|section| section.show(&mut page));
        page.outcome
    }
}

/// One page in both forms. Clones share them.
#[derive(Clone, Debug)]
pub struct Written {
    /// The text format of OpenMetrics 1.0.
    pub open_metrics: Bytes,
    /// Prometheus' text format 0.0.4.
    pub prometheus: Bytes,
}

/// The whole page.
pub(super) fn write(sections: Vec<Arc<dyn Section>>, bounds: Bounds) -> Result<Written, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected { sections, bounds }));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    let prometheus = older(&page).into();
    Ok(Written { open_metrics: page.into(), prometheus })
}

/// The same page in the older format, in which a counter's help and type stand under the name of its samples: it would have
/// neither otherwise.
fn older(page: &str) -> String {
    let mut older = String::with_capacity(page.len());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").and_then(|help| help.split_once(' '));
        let mut of_counter = |name: &str| lines.peek().is_some_and(|next| *next == format!("# TYPE {name} counter"));
        match help.filter(|(name, _)| of_counter(name)) {
            Some((name, help)) => {
                lines.next();
                older.push_str(&format!("# HELP {name}_total {help}\n# TYPE {name}_total counter\n"));
            }
            None if line == "# EOF" => {}
            None => {
                older.push_str(line);
                older.push('\n');
            }
        }
    }
    older
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Shown;

    impl Section for Shown {
        fn show(&self, page: &mut Page<'_>) {
            page.counters("sluice_a", "Counted.", |rows| {
                rows.count(&[("kind", "one")], 3);
                rows.count(&[("kind", "a \"quoted\"\nline\\")], 4);
            });
            let partitions = page.bounds().partitions_max;
            page.gauge("sluice_b", "Now.", f64::from(u32::try_from(partitions).unwrap()));
            let sizes = Histogram::of_sizes();
            sizes.sized(2);
            page.histograms("sluice_c", "Sizes.", |rows| rows.distribution(&[("way", "x")], &sizes));
            page.gauges("sluice_d", "None yet.", |_| {});
        }
    }

    #[test]
    fn a_page_is_the_text_format_and_what_a_label_says_cannot_end_it() {
        let written = write(vec![Arc::new(Shown)], Bounds { partitions_max: 7, groups_max: 1 }).unwrap();
        let page = std::str::from_utf8(&written.open_metrics).unwrap();
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "# HELP sluice_a Counted.",
                "# TYPE sluice_a counter",
                "sluice_a_total{kind=\"one\"} 3",
                "sluice_a_total{kind=\"a \\\"quoted\\\"\\nline\\\\\"} 4",
            ]
        );
        assert!(lines.contains(&"sluice_b 7.0"), "{page}");
        assert!(lines.contains(&"sluice_c_bucket{le=\"1.0\",way=\"x\"} 0"), "{page}");
        assert!(lines.contains(&"sluice_c_bucket{le=\"+Inf\",way=\"x\"} 1"), "{page}");
        assert!(lines.contains(&"sluice_c_count{way=\"x\"} 1"), "{page}");
        assert_eq!(lines[lines.len() - 2..], ["# TYPE sluice_d gauge", "# EOF"]);
        let older = std::str::from_utf8(&written.prometheus).unwrap();
        assert!(older.starts_with("# HELP sluice_a_total Counted.\n# TYPE sluice_a_total counter\nsluice_a_total{"));
        assert!(older.contains("\n# HELP sluice_b Now.\n# TYPE sluice_b gauge\nsluice_b 7.0\n"), "{older}");
        assert!(older.ends_with("# TYPE sluice_d gauge\n"), "{older}");
        assert_eq!(older.lines().count(), lines.len() - 1);
    }
}
