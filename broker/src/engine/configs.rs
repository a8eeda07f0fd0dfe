//! Topic configs, read and changed. The broker's own are in `broker_configs.rs`.

use super::{Engine, EngineError};
use crate::auth::{AlterConfigs, DescribeConfigs, Granted};
use crate::ids::TopicRef;
use crate::topics::{BadConfig, ConfigChange, ConfigEntry, ConfigOp, TopicError};

impl Engine {
    /// Every config of a topic with its default and source.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn topic_configs(
        &self,
        topic: &Granted<DescribeConfigs, TopicRef>,
    ) -> Result<Vec<ConfigEntry>, EngineError> {
        Ok(self.resolve(topic.resource())?.configs().describe())
    }

    /// All changes or none. A change that binds a plugin loads it first.
    ///
    /// # Errors
    /// An unknown topic, a key or value that is refused, a plugin that cannot be loaded.
    pub(crate) async fn alter_topic_configs(
        &self,
        topic: &Granted<AlterConfigs, TopicRef>,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), EngineError> {
        let found = self.resolve(topic.resource())?;
        let name = found.name().as_str();
        if found.internal() {
            return Err(TopicError::from(BadConfig::OwnTopic { topic: name.to_owned() }).into());
        }
        let after = found.configs().changed(changes).map_err(TopicError::from)?;
        self.check_binding(name, &after).await?;
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
}
