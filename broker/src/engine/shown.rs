//! What the engine shows at `/metrics`: topics and the logs of their partitions, groups with their lag, plugins, refusals.
//! Everything is looked at when somebody asks, on a blocking thread, one partition or one slice of groups at a time. What strangers
//! can multiply is named up to `Bounds` and counted beyond. The end of a log is not shown, only how far it is ahead of the high
//! watermark: an offset above that may be taken back by a power cut (rule 2).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use crate::ids::{Offset, TopicName, TopicPartition};
use crate::log::{LogError, Offsets, Partition};
use crate::memory::PoolUse;
use crate::metrics::{Page, Rows, Section};
use crate::refusals::RefusalClass;
use crate::topics::Topic;

/// Committed offsets that one page looks at, over all groups: a group may have 100,000.
const OFFSETS_LOOKED_AT_MAX: usize = 100_000;

impl Section for Engine {
    fn show(&self, page: &mut Page<'_>) {
        page.gauges("sluice_ready", "1 when the broker is ready, as /health/ready says.", |rows| {
            rows.number(&[], i64::from(self.unready().is_none()));
        });
        page.counters("sluice_refusals", "What was refused, by reason.", |rows| {
            for class in RefusalClass::ALL {
                rows.count(&[("class", class.label())], self.refusals.count(*class));
            }
        });
        self.show_memory(page);
        self.show_partitions(page);
        self.show_groups(page);
        self.show_plugins(page);
    }
}

/// One partition that is shown by name.
struct Shown {
    topic: Arc<Topic>,
    partition: String,
    offsets: Offsets,
    bytes: u64,
    segments: usize,
}

/// Sums over all partitions.
#[derive(Default)]
struct Sums {
    partitions: usize,
    bytes: u64,
    segments: usize,
    unusable: BTreeMap<&'static str, usize>,
}

impl Sums {
    fn add(&mut self, partition: &Partition, (bytes, segments): (u64, usize)) {
        self.partitions += 1;
        self.bytes += bytes;
        self.segments += segments;
        if let Some(trouble) = partition.usable().err().and_then(|error| trouble(&error)) {
            *self.unusable.entry(trouble).or_default() += 1;
        }
    }
}

impl Engine {
    fn show_memory(&self, page: &mut Page<'_>) {
        let pools = self.memory.pools();
        let mut of_each = |name, help, value: fn(&PoolUse) -> usize| {
            page.gauges(name, help, |rows| {
                for pool in &pools {
                    rows.number(&[("door", pool.door), ("pool", pool.pool)], signed(value(&pool.usage)));
                }
            });
        };
        of_each("sluice_memory_pool_max_bytes", "Bytes of a pool of the memory budget.", |pool| pool.max);
        of_each("sluice_memory_pool_held_bytes", "Bytes of it that are held.", |pool| pool.held);
        of_each("sluice_memory_pool_waiting", "Requests that wait for bytes of it.", |pool| pool.waiting);
        let mut count = |name, help, value: fn(&PoolUse) -> u64| {
            page.counters(name, help, |rows| {
                for pool in &pools {
                    rows.count(&[("door", pool.door), ("pool", pool.pool)], value(&pool.usage));
                }
            });
        };
        count("sluice_memory_pool_refused", "Requests that it refused.", |pool| pool.refused);
        count("sluice_memory_pool_ended", "Connections that it ended: slow while others waited.", |pool| pool.ended);
    }

    fn show_partitions(&self, page: &mut Page<'_>) {
        let mut topics = self.catalog.topics();
        // Those of clients first: the others are few, and always there.
        topics.sort_by_key(|topic| topic.internal());
        let (mut shown, mut sums) = (Vec::new(), Sums::default());
        for topic in &topics {
            for (number, partition) in topic.partitions().iter().enumerate() {
                let size = partition.size();
                sums.add(partition, size);
                if shown.len() < page.bounds().partitions_max {
                    let (offsets, (bytes, segments)) = (partition.offsets(), size);
                    let (topic, partition) = (Arc::clone(topic), number.to_string());
                    shown.push(Shown { topic, partition, offsets, bytes, segments });
                }
            }
        }
        number(page, "sluice_topics", "Topics, those of the broker's own included.", topics.len());
        number(page, "sluice_partitions", "Partitions of all topics.", sums.partitions);
        page.gauges("sluice_partitions_unusable", "Partitions that take no records, by trouble.", |rows| {
            for trouble in TROUBLES {
                let count = sums.unusable.get(trouble).copied().unwrap_or(0);
                rows.number(&[("trouble", trouble)], signed(count));
            }
        });
        let hidden = sums.partitions - shown.len();
        number(page, "sluice_partitions_not_named", "Partitions without rows of their own.", hidden);
        page.gauges("sluice_log_bytes", "Bytes of all logs, without their indexes.", |rows| {
            rows.number(&[], sums.bytes.try_into().unwrap_or(i64::MAX));
        });
        number(page, "sluice_log_segments", "Segments of all logs.", sums.segments);
        show_each(page, &shown);
    }

    fn show_groups(&self, page: &mut Page<'_>) {
        let groups = self.groups.shown(page.bounds().groups_max);
        let all: usize = groups.by_state.values().sum();
        page.gauges("sluice_groups", "Consumer groups, by state.", |rows| {
            for (state, count) in &groups.by_state {
                rows.number(&[("state", state)], signed(*count));
            }
        });
        let hidden = all - groups.named.len().min(all);
        number(page, "sluice_groups_not_named", "Groups without rows of their own.", hidden);
        page.gauges("sluice_group_members", "Members of a group.", |rows| {
            for group in &groups.named {
                rows.number(&[("group", &group.id)], signed(group.members));
            }
        });
        let mut left = OFFSETS_LOOKED_AT_MAX;
        page.gauges(
            "sluice_group_lag_records",
            "Offsets between what a group has committed and the high watermark, over the partitions of a topic.",
            |rows| groups.named.iter().for_each(|group| self.show_lag(&group.id, &mut left, rows)),
        );
    }

    fn show_lag(&self, group: &str, left: &mut usize, rows: &mut Rows<'_>) {
        let mut lags: BTreeMap<TopicName, i64> = BTreeMap::new();
        let looked_at = self.groups.shown_offsets(group, *left, |(target, committed, of_topic)| {
            let TopicPartition { topic: name, partition } = target;
            // What was committed for an earlier topic of that name says nothing about this one (rule 16).
            let topic = self.catalog.topic(name.as_str()).ok();
            let topic = topic.filter(|topic| of_topic.is_none_or(|id| id == topic.id()));
            // A negative one says nothing about a place: kafkajs commits it when its position is out of range.
            let topic = topic.filter(|_| committed >= Offset::ZERO);
            if let Some(partition) = topic.and_then(|topic| topic.partition(partition).ok()) {
                let lag = partition.offsets().hw.0.saturating_sub(committed.0).max(0);
                let of_topic = lags.entry(name).or_default();
                *of_topic = of_topic.saturating_add(lag);
            }
        });
        *left = left.saturating_sub(looked_at);
        lags.iter().for_each(|(topic, lag)| rows.number(&[("group", group), ("topic", topic.as_str())], *lag));
    }

    fn show_plugins(&self, page: &mut Page<'_>) {
        let plugins = self.partitioners.host().list();
        page.counters("sluice_plugin_calls", "Calls of a plugin.", |rows| {
            plugins.iter().for_each(|plugin| rows.count(&[("plugin", &plugin.name)], plugin.calls));
        });
        page.counters("sluice_plugin_failures", "Calls that failed: traps, wrong answers, time-outs.", |rows| {
            plugins.iter().for_each(|plugin| rows.count(&[("plugin", &plugin.name)], plugin.failures));
        });
        page.counters("sluice_plugin_timeouts", "Calls that took too long; they are failures as well.", |rows| {
            plugins.iter().for_each(|plugin| rows.count(&[("plugin", &plugin.name)], plugin.timeouts));
        });
        page.counters(
            "sluice_plugin_call_seconds",
            "Time that calls took, waiting for an instance included.",
            |rows| {
                for plugin in &plugins {
                    rows.count_of(&[("plugin", &plugin.name)], plugin.call_time.as_secs_f64());
                }
            },
        );
        page.gauges("sluice_plugin_quarantined", "1 while a binding of the plugin rests after failures.", |rows| {
            for plugin in &plugins {
                rows.number(&[("plugin", &plugin.name)], i64::from(plugin.quarantined));
            }
        });
    }
}

fn show_each(page: &mut Page<'_>, shown: &[Shown]) {
    let mut of_each = |name, help, value: fn(&Shown) -> i64| {
        page.gauges(name, help, |rows| {
            for one in shown {
                let labels = [("topic", one.topic.name().as_str()), ("partition", one.partition.as_str())];
                rows.number(&labels, value(one));
            }
        });
    };
    of_each("sluice_partition_start_offset", "The first offset of the log.", |one| one.offsets.log_start.0);
    of_each("sluice_partition_high_watermark", "The offset up to which records can be read.", |one| one.offsets.hw.0);
    of_each("sluice_partition_unsynced_records", "Offsets that are appended and cannot be read yet.", |one| {
        one.offsets.leo.0 - one.offsets.hw.0
    });
    of_each("sluice_partition_log_bytes", "Bytes of the log, without its indexes.", |one| {
        one.bytes.try_into().unwrap_or(i64::MAX)
    });
    of_each("sluice_partition_segments", "Segments of the log.", |one| signed(one.segments));
}

const TROUBLES: [&str; 5] = ["sync_failed", "bug", "damaged", "offline", "other"];

/// What is wrong with a partition that takes no records; `None` for one that is being deleted.
fn trouble(error: &LogError) -> Option<&'static str> {
    match error {
        LogError::Deleted { .. } => None,
        LogError::Poisoned { .. } => Some("sync_failed"),
        LogError::Panicked { .. } => Some("bug"),
        LogError::Corrupt { .. } => Some("damaged"),
        LogError::Offline { .. } => Some("offline"),
        _ => Some("other"),
    }
}

fn number(page: &mut Page<'_>, name: &'static str, help: &'static str, number: usize) {
    page.gauges(name, help, |rows| rows.number(&[], signed(number)));
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
