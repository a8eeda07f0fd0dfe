//! Where due records go: the target by the delay topic's name, its partition by the rule of the delay contract, and the
//! dead-letter topic for what cannot go there. Looks at what exists now; the step then binds it by id.

use std::sync::Arc;

use super::message;
use super::plan::Destination;
use crate::context::Context;
use crate::door::error::{ChainError, TopicError};
use crate::door::follow::Followed;
use crate::door::plugins::{partition_for_key, size_bound};
use crate::door::{Door, DoorError, Message};
use crate::ids::PartitionId;
use crate::limits::BATCH_HEADER_BYTES;
use crate::topics::{Catalog, NewTopic, Topic};

/// For delay topics whose name leaves no room for the suffix.
const COMMON_DEAD_LETTERS: &str = "sluice.dead-letter";
/// A reason goes into a header and into the step: no longer than this.
const REASON_CHARS_MAX: usize = 300;

/// Routes the records of one proxy partition.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) door: Door,
    pub(super) catalog: Arc<Catalog>,
    pub(super) proxy: Arc<Topic>,
    pub(super) partition: PartitionId,
}

impl Router {
    /// One destination a record, in order.
    ///
    /// # Errors
    /// What may pass: a log that cannot be written, a partitioner that cannot be loaded now. What cannot is a reason.
    pub(super) async fn route(&self, records: &[Followed]) -> Result<Vec<Destination>, DoorError> {
        let Some(first) = records.first() else { return Ok(Vec::new()) };
        let target = match self.target().await? {
            Ok(target) => target,
            Err(reason) => {
                tracing::warn!(topic = %self.proxy.name(), offset = %first.record.offset, "to the dead letters: {reason}");
                let letter = self.dead_letter(&reason).await?;
                return Ok(vec![letter; records.len()]);
            }
        };
        let mut destinations: Vec<Option<Destination>> = vec![None; records.len()];
        let mut good = Vec::with_capacity(records.len());
        for (at, found) in records.iter().enumerate() {
            match self.unfit(found, &target) {
                Some(reason) => destinations[at] = Some(self.dead_letter(&reason).await?),
                None => good.push(at),
            }
        }
        let messages: Vec<Message> = good.iter().map(|at| message::stripped(&records[*at].record, &[])).collect();
        for (at, choice) in good.into_iter().zip(self.partitions(&target, &messages).await?) {
            destinations[at] = Some(match choice {
                Ok(partition) => Destination { topic: target.id(), partition, reason: None, alone: false },
                Err(reason) => self.dead_letter(&reason).await?,
            });
        }
        Ok(destinations.into_iter().flatten().collect())
    }

    /// The dead-letter topic, made if need be (with auto-create off as well: it is ours), at this partition's number.
    pub(super) async fn dead_letter(&self, reason: &str) -> Result<Destination, DoorError> {
        let own = format!("{}.dead-letter", self.proxy.name());
        let name = if own.len() <= 249 { own } else { COMMON_DEAD_LETTERS.to_owned() };
        let topic = match self.catalog.topic(&name) {
            Err(TopicError::NotFound { .. }) => self.make_dead_letters(&name).await?,
            found => found?,
        };
        let partition = PartitionId(self.partition.0 % topic.partition_count().max(1));
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        Ok(Destination { topic: topic.id(), partition, reason: Some(reason), alone: false })
    }

    async fn make_dead_letters(&self, name: &str) -> Result<Arc<Topic>, DoorError> {
        let wish = NewTopic { partitions: Some(self.proxy.partition_count()), ..NewTopic::named(name) };
        match self.catalog.create(wish).await {
            Err(TopicError::Exists { .. }) => Ok(self.catalog.topic(name)?),
            made => Ok(made?),
        }
    }

    /// The topic that the records are for, or why there is none.
    async fn target(&self) -> Result<Result<Arc<Topic>, String>, DoorError> {
        let Some(delay) = self.proxy.delay() else {
            return Ok(Err(format!("'{}' is no delay topic", self.proxy.name())));
        };
        match self.catalog.get_or_create(delay.target.as_str(), true).await {
            Ok(target) if target.internal() => Ok(Err(format!("'{}' is the broker's own topic", delay.target))),
            Ok(target) => Ok(Ok(target)),
            Err(error @ (TopicError::Log(_) | TopicError::Metadata { .. })) => Err(error.into()),
            Err(error) => Ok(Err(format!("the target cannot be had: {error}"))),
        }
    }

    /// Why a record cannot go to its target. The headers that we add do not count against the target's limit (rule 19).
    fn unfit(&self, found: &Followed, target: &Topic) -> Option<String> {
        if let Some(reason) = &found.unreadable {
            return Some(reason.clone());
        }
        let limit = target.configs().log_config().message_bytes_max;
        match size_bound(&message::stripped(&found.record, &[])) {
            Ok(size) if size + BATCH_HEADER_BYTES <= limit => None,
            Ok(size) => Some(format!(
                "with {} bytes it is larger than '{}' takes: {limit} (max.message.bytes)",
                size + BATCH_HEADER_BYTES,
                target.name()
            )),
            Err(error) => Some(error.to_string()),
        }
    }

    /// The bound partitioner; else the proxy's number if the counts are equal; else murmur2 of the key, and without a key
    /// the proxy's number modulo the count.
    async fn partitions(
        &self,
        target: &Topic,
        messages: &[Message],
    ) -> Result<Vec<Result<PartitionId, String>>, DoorError> {
        if target.configs().partitioner().is_some() {
            return self.ask_partitioner(target, messages).await;
        }
        let count = target.partition_count().max(1);
        let same = self.proxy.partition_count() == count;
        let choose = |message: &Message| match &message.key {
            _ if same => self.partition,
            Some(key) => partition_for_key(key, count),
            None => PartitionId(self.partition.0 % count),
        };
        Ok(messages.iter().map(|message| Ok(choose(message))).collect())
    }

    /// All at once; when that fails each by itself, so that one record that breaks the plugin is one dead letter.
    async fn ask_partitioner(
        &self,
        target: &Topic,
        messages: &[Message],
    ) -> Result<Vec<Result<PartitionId, String>>, DoorError> {
        let ctx = Context::internal("delay");
        match self.door.bound_partitions(&ctx, target.id(), messages).await {
            Ok(partitions) => return Ok(partitions.into_iter().flatten().map(Ok).collect()),
            Err(DoorError::Chain(ChainError::Failed { .. })) => {}
            Err(error) => return Err(error),
        }
        let mut choices = Vec::with_capacity(messages.len());
        for message in messages {
            let choice = self.door.bound_partitions(&ctx, target.id(), std::slice::from_ref(message)).await;
            choices.push(match choice {
                Ok(partitions) => {
                    let first = partitions.and_then(|partitions| partitions.first().copied());
                    first.ok_or_else(|| "the partitioner was silent".to_owned())
                }
                Err(error @ DoorError::Chain(ChainError::Failed { .. })) => Err(error.to_string()),
                Err(error) => return Err(error),
            });
        }
        Ok(choices)
    }
}
