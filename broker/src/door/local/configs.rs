//! Topic configs, read and changed. A thin step to the engine.

use super::super::error::DoorError;
use super::super::topics::{ConfigChange, ConfigEntry, TopicRef};
use super::Door;
use crate::context::Context;

impl Door {
    /// Every config of a topic with its default and source.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn topic_configs(&self, ctx: &Context, topic: &str) -> Result<Vec<ConfigEntry>, DoorError> {
        Ok(self.engine.topic_configs(&self.engine.auth().ask(ctx, TopicRef::name(topic))?)?)
    }

    /// All changes or none; durable when this returns. A change that binds a plugin loads it first.
    ///
    /// # Errors
    /// An unknown or internal topic, a key or value that is refused, a plugin that cannot be loaded.
    pub async fn alter_topic_configs(
        &self,
        ctx: &Context,
        topic: &str,
        changes: &[ConfigChange],
    ) -> Result<(), DoorError> {
        let topic = self.engine.auth().ask(ctx, TopicRef::name(topic))?;
        Ok(self.engine.alter_topic_configs(&topic, changes, false).await?)
    }
}
