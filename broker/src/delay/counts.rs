//! What the delay service shows at `/metrics`: what it has delivered, and of each delay topic what waits and how late the first of
//! it is. A proxy tells where it stands after each turn; nothing is read for it. Partitions whose service has stopped stay here
//! until their topic is deleted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::state_record::ProxyKey;
use crate::clock::SharedClock;
use crate::door::Follower;
use crate::ids::{Offset, TimestampMs};
use crate::metrics::{Counter, Page, Section};

/// No record waits, or it is not known when the first one is due.
const UNKNOWN: i64 = i64::MAX;

/// The counts of one delay service.
#[derive(Debug)]
pub(super) struct DelayCounts {
    pub(super) delivered: Counter,
    pub(super) dead_letters: Counter,
    /// Turns that failed and are tried again.
    pub(super) failures: Counter,
    stopped: AtomicUsize,
    partitions: Mutex<HashMap<ProxyKey, Arc<ProxyCounts>>>,
    clock: SharedClock,
}

/// Where one partition of a delay topic stands.
#[derive(Debug)]
pub(super) struct ProxyCounts {
    topic: String,
    partition: Follower,
    done: AtomicI64,
    first_due: AtomicI64,
}

/// One delay topic.
#[derive(Debug, Default, PartialEq)]
struct OfTopic {
    waiting: i64,
    late_ms: i64,
}

impl DelayCounts {
    pub(super) fn new(clock: SharedClock) -> Arc<DelayCounts> {
        Arc::new(DelayCounts {
            delivered: Counter::default(),
            dead_letters: Counter::default(),
            failures: Counter::default(),
            stopped: AtomicUsize::new(0),
            partitions: Mutex::default(),
            clock,
        })
    }

    /// A partition is served from now on; everything below `done` is delivered.
    pub(super) fn begin(&self, key: ProxyKey, topic: &str, partition: Follower, done: Offset) -> Arc<ProxyCounts> {
        let first_due = AtomicI64::new(UNKNOWN);
        let counts =
            Arc::new(ProxyCounts { topic: topic.to_owned(), partition, done: AtomicI64::new(done.0), first_due });
        self.partitions.lock().insert(key, Arc::clone(&counts));
        counts
    }

    /// Its topic was deleted.
    pub(super) fn forget(&self, key: &ProxyKey) {
        self.partitions.lock().remove(key);
    }

    /// So many partitions are not served any more until the next start.
    pub(super) fn set_stopped(&self, count: usize) {
        self.stopped.store(count, Ordering::Relaxed);
    }

    fn by_topic(&self) -> BTreeMap<String, OfTopic> {
        let partitions: Vec<Arc<ProxyCounts>> = self.partitions.lock().values().cloned().collect();
        let now = self.clock.wall();
        let mut topics: BTreeMap<String, OfTopic> = BTreeMap::new();
        for partition in &partitions {
            let of_topic = topics.entry(partition.topic.clone()).or_default();
            of_topic.waiting += partition.waiting();
            of_topic.late_ms = of_topic.late_ms.max(partition.late_ms(now));
        }
        topics
    }
}

impl ProxyCounts {
    /// The service has done everything below `done`; `first_due`: when the record there is due, where that is known.
    pub(super) fn stands_at(&self, done: Offset, first_due: Option<TimestampMs>) {
        self.done.store(done.0, Ordering::Relaxed);
        self.first_due.store(first_due.map_or(UNKNOWN, |at| at.0), Ordering::Relaxed);
    }

    fn waiting(&self) -> i64 {
        self.partition.end().0.saturating_sub(self.done.load(Ordering::Relaxed)).max(0)
    }

    fn late_ms(&self, now: TimestampMs) -> i64 {
        now.0.saturating_sub(self.first_due.load(Ordering::Relaxed)).max(0)
    }
}

impl Section for DelayCounts {
    #[allow(clippy::cast_precision_loss, reason = "a second in 2^53 ms does not count")]
    fn show(&self, page: &mut Page<'_>) {
        page.counter("sluice_delay_records_delivered", "Records that were delivered to their target.", &self.delivered);
        page.counter("sluice_delay_dead_letters", "Records that went to the dead letters instead.", &self.dead_letters);
        page.counter("sluice_delay_failures", "Deliveries that failed and are tried again.", &self.failures);
        page.gauges(
            "sluice_delay_partitions_stopped",
            "Partitions that a bug has stopped until the next start.",
            |rows| {
                let stopped = self.stopped.load(Ordering::Relaxed);
                rows.number(&[], i64::try_from(stopped).unwrap_or(i64::MAX));
            },
        );
        let topics = self.by_topic();
        let named_max = page.bounds().partitions_max;
        page.gauges("sluice_delay_records_waiting", "Offsets of a delay topic that are not delivered yet.", |rows| {
            let named = topics.iter().take(named_max);
            named.for_each(|(topic, of_topic)| rows.number(&[("topic", topic)], of_topic.waiting));
        });
        page.gauges("sluice_delay_late_seconds", "For how long the first waiting record has been due.", |rows| {
            let named = topics.iter().take(named_max);
            named.for_each(|(topic, of_topic)| rows.value(&[("topic", topic)], of_topic.late_ms as f64 / 1_000.0));
        });
    }
}
