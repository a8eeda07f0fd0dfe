//! Topics listed, described, made and deleted. A thin step to the engine, which decides what is allowed.

use super::{Context, Door, DoorError};
use crate::ids::{TopicId, TopicRef};
use crate::topics::{Topic, TopicError};

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
    fn of(topic: &Topic) -> TopicInfo {
        let configs = topic.configs();
        TopicInfo {
            name: topic.name().to_string(),
            id: topic.id(),
            internal: topic.internal(),
            partitions: topic.partition_count(),
            configs: configs.set().iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

impl Door {
    /// Every topic in order of names; those of the broker itself only when asked for.
    #[must_use]
    pub fn topics(&self, _ctx: &Context, with_internal: bool) -> Vec<TopicInfo> {
        let all = self.engine.catalog().topics();
        all.iter().filter(|topic| with_internal || !topic.internal()).map(|topic| TopicInfo::of(topic)).collect()
    }

    /// One topic, internal ones included.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn topic(&self, _ctx: &Context, name: &str) -> Result<TopicInfo, DoorError> {
        Ok(TopicInfo::of(&*self.engine.catalog().topic(name)?))
    }

    /// Makes a topic; durable when this returns.
    ///
    /// # Errors
    /// What the catalog refuses, and a binding whose plugin cannot be loaded.
    pub async fn create_topic(&self, ctx: &Context, wish: NewTopic) -> Result<TopicInfo, DoorError> {
        let name = wish.name.clone();
        match self.engine.create_topic(ctx, wish, false).await? {
            Some(topic) => Ok(TopicInfo::of(&topic)),
            None => Err(TopicError::NotFound { name }.into()),
        }
    }

    /// Deletes a topic with what hangs on it (log contract, rule 16).
    ///
    /// # Errors
    /// An unknown or internal topic; a log that cannot be written.
    pub async fn delete_topic(&self, ctx: &Context, name: &str) -> Result<(), DoorError> {
        self.engine.delete_topic(ctx, &TopicRef::name(name)).await.map(drop)
    }
}
