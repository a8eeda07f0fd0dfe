//! What DescribeConfigs shows of the broker itself: Kafka's names of settings, each with what is true here. Client libraries
//! and tools look for keys of Kafka's brokers, so a key whose meaning exists here is listed even where it cannot be set. Reads
//! the settings, the limits and the table of topic configs; decides nothing.

use super::Engine;
use crate::auth::{Cluster, DescribeConfigs, Granted};
use crate::config::BrokerConfig;
use crate::limits;
use crate::topics::{ConfigEntry, ConfigSource, ConfigType, TopicConfigs};

/// Where clients reach the broker, as its listener knows it.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    /// `HOST:PORT` as bound.
    pub(crate) bound: String,
    /// `HOST:PORT` as clients are told.
    pub(crate) advertised: String,
}

/// A topic config and its name as a broker's default (`ServerTopicConfigSynonyms` in Kafka's sources).
const TOPIC_DEFAULTS: &[(&str, &str)] = &[
    ("cleanup.policy", "log.cleanup.policy"),
    ("compression.gzip.level", "compression.gzip.level"),
    ("compression.lz4.level", "compression.lz4.level"),
    ("compression.type", "compression.type"),
    ("compression.zstd.level", "compression.zstd.level"),
    ("delete.retention.ms", "log.cleaner.delete.retention.ms"),
    ("file.delete.delay.ms", "log.segment.delete.delay.ms"),
    ("flush.messages", "log.flush.interval.messages"),
    ("flush.ms", "log.flush.interval.ms"),
    ("index.interval.bytes", "log.index.interval.bytes"),
    ("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
    ("max.message.bytes", "message.max.bytes"),
    ("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"),
    ("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"),
    ("message.timestamp.type", "log.message.timestamp.type"),
    ("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio"),
    ("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"),
    ("min.insync.replicas", "min.insync.replicas"),
    ("preallocate", "log.preallocate"),
    ("retention.bytes", "log.retention.bytes"),
    ("retention.ms", "log.retention.ms"),
    ("segment.bytes", "log.segment.bytes"),
    ("segment.index.bytes", "log.index.size.max.bytes"),
    ("segment.jitter.ms", "log.roll.jitter.ms"),
    ("segment.ms", "log.roll.ms"),
    ("unclean.leader.election.enable", "unclean.leader.election.enable"),
];

impl Engine {
    /// Every key, in order. Read-only: what can be set is set where the broker is started.
    #[must_use]
    pub(crate) fn broker_configs(
        &self,
        _permit: &Granted<DescribeConfigs, Cluster>,
        listening: &Listening,
    ) -> Vec<ConfigEntry> {
        let defaults = settings(&BrokerConfig::default());
        let mut entries: Vec<_> =
            settings(&self.config).into_iter().zip(defaults).map(|(row, default)| entry(row, default.value)).collect();
        entries.extend(fixed().into_iter().map(|row| {
            let default = row.value.clone();
            entry(row, default)
        }));
        entries.extend(of_listener(listening).into_iter().map(|row| entry(row, String::new())));
        entries.extend(topic_defaults());
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    }
}

/// One key under its name in Kafka.
struct Row {
    key: &'static str,
    kind: ConfigType,
    value: String,
    doc: &'static str,
}

fn entry(row: Row, default: String) -> ConfigEntry {
    ConfigEntry {
        key: row.key.into(),
        source: if row.value == default { ConfigSource::Default } else { ConfigSource::Topic },
        value: row.value,
        default,
        kind: row.kind,
        doc: row.doc,
    }
}

fn row(key: &'static str, kind: ConfigType, value: impl ToString, doc: &'static str) -> Row {
    Row { key, kind, value: value.to_string(), doc }
}

/// What an operator sets here, under Kafka's names.
fn settings(config: &BrokerConfig) -> Vec<Row> {
    use ConfigType::{Boolean, Int, Long, String as Text};
    let (dir, connections) = (config.data_dir.display(), &config.connections);
    let per_address = connections.max_connections_per_address;
    vec![
        row(
            "auto.create.topics.enable",
            Boolean,
            config.auto_create_topics,
            "Topics are made when a client names one.",
        ),
        row("broker.id", Int, config.node_id, "This broker's id."),
        row(
            "connections.max.idle.ms",
            Long,
            connections.connections_max_idle_ms,
            "When a silent connection is closed.",
        ),
        row(
            "group.initial.rebalance.delay.ms",
            Int,
            config.group_initial_rebalance_delay_ms,
            "How long an empty group waits for more members, in ms.",
        ),
        row(
            "group.max.session.timeout.ms",
            Int,
            config.group_max_session_timeout_ms,
            "The longest session time-out of a member.",
        ),
        row(
            "group.min.session.timeout.ms",
            Int,
            config.group_min_session_timeout_ms,
            "The shortest session time-out of a member.",
        ),
        row("log.dir", Text, &dir, "Where data is kept."),
        row("log.dirs", Text, &dir, "Where data is kept."),
        row(
            "log.retention.check.interval.ms",
            Long,
            config.retention_check_ms,
            "How often retention looks for segments to remove.",
        ),
        row(
            "max.connection.creation.rate",
            Int,
            connections.connections_per_second,
            "New connections a second; others wait.",
        ),
        row("max.connections", Int, connections.max_connections, "Connections on the Kafka port at once."),
        row(
            "max.connections.per.ip",
            Int,
            // Kafka's word for no bound.
            if per_address == 0 { i32::MAX as usize } else { per_address },
            "Connections of one address at once.",
        ),
        row("node.id", Int, config.node_id, "This broker's id."),
        row("num.partitions", Int, config.num_partitions, "Partitions of an auto-created topic."),
        row(
            "offsets.retention.minutes",
            Int,
            config.offsets_retention_minutes,
            "How long an empty group's offsets are kept.",
        ),
    ]
}

/// What is as it is.
fn fixed() -> Vec<Row> {
    use ConfigType::{Boolean, Int, Long, String as Text};
    let one = "One broker, one replica.";
    vec![
        row("broker.rack", Text, "", "One broker has no rack."),
        row("default.replication.factor", Int, 1, one),
        row("delete.topic.enable", Boolean, true, "Topics can be deleted."),
        row("fetch.max.bytes", Int, limits::FETCH_BYTES_MAX, "Bytes of a fetch answer."),
        row("group.max.size", Int, limits::GROUP_MEMBERS_MAX, "Members of a group."),
        row("inter.broker.listener.name", Text, "PLAINTEXT", one),
        row("listener.security.protocol.map", Text, "PLAINTEXT:PLAINTEXT", "Listeners speak the protocol in the open."),
        row("log.cleaner.backoff.ms", Long, limits::CLEANER_CHECK.as_millis(), "How often compaction looks for work."),
        row("log.cleaner.enable", Boolean, true, "Compacted topics are compacted."),
        row(
            "log.cleaner.io.max.bytes.per.second",
            ConfigType::Double,
            limits::CLEANER_BYTES_PER_S,
            "How fast compaction reads.",
        ),
        row("log.cleaner.threads", Int, 1, "Threads that compact."),
        row("log.retention.hours", Int, 168, "log.retention.ms in hours."),
        row("log.roll.hours", Int, 168, "log.roll.ms in hours."),
        row(
            "offset.metadata.max.bytes",
            Int,
            limits::COMMIT_METADATA_BYTES_MAX,
            "Bytes of the metadata of a committed offset.",
        ),
        row("offsets.topic.num.partitions", Int, limits::OFFSETS_PARTITIONS, "Partitions of __consumer_offsets."),
        row("offsets.topic.replication.factor", Int, 1, one),
        row(
            "offsets.topic.segment.bytes",
            Int,
            limits::COMPACTED_SEGMENT_BYTES,
            "Bytes of a segment of __consumer_offsets.",
        ),
        row("process.roles", ConfigType::List, "broker,controller", one),
        row("producer.id.expiration.ms", Int, limits::PRODUCER_ID_EXPIRATION_MS, "When an idle producer is forgotten."),
        row("socket.request.max.bytes", Int, limits::FRAME_BYTES_MAX, "Bytes of a request."),
    ]
}

fn of_listener(listening: &Listening) -> Vec<Row> {
    let url = |address: &str| format!("PLAINTEXT://{address}");
    vec![
        row("advertised.listeners", ConfigType::List, url(&listening.advertised), "What clients connect to."),
        row("listeners", ConfigType::List, url(&listening.bound), "Where this listener is bound."),
    ]
}

/// The defaults of topic configs under the names that they have on a broker.
fn topic_defaults() -> impl Iterator<Item = ConfigEntry> {
    let named = |entry: ConfigEntry| {
        let (_, name) = TOPIC_DEFAULTS.iter().find(|(topic, _)| *topic == entry.key)?;
        Some(ConfigEntry { key: (*name).into(), ..entry })
    };
    TopicConfigs::default().describe().into_iter().filter_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_config_of_the_table_is_found_and_hours_agree_with_milliseconds() {
        assert_eq!(topic_defaults().count(), TOPIC_DEFAULTS.len());
        let ms = |key: &str| {
            let found = topic_defaults().find(|entry| entry.key == key).expect("it is in the table");
            found.value.parse::<u64>().expect("a number")
        };
        for (hours, in_ms) in [("log.retention.hours", "log.retention.ms"), ("log.roll.hours", "log.roll.ms")] {
            let row = fixed().into_iter().find(|row| row.key == hours).expect("it is fixed");
            assert_eq!(row.value.parse::<u64>().expect("a number") * 3_600_000, ms(in_ms), "{hours}");
        }
    }

    #[test]
    fn no_key_is_listed_twice() {
        let rows = settings(&BrokerConfig::default()).into_iter().chain(fixed()).map(|row| row.key.to_owned());
        let mut keys: Vec<_> = rows.chain(topic_defaults().map(|entry| entry.key.into_owned())).collect();
        keys.sort();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
