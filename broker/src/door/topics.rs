//! Topics listed, described, made and deleted. A thin step to the engine, which decides what is allowed.

use super::{Context, Door, DoorError};
use crate::engine::topics::DescribedTopic;
use crate::ids::{TopicId, TopicRef};
use crate::topics::TopicError;

pub use crate::topics::NewTopic;

/// One topic as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Which topic of that name it is.
    pub id: TopicId,
    /// Made by the broker for itself.
    pub internal: bool,
    /// How many partitions it has, numbered from 0.
    pub partitions: i32,
    /// What was set on it, nothing of the defaults.
    pub configs: Vec<(String, String)>,
}

impl TopicInfo {
    fn of(topic: DescribedTopic) -> TopicInfo {
        TopicInfo {
            name: topic.name.to_string(),
            id: topic.id,
            internal: topic.internal,
            partitions: topic.partition_count(),
            configs: topic.configs.set().iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

impl Door {
    /// Every topic in order of names; those of the broker itself only when asked for.
    #[must_use]
    pub fn topics(&self, ctx: &Context, with_internal: bool) -> Vec<TopicInfo> {
        let all = self.engine.describe_topics(ctx).into_iter();
        all.filter(|topic| with_internal || !topic.internal).map(TopicInfo::of).collect()
    }

    /// One topic, internal ones included.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn topic(&self, ctx: &Context, name: &str) -> Result<TopicInfo, DoorError> {
        Ok(TopicInfo::of(self.engine.describe_topic(&self.engine.auth().ask(ctx, TopicRef::name(name))?)?))
    }

    /// Makes a topic; durable when this returns.
    ///
    /// # Errors
    /// What the catalog refuses, and a binding whose plugin cannot be loaded.
    pub async fn create_topic(&self, ctx: &Context, wish: NewTopic) -> Result<TopicInfo, DoorError> {
        let name = wish.name.clone();
        let permit = self.engine.auth().ask(ctx, TopicRef::name(&name))?;
        match self.engine.create_topic(&permit, wish, false).await? {
            Some(topic) => Ok(TopicInfo::of(topic)),
            None => Err(TopicError::NotFound { name }.into()),
        }
    }

    /// Deletes a topic with what hangs on it (log contract, rule 16).
    ///
    /// # Errors
    /// An unknown or internal topic; a log that cannot be written.
    pub async fn delete_topic(&self, ctx: &Context, name: &str) -> Result<(), DoorError> {
        self.engine.delete_topic(&self.engine.auth().ask(ctx, TopicRef::name(name))?).await.map(drop)
    }
}
