//! Where due records go: the target by the delay topic's name, its partition by the rule of the delay contract, and the
//! dead-letter topic for records that cannot go there. Looks at the topics that exist now; the step then binds them by id.

use super::message;
use super::plan::Destination;
use crate::door::error::{PluginFailure, TopicFailure};
use crate::door::messages::{Message, batch_bytes_bound, partition_for_key};
use crate::door::reading::Followed;
use crate::door::topics::{NewTopic, TopicInfo, TopicRef};
use crate::door::{Context, Door, DoorError};
use crate::ids::{PartitionId, TopicId, TopicName};

/// For delay topics whose name leaves no room for the suffix.
const COMMON_DEAD_LETTERS: &str = "sluice.dead-letter";
/// Kafka's limit for a topic's name.
const TOPIC_NAME_BYTES_MAX: usize = 249;
/// A reason goes into a header and into the step: no longer than this.
const REASON_CHARS_MAX: usize = 300;

/// Routes the records of one proxy partition.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) door: Door,
    pub(super) ctx: Context,
    pub(super) proxy: ProxyTopic,
    pub(super) partition: PartitionId,
}

/// A delay topic.
#[derive(Clone, Debug)]
pub(super) struct ProxyTopic {
    pub(super) name: String,
    pub(super) id: TopicId,
    pub(super) target: TopicName,
}

impl Router {
    /// One destination a record, in order.
    ///
    /// # Errors
    /// A failure that may end: a log that cannot be written, a partitioner that cannot be loaded now. A lasting one is a reason
    /// for the dead-letter topic.
    pub(super) async fn route(&self, records: &[Followed]) -> Result<Vec<Destination>, DoorError> {
        let Some(first) = records.first() else { return Ok(Vec::new()) };
        let target = match self.target().await? {
            Ok(target) => target,
            Err(reason) => {
                tracing::warn!(topic = %self.proxy.name, offset = %first.record.offset, "to the dead letters: {reason}");
                let letter = self.dead_letter(&reason).await?;
                return Ok(vec![letter; records.len()]);
            }
        };
        let mut destinations: Vec<Option<Destination>> = vec![None; records.len()];
        let mut good = Vec::with_capacity(records.len());
        for (at, found) in records.iter().enumerate() {
            match unfit(found, &target) {
                Some(reason) => destinations[at] = Some(self.dead_letter(&reason).await?),
                None => good.push(at),
            }
        }
        let messages: Vec<Message> = good.iter().map(|at| message::stripped(&records[*at].record, &[])).collect();
        for (at, choice) in good.into_iter().zip(self.partitions(&target, &messages).await?) {
            destinations[at] = Some(match choice {
                Ok(partition) => Destination { topic: target.id, partition, reason: None, alone: false },
                Err(reason) => self.dead_letter(&reason).await?,
            });
        }
        Ok(destinations.into_iter().flatten().collect())
    }

    /// The partition of the dead-letter topic with this partition's number. Creates the topic where it is missing, with
    /// auto-create off too, because it is the service's own.
    pub(super) async fn dead_letter(&self, reason: &str) -> Result<Destination, DoorError> {
        let own = format!("{}.dead-letter", self.proxy.name);
        let name = if own.len() <= TOPIC_NAME_BYTES_MAX { own } else { COMMON_DEAD_LETTERS.to_owned() };
        let topic = match self.door.topic(&self.ctx, &TopicRef::name(&name)) {
            Err(DoorError::Topic(TopicFailure::NotFound { .. })) => self.create_dead_letters(name).await?,
            found => found?,
        };
        let partition = PartitionId(self.partition.0 % topic.partitions.max(1));
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        Ok(Destination { topic: topic.id, partition, reason: Some(reason), alone: false })
    }

    async fn create_dead_letters(&self, name: String) -> Result<TopicInfo, DoorError> {
        let request = NewTopic {
            partitions: Some(self.proxy_partitions()?),
            replication: None,
            configs: Vec::new(),
            name: name.clone(),
        };
        match self.door.create_topic(&self.ctx, request).await {
            Err(DoorError::Topic(TopicFailure::Exists { .. })) => self.door.topic(&self.ctx, &TopicRef::name(&name)),
            created => created,
        }
    }

    fn proxy_partitions(&self) -> Result<i32, DoorError> {
        self.door.partition_count(&self.ctx, &TopicRef::Id(self.proxy.id))
    }

    /// The topic that the records are for, or why there is none.
    async fn target(&self) -> Result<Result<TopicInfo, String>, DoorError> {
        let name = &self.proxy.target;
        match self.door.topic_or_create(&self.ctx, name.as_str()).await {
            Ok(target) if target.internal => Ok(Err(format!("'{name}' is the broker's own topic"))),
            Ok(target) => Ok(Ok(target)),
            Err(error @ DoorError::Topic(TopicFailure::Deleted { .. })) => Err(error),
            Err(DoorError::Topic(error)) => Ok(Err(format!("the target cannot be used: {error}"))),
            Err(error) => Err(error),
        }
    }

    /// The bound partitioner; else the proxy's number if the counts are equal; else murmur2 of the key, and without a key
    /// the proxy's number modulo the count.
    async fn partitions(
        &self,
        target: &TopicInfo,
        messages: &[Message],
    ) -> Result<Vec<Result<PartitionId, String>>, DoorError> {
        if let Some(choices) = self.ask_partitioner(target, messages).await? {
            return Ok(choices);
        }
        let count = target.partitions.max(1);
        let same = self.proxy_partitions()? == count;
        let choose = |message: &Message| match &message.key {
            _ if same => self.partition,
            Some(key) => partition_for_key(key, count),
            None => PartitionId(self.partition.0 % count),
        };
        Ok(messages.iter().map(|message| Ok(choose(message))).collect())
    }

    /// All at once; when that fails each message by itself, so that one record that breaks the plugin is one dead letter.
    /// `None` when no partitioner is bound.
    async fn ask_partitioner(
        &self,
        target: &TopicInfo,
        messages: &[Message],
    ) -> Result<Option<Vec<Result<PartitionId, String>>>, DoorError> {
        match self.door.bound_partitions(&self.ctx, target.id, messages).await {
            Ok(partitions) => return Ok(partitions.map(|partitions| partitions.into_iter().map(Ok).collect())),
            Err(DoorError::Plugin(PluginFailure::Failed { .. })) => {}
            Err(error) => return Err(error),
        }
        let mut choices = Vec::with_capacity(messages.len());
        for message in messages {
            let choice = self.door.bound_partitions(&self.ctx, target.id, std::slice::from_ref(message)).await;
            choices.push(match choice {
                Ok(partitions) => {
                    let first = partitions.and_then(|partitions| partitions.first().copied());
                    first.ok_or_else(|| "the partitioner chose no partition".to_owned())
                }
                Err(DoorError::Plugin(error @ PluginFailure::Failed { .. })) => Err(error.to_string()),
                Err(error) => return Err(error),
            });
        }
        Ok(Some(choices))
    }
}

/// Why a record cannot go to its target. The headers that we add do not count against the target's limit (rule 19).
fn unfit(found: &Followed, target: &TopicInfo) -> Option<String> {
    if let Some(reason) = &found.unreadable {
        return Some(reason.clone());
    }
    let limit = target.batch_bytes_max;
    match batch_bytes_bound(&message::stripped(&found.record, &[])) {
        Ok(bytes) if bytes <= limit => None,
        Ok(bytes) => {
            Some(format!("with {bytes} bytes it is larger than '{}' takes: {limit} (max.message.bytes)", target.name))
        }
        Err(error) => Some(error.to_string()),
    }
}
