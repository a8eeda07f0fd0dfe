//! Topic configs and the broker's own, read and changed.

use super::{Engine, EngineError};
use crate::auth::{AlterConfigs, Cluster, DescribeConfigs, Granted};
use crate::config::BrokerConfig;
use crate::ids::TopicRef;
use crate::limits;
use crate::topics::{ConfigChange, ConfigEntry, ConfigOp, ConfigSource, ConfigType, TopicError};

impl Engine {
    /// Every config of a topic with its default and source.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn topic_configs(&self, topic: &Granted<DescribeConfigs, TopicRef>) -> Result<Vec<ConfigEntry>, EngineError> {
        Ok(self.resolve(topic.resource())?.configs().describe())
    }

    /// All changes or none. A change that binds a plugin loads it first.
    ///
    /// # Errors
    /// An unknown topic, a key or value that is refused, a plugin that cannot be loaded.
    pub async fn alter_topic_configs(
        &self,
        topic: &Granted<AlterConfigs, TopicRef>,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), EngineError> {
        let found = self.resolve(topic.resource())?;
        let name = found.name().as_str();
        if found.internal() {
            return Err(TopicError::BadConfig { reason: format!("'{name}' is the broker's own") }.into());
        }
        self.check_binding(name, &found.configs().changed(changes)?).await?;
        Ok(self.catalog.alter_configs(name, changes, validate_only).await?)
    }

    /// Replaces the whole set of a topic's configs: what `configs` does not name goes back to its default, and so does a key
    /// without a value.
    ///
    /// # Errors
    /// As `alter_topic_configs`.
    pub(crate) async fn replace_topic_configs(
        &self,
        topic: &Granted<AlterConfigs, TopicRef>,
        configs: Vec<(String, Option<String>)>,
        validate_only: bool,
    ) -> Result<(), EngineError> {
        let set = self.resolve(topic.resource())?.configs();
        let kept = |key: &str| configs.iter().any(|(named, _)| named == key);
        let dropped = set.set().keys().filter(|key| !kept(key)).cloned();
        let mut changes: Vec<_> = dropped.map(|key| ConfigChange { key, op: ConfigOp::Delete }).collect();
        changes.extend(configs.into_iter().map(|(key, value)| {
            let op = value.map_or(ConfigOp::Delete, ConfigOp::Set);
            ConfigChange { key, op }
        }));
        self.alter_topic_configs(topic, &changes, validate_only).await
    }

    /// What DescribeConfigs shows for the broker. Read-only: these are set in the configuration file.
    #[must_use]
    pub(crate) fn broker_configs(&self, _permit: &Granted<DescribeConfigs, Cluster>) -> Vec<ConfigEntry> {
        let defaults = rows(&BrokerConfig::default());
        let entry = |(row, default): (Row, Row)| ConfigEntry {
            key: row.key.into(),
            source: if row.value == default.value { ConfigSource::Default } else { ConfigSource::Topic },
            value: row.value,
            default: default.value,
            kind: row.kind,
            doc: row.doc,
        };
        rows(&self.config).into_iter().zip(defaults).map(entry).collect()
    }
}

/// One setting of the broker under its name in Kafka.
struct Row {
    key: &'static str,
    kind: ConfigType,
    value: String,
    doc: &'static str,
}

/// The settings that have a name in Kafka, in the order of the answer.
fn rows(config: &BrokerConfig) -> Vec<Row> {
    let row = |key, kind, value: String, doc| Row { key, kind, value, doc };
    let one_replica = "One broker, one replica.";
    vec![
        row("node.id", ConfigType::Int, config.node_id.to_string(), "This broker's id."),
        row("log.dirs", ConfigType::String, config.data_dir.display().to_string(), "Where data is kept."),
        row(
            "num.partitions",
            ConfigType::Int,
            config.num_partitions.to_string(),
            "Partitions of an auto-created topic.",
        ),
        row("default.replication.factor", ConfigType::Int, "1".into(), one_replica),
        row("min.insync.replicas", ConfigType::Int, "1".into(), one_replica),
        row(
            "auto.create.topics.enable",
            ConfigType::Boolean,
            config.auto_create_topics.to_string(),
            "Topics are made when a client names one that does not exist.",
        ),
        row(
            "message.max.bytes",
            ConfigType::Int,
            limits::MESSAGE_BYTES_MAX.to_string(),
            "The largest record batch of a topic without max.message.bytes, in bytes.",
        ),
        row(
            "group.initial.rebalance.delay.ms",
            ConfigType::Int,
            config.group_initial_rebalance_delay_ms.to_string(),
            "How long an empty group waits for more members, in ms.",
        ),
        row(
            "offsets.retention.minutes",
            ConfigType::Int,
            config.offsets_retention_minutes.to_string(),
            "How long an empty group's offsets are kept.",
        ),
        row(
            "connections.max.idle.ms",
            ConfigType::Long,
            config.connections_max_idle_ms.to_string(),
            "When a silent connection is closed.",
        ),
    ]
}
