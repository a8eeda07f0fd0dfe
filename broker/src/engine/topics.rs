//! Topics described, created, grown and deleted, with what depends on them: bindings before, committed offsets after.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Engine, EngineError};
use crate::auth::{Alter, Create, Delete, Describe, Granted};
use crate::chain::plugin_of;
use crate::context::Context;
use crate::ids::{LeaderEpoch, TopicId, TopicName, TopicRef};
use crate::log::Partition;
use crate::refusals::RefusalClass;
use crate::topics::{DelayName, NewTopic, Refused, Topic, TopicConfigs, TopicError};

/// A topic as it was when it was described. Describing takes no lock of a partition.
#[derive(Clone, Debug)]
pub struct DescribedTopic {
    /// Its name.
    pub(crate) name: TopicName,
    /// Its identity.
    pub(crate) id: TopicId,
    /// The broker made it for itself.
    pub(crate) internal: bool,
    /// Its configs.
    pub(crate) configs: Arc<TopicConfigs>,
    /// What it does with its records, if it is a delay topic.
    pub(crate) delay: Option<DelayName>,
    partitions: Arc<Vec<Arc<Partition>>>,
}

impl DescribedTopic {
    fn of(topic: &Topic) -> DescribedTopic {
        DescribedTopic {
            name: topic.name().clone(),
            id: topic.id(),
            internal: topic.internal(),
            configs: topic.configs(),
            delay: topic.delay().cloned(),
            partitions: topic.partitions(),
        }
    }

    /// The leader epoch of each partition, in order of their numbers. Locks each partition for a moment, as an append does.
    pub(crate) fn epochs(&self) -> impl ExactSizeIterator<Item = LeaderEpoch> + '_ {
        self.partitions.iter().map(|partition| partition.current_epoch())
    }

    /// How many partitions it has.
    #[must_use]
    pub(crate) fn partition_count(&self) -> i32 {
        // Bounded by `limits::PARTITIONS_PER_TOPIC_MAX`.
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }
}

impl Engine {
    /// Every topic that the caller may describe, in order of names.
    #[must_use]
    pub(crate) fn describe_topics(&self, ctx: &Context) -> Vec<DescribedTopic> {
        self.describe_where(ctx, |_| true)
    }

    /// The delay topics among them.
    pub(crate) fn describe_delay_topics(&self, ctx: &Context) -> Vec<DescribedTopic> {
        self.describe_where(ctx, |topic| topic.delay().is_some())
    }

    fn describe_where(&self, ctx: &Context, is_asked: impl Fn(&Topic) -> bool) -> Vec<DescribedTopic> {
        let topics = self.catalog.topics().into_iter().filter(|topic| is_asked(topic));
        let may_see = |topic: &Arc<Topic>| self.auth.ask::<Describe, _>(ctx, topic.name().clone()).is_ok();
        topics.filter(may_see).map(|topic| DescribedTopic::of(&topic)).collect()
    }

    /// Changes value whenever a topic is created, deleted, grown or reconfigured.
    #[must_use]
    pub(crate) fn topic_changes(&self) -> watch::Receiver<u64> {
        self.catalog.changes()
    }

    /// Whether there is such a topic.
    pub(crate) fn has_topic(&self, topic: &Granted<Describe, TopicRef>) -> bool {
        self.resolve(topic.resource()).is_ok()
    }

    /// One topic.
    ///
    /// # Errors
    /// `NotFound` or `IdNotFound`.
    pub(crate) fn describe_topic(&self, topic: &Granted<Describe, TopicRef>) -> Result<DescribedTopic, EngineError> {
        Ok(DescribedTopic::of(&*self.resolve(topic.resource())?))
    }

    /// One topic; created where it is missing, auto-create is on and the caller has the permit.
    ///
    /// # Errors
    /// `NotFound` or `IdNotFound`, or why it cannot be created.
    pub(crate) async fn describe_or_create_topic(
        &self,
        topic: &Granted<Describe, TopicRef>,
        create: Option<Granted<Create, TopicRef>>,
    ) -> Result<DescribedTopic, EngineError> {
        Ok(DescribedTopic::of(&*self.find_or_create(topic.resource(), create).await?))
    }

    /// Creates the topic of the permit; `None` when it was only validated.
    ///
    /// # Errors
    /// What the catalog refuses, and a binding whose plugin cannot be loaded.
    pub async fn create_topic(
        &self,
        name: &Granted<Create, TopicRef>,
        topic: NewTopic,
        validate_only: bool,
    ) -> Result<Option<DescribedTopic>, EngineError> {
        let topic = NewTopic { name: name_of(name.resource())?.to_owned(), ..topic };
        self.catalog.check(&topic)?;
        let set = topic.configs.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
        self.check_binding(&topic.name, &TopicConfigs::from_pairs(set).map_err(TopicError::from)?).await?;
        if validate_only {
            return Ok(None);
        }
        Ok(Some(DescribedTopic::of(&*self.catalog.create(topic).await?)))
    }

    /// Deletes a topic: its record is durable first, then its groups forget it (rule 16). Without the permit there is no call:
    /// ```compile_fail
    /// use sluice_broker::engine::Engine;
    /// use sluice_broker::ids::TopicRef;
    /// async fn delete(engine: &Engine) {
    ///     engine.delete_topic(&TopicRef::name("orders")).await.ok();
    /// }
    /// ```
    ///
    /// # Errors
    /// An unknown or internal topic; a metadata log that cannot be written.
    pub async fn delete_topic(&self, topic: &Granted<Delete, TopicRef>) -> Result<DescribedTopic, EngineError> {
        let topic = self.resolve(topic.resource())?;
        if topic.internal() {
            return Err(TopicError::from(Refused::OwnTopic { topic: topic.name().clone() }).into());
        }
        let deleted = self.catalog.delete(topic.name().as_str()).await?;
        self.partitioners.forget(deleted.id());
        // The topic is deleted even if this fails: its offsets are not shown any more.
        if let Err(error) = self.groups.forget_topic(deleted.name(), deleted.id()).await {
            tracing::warn!(topic = %deleted.name(), "committed offsets of a deleted topic stay in the log for now: {error}");
        }
        Ok(DescribedTopic::of(&deleted))
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// An unknown or internal topic, a count that is not larger.
    pub async fn grow_topic(
        &self,
        topic: &Granted<Alter, TopicRef>,
        count: i32,
        validate_only: bool,
    ) -> Result<(), EngineError> {
        let topic = self.resolve(topic.resource())?;
        if topic.internal() {
            return Err(TopicError::from(Refused::OwnTopic { topic: topic.name().clone() }).into());
        }
        Ok(self.catalog.grow(topic.name().as_str(), count, validate_only).await?)
    }

    /// Counts and logs that somebody's topic would have passed the limit of open files.
    pub(crate) fn note_too_many_files(&self, ctx: &Context, error: &EngineError) {
        if let EngineError::Topic(TopicError::Refused(refused @ Refused::TooManyFiles { .. })) = error {
            self.refusals().note(RefusalClass::OpenFiles, ctx, refused);
        }
    }

    /// The topic that a request names.
    pub(super) fn resolve(&self, topic: &TopicRef) -> Result<Arc<Topic>, EngineError> {
        Ok(match topic {
            TopicRef::Name(name) => self.catalog.topic(name)?,
            TopicRef::Id(id) => self.catalog.topic_by_id(*id)?,
        })
    }

    /// The topic that a request names. A missing one is created if it is named by its name, if auto-create is on and if the
    /// caller has the permit.
    pub(super) async fn find_or_create(
        &self,
        topic: &TopicRef,
        create: Option<Granted<Create, TopicRef>>,
    ) -> Result<Arc<Topic>, EngineError> {
        match (topic, create) {
            (TopicRef::Name(name), Some(create)) if create.resource() == topic => {
                Ok(self.catalog.get_or_create(name, self.config.auto_create_topics).await?)
            }
            _ => self.resolve(topic),
        }
    }

    /// Loads the plugin that these configs bind, if any: a binding that cannot work is refused before it is written.
    pub(super) async fn check_binding(&self, topic: &str, configs: &TopicConfigs) -> Result<(), EngineError> {
        if let Some(reference) = configs.partitioner() {
            let plugin = plugin_of(reference);
            self.partitioners.check_binding(topic, reference, configs.plugin_config(plugin)).await?;
        }
        Ok(())
    }
}

/// A topic can only be created under a name.
fn name_of(topic: &TopicRef) -> Result<&str, EngineError> {
    match topic {
        TopicRef::Name(name) => Ok(name),
        TopicRef::Id(id) => Err(TopicError::IdNotFound { id: *id }.into()),
    }
}

/// What has met a bound of the broker, and not a rule of the protocol.
pub(crate) fn class_of(error: &TopicError) -> Option<RefusalClass> {
    match error {
        TopicError::Refused(Refused::TooManyFiles { .. }) => Some(RefusalClass::OpenFiles),
        TopicError::Refused(Refused::TooLarge { .. }) => Some(RefusalClass::TooLarge),
        _ => None,
    }
}
