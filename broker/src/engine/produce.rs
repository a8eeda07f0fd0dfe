//! Produce: append now, answer when durable. The step between a door and `log/append`; it opens records only
//! where the topic's configs ask for it.
//! What an outcome reveals, a refusal too, waits for its sync (log contract, rule 2).

use std::sync::Arc;

use bytes::Bytes;

use super::{Engine, EngineError};
use crate::context::{Context, Source};
use crate::ids::{Offset, PartitionId, TopicRef};
use crate::limits;
use crate::log::{Appended, Origin, Ticket};
use crate::record::{ProducedBatch, check_produced};
use crate::tasks;
use crate::topics::{Topic, TopicError};

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nobody (acks=0).
    None,
    /// Somebody (acks=1 and all are the same here: both are answered after the sync).
    Durable,
}

/// The part of a produce request that goes to one partition.
#[derive(Clone, Debug)]
pub struct ProducePartition {
    /// Its topic.
    pub topic: TopicRef,
    /// Its number.
    pub partition: PartitionId,
    /// Exactly one record batch as the producer sent it.
    pub records: Option<Bytes>,
}

/// Appended or refused, not yet durable. Await `outcome` for the answer.
#[derive(Debug)]
pub struct ProduceInFlight {
    pending: Vec<Pending>,
}

#[derive(Debug)]
enum Pending {
    Appended(Ticket),
    Failed(EngineError),
}

impl ProduceInFlight {
    /// One outcome a partition, in the order of the request, each only once what it says is durable.
    pub async fn outcome(self) -> Vec<Result<Appended, EngineError>> {
        let mut outcomes = Vec::with_capacity(self.pending.len());
        for pending in self.pending {
            outcomes.push(match pending {
                Pending::Appended(ticket) => ticket.durable().await.map_err(EngineError::from),
                Pending::Failed(error) => Err(error),
            });
        }
        outcomes
    }
}

impl Engine {
    /// When this returns, every partition of the request has appended or failed, so that the connection's next produce may
    /// begin and sequences keep their order (rule 7).
    pub async fn produce(&self, ctx: &Context, partitions: Vec<ProducePartition>) -> ProduceInFlight {
        let mut pending = Vec::with_capacity(partitions.len());
        for part in partitions {
            pending.push(self.append(ctx, part).await.unwrap_or_else(Pending::Failed));
        }
        ProduceInFlight { pending }
    }

    /// One batch, if the partition ends at `expected`; returns once it is durable.
    ///
    /// # Errors
    /// `WrongEnd` when it ends elsewhere, once that end is durable (rule 2); else as `produce`.
    pub async fn produce_at(
        &self,
        ctx: &Context,
        topic: &TopicRef,
        partition: PartitionId,
        batch: ProducedBatch,
        expected: Offset,
    ) -> Result<Appended, EngineError> {
        let topic = self.resolve(topic)?;
        writable(ctx, &topic)?;
        let partition = topic.partition(partition)?;
        let batch = self.as_asked(&topic, batch).await?;
        Ok(partition.append_if_end(batch, origin(ctx), expected).durable().await?)
    }

    async fn append(&self, ctx: &Context, part: ProducePartition) -> Result<Pending, EngineError> {
        let topic = match &part.topic {
            TopicRef::Name(name) => self.resolve_or_create(ctx, name, true).await?,
            TopicRef::Id(_) => self.resolve(&part.topic)?,
        };
        writable(ctx, &topic)?;
        let partition = topic.partition(part.partition)?;
        let records = part.records.filter(|bytes| !bytes.is_empty()).ok_or_else(|| EngineError::InvalidRequest {
            reason: format!("the produce request has no records for {topic}-{0}", part.partition, topic = topic.name()),
        })?;
        // The topic's own limit is checked by the log, whose config it is, on what is stored.
        let batch = check_produced(records, limits::FRAME_BYTES_MAX)?;
        let batch = self.as_asked(&topic, batch).await?;
        Ok(Pending::Appended(partition.append(batch, origin(ctx))))
    }
}

impl Engine {
    /// The batch as the topic's configs want it. What takes long is done elsewhere than on a network thread, a few at a
    /// time, since each may need much memory; the request waits, so that the order of a connection's batches stays.
    async fn as_asked(&self, topic: &Topic, batch: ProducedBatch) -> Result<ProducedBatch, EngineError> {
        let (rules, now) = (topic.append_rules(), self.clock.wall());
        if !rules.is_heavy(&batch, now) {
            return Ok(rules.apply(batch, now)?);
        }
        let turn = Arc::clone(&self.openings).acquire_owned().await.map_err(|_| EngineError::Stopping)?;
        let applied = tasks::blocking("batch-rules", move || {
            let applied = rules.apply(batch, now);
            // Here, not where a request that is given up would end.
            drop(turn);
            applied
        });
        Ok(applied.await??)
    }
}

fn origin(ctx: &Context) -> Origin {
    match ctx.source() {
        Source::Kafka => Origin::Client,
        Source::Http | Source::Internal => Origin::Broker,
    }
}

/// Internal topics are written by their coordinators only (Kafka answers INVALID_TOPIC_EXCEPTION as well).
fn writable(ctx: &Context, topic: &Topic) -> Result<(), TopicError> {
    if topic.internal() && ctx.source() != Source::Internal {
        return Err(TopicError::RefusedName {
            reason: format!("'{}' is internal: only the broker writes there", topic.name()),
        });
    }
    Ok(())
}
