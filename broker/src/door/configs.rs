//! Topic configs, read and patched. A thin step to the engine.

use super::{Context, Door, DoorError};
use crate::ids::TopicRef;

pub use crate::topics::{ConfigChange, ConfigEntry, ConfigOp, ConfigSource, ConfigType};

impl Door {
    /// Every config of a topic with its default and source.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn topic_configs(&self, ctx: &Context, topic: &str) -> Result<Vec<ConfigEntry>, DoorError> {
        self.engine.topic_configs(&self.engine.auth().ask(ctx, TopicRef::name(topic))?)
    }

    /// All changes or none; durable when this returns. One that binds a plugin loads it first.
    ///
    /// # Errors
    /// An unknown or internal topic, a key or value that is refused, a plugin that cannot be loaded.
    pub async fn alter_topic_configs(
        &self,
        ctx: &Context,
        topic: &str,
        changes: &[ConfigChange],
    ) -> Result<(), DoorError> {
        self.engine.alter_topic_configs(&self.engine.auth().ask(ctx, TopicRef::name(topic))?, changes, false).await
    }
}
