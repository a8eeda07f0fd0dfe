//! Topics found, made, grown and deleted, with what hangs on them: bindings before, committed offsets after.

use std::sync::Arc;

use super::{Engine, EngineError};
use crate::context::Context;
use crate::ids::TopicRef;
use crate::topics::{NewTopic, Topic, TopicConfigs, TopicError};

impl Engine {
    /// Makes a topic; `None` when it was only validated.
    ///
    /// # Errors
    /// What the catalog refuses, and a binding whose plugin cannot be loaded.
    pub async fn create_topic(
        &self,
        _ctx: &Context,
        wish: NewTopic,
        validate_only: bool,
    ) -> Result<Option<Arc<Topic>>, EngineError> {
        self.catalog.check(&wish)?;
        let set = wish.configs.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
        self.check_binding(&wish.name, &TopicConfigs::from_pairs(set)?).await?;
        if validate_only {
            return Ok(None);
        }
        Ok(Some(self.catalog.create(wish).await?))
    }

    /// Deletes a topic: its record is durable first, then its groups forget it (rule 16).
    ///
    /// # Errors
    /// An unknown or internal topic; a metadata log that cannot be written.
    pub async fn delete_topic(&self, _ctx: &Context, topic: &TopicRef) -> Result<Arc<Topic>, EngineError> {
        let topic = self.resolve(topic)?;
        if topic.internal() {
            return Err(TopicError::Refused { reason: format!("'{}' is the broker's own", topic.name()) }.into());
        }
        let deleted = self.catalog.delete(topic.name().as_str()).await?;
        self.partitioners.forget(deleted.id());
        // It is gone whatever comes of this, and nobody is shown these offsets any more.
        if let Err(error) = self.groups.forget_topic(deleted.name(), deleted.id()).await {
            tracing::warn!(topic = %deleted.name(), "committed offsets of a deleted topic stay in the log for now: {error}");
        }
        Ok(deleted)
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// An unknown or internal topic, a count that is not larger.
    pub async fn grow_topic(
        &self,
        _ctx: &Context,
        name: &str,
        count: i32,
        validate_only: bool,
    ) -> Result<(), EngineError> {
        if self.catalog.topic(name)?.internal() {
            return Err(TopicError::Refused { reason: format!("'{name}' is the broker's own") }.into());
        }
        Ok(self.catalog.grow(name, count, validate_only).await?)
    }

    /// The topic that a request names.
    ///
    /// # Errors
    /// `NotFound` or `IdNotFound`.
    pub fn resolve(&self, topic: &TopicRef) -> Result<Arc<Topic>, EngineError> {
        Ok(match topic {
            TopicRef::Name(name) => self.catalog.topic(name)?,
            TopicRef::Id(id) => self.catalog.topic_by_id(*id)?,
        })
    }

    /// For Metadata and Produce: made where auto-create is on and the caller allows it.
    ///
    /// # Errors
    /// `NotFound`, or what stands against making it.
    pub async fn resolve_or_create(
        &self,
        _ctx: &Context,
        name: &str,
        may_create: bool,
    ) -> Result<Arc<Topic>, EngineError> {
        Ok(self.catalog.get_or_create(name, may_create && self.config.auto_create_topics).await?)
    }

    /// Loads the plugin that these configs bind, if any: a binding that cannot work is refused before it is written.
    pub(super) async fn check_binding(&self, topic: &str, configs: &TopicConfigs) -> Result<(), EngineError> {
        if let Some(reference) = configs.partitioner() {
            let plugin = reference.split('@').next().unwrap_or(reference);
            self.partitioners.check_binding(topic, reference, configs.plugin_config(plugin)).await?;
        }
        Ok(())
    }
}
