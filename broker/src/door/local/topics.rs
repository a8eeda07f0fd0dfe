//! Topics listed, described, created and deleted. A thin step to the engine, which decides what is allowed.

use tokio::sync::watch;

use super::super::error::{DoorError, TopicFailure};
use super::super::topics::{DelayInfo, NewTopic, TopicInfo, TopicRef};
use super::Door;
use crate::context::Context;
use crate::engine::topics::DescribedTopic;
use crate::ids::TopicId;
use crate::topics;

/// Says when topics have changed.
#[derive(Debug)]
pub(crate) struct TopicChanges {
    changes: watch::Receiver<u64>,
}

impl TopicChanges {
    /// Everything up to now has been seen.
    pub(crate) fn mark_seen(&mut self) {
        self.changes.mark_unchanged();
    }

    /// Returns when a topic was created, deleted, grown or reconfigured since the last call. `false`: there will be no more
    /// changes, the broker has stopped.
    pub(crate) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl Door {
    /// Every topic in order of names; internal ones only when asked for.
    #[must_use]
    pub fn topics(&self, ctx: &Context, with_internal: bool) -> Vec<TopicInfo> {
        let all = self.engine.describe_topics(ctx).into_iter();
        all.filter(|topic| with_internal || !topic.internal).map(info).collect()
    }

    /// One topic, internal ones included.
    ///
    /// # Errors
    /// `NotFound`, `IdNotFound`.
    pub fn topic(&self, ctx: &Context, topic: &TopicRef) -> Result<TopicInfo, DoorError> {
        Ok(info(self.described(ctx, topic)?))
    }

    /// The topic of that name, created where it is missing and auto-create is on.
    ///
    /// # Errors
    /// `NotFound` where it may not be created, or what `create_topic` says.
    pub(crate) async fn topic_or_create(&self, ctx: &Context, name: &str) -> Result<TopicInfo, DoorError> {
        let (auth, name) = (self.engine.auth(), TopicRef::name(name));
        let (describe, create) = (auth.ask(ctx, name.clone())?, auth.ask(ctx, name).ok());
        Ok(info(self.engine.describe_or_create_topic(&describe, create).await?))
    }

    /// Creates a topic; durable when this returns.
    ///
    /// # Errors
    /// `Exists`, a name, count or config that is refused, a binding whose plugin cannot be loaded.
    pub async fn create_topic(&self, ctx: &Context, request: NewTopic) -> Result<TopicInfo, DoorError> {
        let NewTopic { name, partitions, replication, configs } = request;
        let permit = self.engine.auth().ask(ctx, TopicRef::name(&name))?;
        let request = topics::NewTopic { name: name.clone(), partitions, replication, configs, internal: false };
        let made = self.engine.create_topic(&permit, request, false).await;
        match made.inspect_err(|error| self.engine.note_too_many_files(ctx, error))? {
            Some(topic) => Ok(info(topic)),
            None => Err(TopicFailure::NotFound { name }.into()),
        }
    }

    /// Deletes a topic with what belongs to it (log contract, rule 16); durable when this returns.
    ///
    /// # Errors
    /// An unknown or internal topic; a storage failure.
    pub async fn delete_topic(&self, ctx: &Context, name: &str) -> Result<(), DoorError> {
        self.engine.delete_topic(&self.engine.auth().ask(ctx, TopicRef::name(name))?).await?;
        Ok(())
    }

    /// Whether a topic that the caller may describe has this id.
    #[must_use]
    pub(crate) fn has_topic(&self, ctx: &Context, id: TopicId) -> bool {
        self.engine.auth().ask(ctx, TopicRef::Id(id)).is_ok_and(|topic| self.engine.has_topic(&topic))
    }

    /// Every delay topic, in order of names.
    pub(crate) fn delay_topics(&self, ctx: &Context) -> Vec<TopicInfo> {
        self.engine.describe_delay_topics(ctx).into_iter().map(info).collect()
    }

    /// Whether this is a delay topic that the caller may describe.
    pub(crate) fn is_delay_topic(&self, ctx: &Context, id: TopicId) -> bool {
        self.described(ctx, &TopicRef::Id(id)).is_ok_and(|topic| topic.delay.is_some())
    }

    /// The number of a topic's partitions.
    ///
    /// # Errors
    /// `NotFound`, `IdNotFound`.
    pub(crate) fn partition_count(&self, ctx: &Context, topic: &TopicRef) -> Result<i32, DoorError> {
        Ok(self.described(ctx, topic)?.partition_count())
    }

    fn described(&self, ctx: &Context, topic: &TopicRef) -> Result<DescribedTopic, DoorError> {
        Ok(self.engine.describe_topic(&self.engine.auth().ask(ctx, topic.clone())?)?)
    }

    /// For a service that follows the topics.
    #[must_use]
    pub(crate) fn topic_changes(&self) -> TopicChanges {
        TopicChanges { changes: self.engine.topic_changes() }
    }
}

fn info(topic: DescribedTopic) -> TopicInfo {
    TopicInfo {
        name: topic.name.to_string(),
        id: topic.id,
        internal: topic.internal,
        partitions: topic.partition_count(),
        configs: topic.configs.set().iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        batch_bytes_max: topic.configs.message_bytes_max(),
        delay: topic.delay.map(|name| DelayInfo { target: name.target, delay: name.delay }),
    }
}
