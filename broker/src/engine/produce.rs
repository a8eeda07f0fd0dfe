//! Produce: a place in the queue of each partition at once, then `intercept`, then `append` in turn (log contract, rule 7); the
//! answer when it is durable. The step between a door and `log/append`; opens records only where the topic's configs ask.
//! An outcome, a refusal too, waits until what it reveals is synced (rule 2).

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::held::Held;
use super::openings::TooLong;
use super::{Engine, EngineError, InvalidRequest};
use crate::auth::{Create, Granted, Write};
use crate::context::{Context, Source};
use crate::ids::{Offset, PartitionId, TopicRef};
use crate::limits;
use crate::log::{Appended, Origin, Partition, Ticket, Turn};
use crate::record::{self, AppendRules, Compression, Levels, Means, Message, ProducedBatch, Stop, check_produced};
use crate::tasks;
use crate::topics::{RefusedName, Topic, TopicError};

/// The part of a produce request that goes to one topic.
#[derive(Debug)]
pub struct ProduceTopic {
    /// The topic. Without the permit there is no call:
    /// ```compile_fail
    /// use sluice_broker::engine::produce::ProduceTopic;
    /// use sluice_broker::ids::TopicRef;
    /// let part = ProduceTopic { topic: TopicRef::name("orders"), create: None, partitions: Vec::new() };
    /// ```
    pub topic: Granted<Write, TopicRef>,
    /// Creates the topic where it is missing and auto-create is on; `None`: the caller may not.
    pub create: Option<Granted<Create, TopicRef>>,
    /// What goes to each partition.
    pub partitions: Vec<ProducePartition>,
}

/// The part of a produce request that goes to one partition.
#[derive(Debug)]
pub struct ProducePartition {
    /// Its number.
    pub partition: PartitionId,
    /// Exactly one record batch.
    pub records: ProduceRecords,
}

/// The batch of one partition.
#[derive(Debug)]
pub enum ProduceRecords {
    /// As a producer sent it, not checked yet.
    Received(Option<Bytes>),
    /// Built here, so there is nothing to check.
    Built(ProducedBatch),
}

/// A produce request of which every partition has appended, has failed, or holds a place in its queue.
#[derive(Debug)]
pub enum BegunProduce {
    /// No partition had to wait.
    Appended(ProduceInFlight),
    /// At least one partition waits for its turn or for its batch: `Engine::finish_produce` goes on.
    Queued(QueuedProduce),
}

/// A produce request that holds places. They are given up when it is dropped.
#[derive(Debug)]
pub struct QueuedProduce {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Ended(Pending),
    Queued(Queued),
}

/// A topic of a request, or why it cannot be written, with what goes to its partitions.
type FoundTopic = (Result<Arc<Topic>, EngineError>, Vec<ProducePartition>);

/// A batch that holds its place.
#[derive(Debug)]
struct Queued {
    turn: Turn,
    partition: Arc<Partition>,
    batch: Received,
    /// What is still to be done to it.
    rules: Option<AppendRules>,
    source: Source,
}

/// A batch of a request.
#[derive(Debug)]
enum Received {
    /// Looked through.
    Checked(ProducedBatch),
    /// Too large to be looked through on a network thread.
    Bytes(Bytes),
}

/// A batch as it is to be stored, in its place. Only `intercept` makes one, so nothing is appended around the chain.
#[derive(Debug)]
struct Intercepted {
    /// Held until the append has ended.
    turn: Turn,
    partition: Arc<Partition>,
    batch: ProducedBatch,
    origin: Origin,
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
    /// When this returns, every partition of the request has appended, has failed, or holds its place, so that the connection's
    /// next produce may begin and sequences keep their order (rule 7). Waits only for a topic that has to be created, and holds
    /// no place meanwhile.
    pub async fn begin_produce(&self, ctx: &Context, topics: Vec<ProduceTopic>) -> BegunProduce {
        let mut found = Vec::with_capacity(topics.len());
        for ProduceTopic { topic, create, partitions } in topics {
            found.push((self.writable(ctx, topic.resource(), create).await, partitions));
        }
        self.begin_parts(ctx.source(), found)
    }

    /// Not asynchronous: a place that is taken here is worked on only once the caller has it, and other requests wait behind it.
    fn begin_parts(&self, source: Source, topics: Vec<FoundTopic>) -> BegunProduce {
        let mut parts = Vec::with_capacity(topics.iter().map(|(_, partitions)| partitions.len()).sum());
        let mut waits = false;
        for (found, partitions) in topics {
            for part in partitions {
                let begun = match &found {
                    Ok(topic) => self.begin_part(topic, part, source).unwrap_or_else(failed),
                    Err(error) => failed(error.clone()),
                };
                waits |= matches!(begun, Part::Queued(_));
                parts.push(begun);
            }
        }
        if waits {
            return BegunProduce::Queued(QueuedProduce { parts });
        }
        let pending = parts.into_iter().filter_map(|part| match part {
            Part::Ended(pending) => Some(pending),
            Part::Queued(_) => None,
        });
        BegunProduce::Appended(ProduceInFlight { pending: pending.collect() })
    }

    /// Returns when every partition has appended or failed. Partitions do not wait for each other. Must be polled to its end or
    /// dropped: while it is neither, it holds up other requests behind its places.
    pub async fn finish_produce(&self, queued: QueuedProduce) -> ProduceInFlight {
        let appending = queued.parts.into_iter().map(async |part| match part {
            Part::Ended(pending) => pending,
            Part::Queued(queued) => match self.intercept(queued).await {
                Ok(intercepted) => append(intercepted).await,
                Err(error) => Pending::Failed(error),
            },
        });
        ProduceInFlight { pending: join_all(appending).await }
    }

    /// As `begin_produce` and `finish_produce`, for a caller whose requests need no order among themselves.
    pub(crate) async fn produce(&self, ctx: &Context, topics: Vec<ProduceTopic>) -> ProduceInFlight {
        match self.begin_produce(ctx, topics).await {
            BegunProduce::Appended(in_flight) => in_flight,
            BegunProduce::Queued(queued) => self.finish_produce(queued).await,
        }
    }

    /// One batch, if the partition ends at `expected`; returns once it is durable.
    ///
    /// # Errors
    /// `WrongEnd` when it ends elsewhere, once that end is durable (rule 2); else as `produce`.
    pub(crate) async fn produce_at(
        &self,
        ctx: &Context,
        topic: &Granted<Write, TopicRef>,
        partition: PartitionId,
        batch: ProducedBatch,
        expected: Offset,
    ) -> Result<Appended, EngineError> {
        let topic = self.writable(ctx, topic.resource(), None).await?;
        let partition = topic.partition(partition)?;
        let batch = self.as_asked(ctx.source(), topic.append_rules(), Received::Checked(batch)).await?;
        let origin = origin(ctx.source());
        let append = move || partition.append_if_end(batch, origin, expected);
        Ok(tasks::blocking("conditional-append", append).await?.durable().await?)
    }

    /// One batch of these messages, of at most `size_max` bytes. What is compressed, or much, is built elsewhere than on a
    /// network thread, in the producers' own queue.
    ///
    /// # Errors
    /// Messages that no batch can hold; memory that is not free now.
    pub(crate) async fn build(
        &self,
        ctx: &Context,
        messages: Vec<Message>,
        (compression, size_max): (Compression, usize),
    ) -> Result<ProducedBatch, EngineError> {
        let now = self.clock.wall();
        let bytes = record::bytes_bound(&messages);
        if compression == Compression::None && bytes <= limits::INLINE_BYTES_MAX {
            return Ok(record::build_within(size_max, &messages, now, compression, None)?);
        }
        let (budget, source) = (self.memory.clone(), ctx.source());
        let built = self.openings.produce.run(move |_| {
            let takes = record::closing_bytes(compression, Levels::default(), (bytes, size_max));
            let mut held = Held::new(&budget, source, "a batch that is built");
            if !held.grow(takes) {
                return Ok(Err(held.refusal(Stop::NoMemory(takes))));
            }
            Ok(record::build_within(size_max, &messages, now, compression, None).map_err(EngineError::from))
        });
        built.await?
    }

    /// Checks the batch and appends it at once when there is nothing to wait for; else takes its place.
    fn begin_part(&self, topic: &Topic, part: ProducePartition, source: Source) -> Result<Part, EngineError> {
        let partition = topic.partition(part.partition)?;
        let batch = match part.records {
            ProduceRecords::Built(batch) => Received::Checked(batch),
            ProduceRecords::Received(records) => {
                let records =
                    records.filter(|bytes| !bytes.is_empty()).ok_or_else(|| no_records(topic, part.partition))?;
                // The topic's own limit is checked by the log, whose config it is, on what is stored.
                if records.len() > limits::CHECKED_INLINE_BYTES_MAX {
                    Received::Bytes(records)
                } else {
                    Received::Checked(check_produced(records, limits::FRAME_BYTES_MAX)?)
                }
            }
        };
        let (rules, now) = (topic.append_rules(), self.clock.wall());
        let batch = match batch {
            Received::Checked(batch) if partition.turns().free() && !rules.is_heavy(&batch, now) => {
                return Ok(match partition.append_at_once(rules.apply(batch, now)?, origin(source)) {
                    Ok(ticket) => Part::Ended(Pending::Appended(ticket)),
                    // The next segment is begun on another thread: who comes meanwhile queues behind.
                    Err(batch) => Part::Queued(Queued::new(partition, Received::Checked(batch), None, source)),
                });
            }
            batch => batch,
        };
        Ok(Part::Queued(Queued::new(partition, batch, Some(rules), source)))
    }

    /// The place of the chain: the batch as the topic wants it. Asynchronous; the place in the queue stays.
    async fn intercept(&self, queued: Queued) -> Result<Intercepted, EngineError> {
        let Queued { turn, partition, batch, rules, source } = queued;
        let batch = match (rules, batch) {
            (None, Received::Checked(batch)) => batch,
            (Some(rules), batch) => self.as_asked(source, rules, batch).await?,
            (None, Received::Bytes(_)) => return Err(EngineError::internal("a batch was not looked through")),
        };
        Ok(Intercepted { turn, partition, batch, origin: origin(source) })
    }

    /// The batch as the topic's configs want it. What takes long is done elsewhere than on a network thread, in the producers'
    /// own queue.
    async fn as_asked(
        &self,
        source: Source,
        rules: AppendRules,
        received: Received,
    ) -> Result<ProducedBatch, EngineError> {
        let now = self.clock.wall();
        let received = match received {
            Received::Checked(batch) if !rules.is_heavy(&batch, now) => return Ok(rules.apply(batch, now)?),
            received => received,
        };
        let budget = self.memory.clone();
        let applied = self.openings.produce.run(move |opened_left| {
            let mut held = Held::new(&budget, source, "the records of a batch");
            let batch = match &received {
                Received::Checked(batch) => batch.clone(),
                Received::Bytes(bytes) => match check_produced(bytes.clone(), limits::FRAME_BYTES_MAX) {
                    Ok(batch) => batch,
                    Err(error) => return Ok(Err(error.into())),
                },
            };
            match rules.apply_within(batch, now, &mut Means::new(&mut |bytes| held.grow(bytes), opened_left)) {
                Ok(batch) => Ok(Ok(batch)),
                Err(Stop::TooLong) => Err(TooLong),
                Err(stop) => Ok(Err(held.refusal(stop))),
            }
        });
        applied.await?
    }

    /// The topic, if this caller may write there: internal topics are written by the broker alone (Kafka answers
    /// INVALID_TOPIC_EXCEPTION as well).
    async fn writable(
        &self,
        ctx: &Context,
        topic: &TopicRef,
        create: Option<Granted<Create, TopicRef>>,
    ) -> Result<Arc<Topic>, EngineError> {
        let topic = self.find_or_create(topic, create).await?;
        if topic.internal() && ctx.source() != Source::Internal {
            let refused = RefusedName::Internal { name: topic.name().clone() };
            return Err(TopicError::from(refused).into());
        }
        Ok(topic)
    }
}

impl Queued {
    /// Takes the next place.
    fn new(partition: Arc<Partition>, batch: Received, rules: Option<AppendRules>, source: Source) -> Queued {
        Queued { turn: partition.turns().take(), partition, batch, rules, source }
    }
}

/// Waits for the turn and appends. The log checks epoch and sequence again, under the writer's lock.
async fn append(intercepted: Intercepted) -> Pending {
    let Intercepted { turn, partition, batch, origin } = intercepted;
    turn.begins().await;
    Pending::Appended(partition.append_async(batch, origin, turn).await)
}

fn failed(error: EngineError) -> Part {
    Part::Ended(Pending::Failed(error))
}

fn no_records(topic: &Topic, partition: PartitionId) -> EngineError {
    InvalidRequest::NoRecords { topic: topic.name().clone(), partition }.into()
}

fn origin(source: Source) -> Origin {
    match source {
        Source::Kafka => Origin::Client,
        Source::Http | Source::Internal => Origin::Broker,
    }
}
