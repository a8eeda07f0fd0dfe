//! Topic configs and the broker's own, read and changed.

use super::{Engine, EngineError};
use crate::context::Context;
use crate::topics::{ConfigChange, ConfigEntry, ConfigSource, ConfigType, TopicError};

impl Engine {
    /// Every config of a topic with its default and source.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn topic_configs(&self, _ctx: &Context, topic: &str) -> Result<Vec<ConfigEntry>, EngineError> {
        Ok(self.catalog.topic(topic)?.configs().describe())
    }

    /// All changes or none. A change that binds a plugin loads it first.
    ///
    /// # Errors
    /// An unknown topic, a key or value that is refused, a plugin that cannot be loaded.
    pub async fn alter_topic_configs(
        &self,
        _ctx: &Context,
        topic: &str,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), EngineError> {
        let found = self.catalog.topic(topic)?;
        if found.internal() {
            return Err(TopicError::BadConfig { reason: format!("'{topic}' is the broker's own") }.into());
        }
        self.check_binding(topic, &found.configs().changed(changes)?).await?;
        Ok(self.catalog.alter_configs(topic, changes, validate_only).await?)
    }

    /// What DescribeConfigs shows for the broker. Read-only: these are set in the configuration file.
    #[must_use]
    pub fn broker_configs(&self) -> Vec<ConfigEntry> {
        let config = &self.config;
        let row = |key: &'static str, kind, value: String, default: &str, doc| ConfigEntry {
            key: key.into(),
            source: if value == default { ConfigSource::Default } else { ConfigSource::Topic },
            value,
            default: default.to_owned(),
            kind,
            doc,
        };
        vec![
            row("node.id", ConfigType::Int, config.node_id.to_string(), "1", "This broker's id."),
            row(
                "log.dirs",
                ConfigType::String,
                config.data_dir.display().to_string(),
                "sluice-data",
                "Where data is kept.",
            ),
            row(
                "num.partitions",
                ConfigType::Int,
                config.num_partitions.to_string(),
                "1",
                "Partitions of an auto-created topic.",
            ),
            row("default.replication.factor", ConfigType::Int, "1".into(), "1", "One broker, one replica."),
            row("min.insync.replicas", ConfigType::Int, "1".into(), "1", "One broker, one replica."),
            row(
                "auto.create.topics.enable",
                ConfigType::Boolean,
                config.auto_create_topics.to_string(),
                "true",
                "Topics are made when a client names one that does not exist.",
            ),
            row(
                "message.max.bytes",
                ConfigType::Int,
                crate::limits::MESSAGE_BYTES_MAX.to_string(),
                "1048588",
                "The largest record batch of a topic without max.message.bytes, in bytes.",
            ),
            row(
                "group.initial.rebalance.delay.ms",
                ConfigType::Int,
                config.group_initial_rebalance_delay_ms.to_string(),
                "0",
                "How long an empty group waits for more members, in ms.",
            ),
            row(
                "offsets.retention.minutes",
                ConfigType::Int,
                config.offsets_retention_minutes.to_string(),
                "10080",
                "How long an empty group's offsets are kept.",
            ),
            row(
                "connections.max.idle.ms",
                ConfigType::Long,
                config.connections_max_idle_ms.to_string(),
                "600000",
                "When a silent connection is closed.",
            ),
        ]
    }
}
