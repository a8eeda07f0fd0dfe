//! Messages in, their places out: partitions are chosen, batches built, and the engine appends them. Several batches go to a
//! partition only where one would exceed its topic's `max.message.bytes`. Each message has an outcome of its own: what is
//! written stays written when other partitions fail.

use std::collections::BTreeMap;

use super::super::error::DoorError;
use super::super::messages::{Acks, Compression, Message, Placed, ProduceRequest};
use super::Door;
use crate::auth::{Granted, Write};
use crate::context::Context;
use crate::engine::produce::{ProducePartition, ProduceRecords, ProduceTopic};
use crate::ids::{Offset, PartitionId, TopicRef};
use crate::limits::BATCH_HEADER_BYTES;
use crate::record;

/// What became of one message.
type Outcome = Result<Placed, DoorError>;

/// Messages that share a batch, and their places in the request.
#[derive(Debug, Default)]
struct Group {
    partition: PartitionId,
    indices: Vec<usize>,
    messages: Vec<Message>,
    bytes: usize,
}

impl Door {
    /// One outcome a message, in order, once it is durable; with `Acks::None` nobody waits and there are no outcomes. Calls the
    /// bound partitioner once, for all messages without a partition.
    ///
    /// # Errors
    /// What is found before anything is written: an unknown topic, a failed partitioner. `WrongEnd` for an expected offset
    /// that is not the end.
    pub async fn produce(&self, ctx: &Context, request: ProduceRequest) -> Result<Vec<Outcome>, DoorError> {
        let auth = self.engine.auth();
        let named = TopicRef::name(&request.topic);
        let (describe, create) = (auth.ask(ctx, named.clone())?, auth.ask(ctx, named.clone()).ok());
        auth.ask::<Write, _>(ctx, named)?;
        let topic = self.engine.describe_or_create_topic(&describe, create).await?;
        // By id from here on: a topic that is recreated meanwhile is another one.
        let target = auth.ask::<Write, _>(ctx, TopicRef::Id(topic.id))?;
        let (named, messages): (Vec<_>, Vec<_>) = request.messages.into_iter().unzip();
        let partitions = self.place(ctx, &target, named, &messages).await?;
        if let Some(expected) = request.expected_offset {
            let how = (request.compression, topic.configs.message_bytes_max());
            let outcomes = self.produce_at(ctx, &target, expected, &partitions, messages, how).await?;
            return Ok(if request.acks == Acks::None { Vec::new() } else { outcomes });
        }
        let size_max = topic.configs.message_bytes_max();
        let mut outcomes = vec![None; messages.len()];
        let (mut parts, mut sent) = (Vec::new(), Vec::new());
        for Group { partition, indices, messages, .. } in into_groups(partitions, messages, size_max, &mut outcomes) {
            match self.engine.build(ctx, messages, (request.compression, size_max)).await {
                Ok(batch) => {
                    parts.push(ProducePartition { partition, records: ProduceRecords::Built(batch) });
                    sent.push((partition, indices));
                }
                Err(error) => {
                    let error = DoorError::from(error);
                    indices.into_iter().for_each(|index| outcomes[index] = Some(Err(error.clone())));
                }
            }
        }
        let part = ProduceTopic { topic: target, create: None, partitions: parts };
        let in_flight = self.engine.produce(ctx, vec![part]).await;
        if request.acks == Acks::None {
            return Ok(Vec::new());
        }
        for ((partition, indices), outcome) in sent.into_iter().zip(in_flight.outcome().await) {
            let outcome = outcome.map_err(DoorError::from);
            for (at, index) in indices.into_iter().enumerate() {
                outcomes[index] = Some(match &outcome {
                    Ok(appended) => Ok(placed(partition, appended.base_offset, at)),
                    Err(error) => Err(error.clone()),
                });
            }
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.expect("a message is refused or in a group")).collect())
    }

    /// One partition a message: the caller's, or the partitioner's.
    async fn place(
        &self,
        ctx: &Context,
        topic: &Granted<Write, TopicRef>,
        named: Vec<Option<PartitionId>>,
        messages: &[Message],
    ) -> Result<Vec<PartitionId>, DoorError> {
        if named.iter().all(Option::is_none) {
            return Ok(self.engine.choose_partitions(ctx, topic, messages).await?);
        }
        let free = named.iter().zip(messages).filter(|(named, _)| named.is_none());
        let free: Vec<Message> = free.map(|(_, message)| message.clone()).collect();
        let chosen =
            if free.is_empty() { Vec::new() } else { self.engine.choose_partitions(ctx, topic, &free).await? };
        let mut chosen = chosen.into_iter();
        let mut partitions = Vec::with_capacity(named.len());
        for named in named {
            let fewer = || DoorError::Internal { what: "the partitioner chose for fewer messages than it got".into() };
            partitions.push(named.or_else(|| chosen.next()).ok_or_else(fewer)?);
        }
        Ok(partitions)
    }

    /// All messages in one batch, if the partition ends at `expected`.
    async fn produce_at(
        &self,
        ctx: &Context,
        topic: &Granted<Write, TopicRef>,
        expected: Offset,
        partitions: &[PartitionId],
        messages: Vec<Message>,
        how: (Compression, usize),
    ) -> Result<Vec<Outcome>, DoorError> {
        let [partition, others @ ..] = partitions else { return Ok(Vec::new()) };
        if others.iter().any(|other| other != partition) {
            let reason = "an expected offset needs all messages to be for one partition".to_owned();
            return Err(DoorError::InvalidRequest { reason });
        }
        let count = messages.len();
        let batch = self.engine.build(ctx, messages, how).await?;
        let appended = self.engine.produce_at(ctx, topic, *partition, batch, expected).await?;
        Ok((0..count).map(|at| Ok(placed(*partition, appended.base_offset, at))).collect())
    }
}

/// Messages of one partition share a batch, in their order, up to `size_max` bytes before compression. A message that no
/// batch can hold is refused in its place.
fn into_groups(
    partitions: Vec<PartitionId>,
    messages: Vec<Message>,
    size_max: usize,
    outcomes: &mut [Option<Outcome>],
) -> Vec<Group> {
    let mut done = Vec::new();
    let mut open: BTreeMap<PartitionId, Group> = BTreeMap::new();
    for (index, (partition, message)) in partitions.into_iter().zip(messages).enumerate() {
        let bytes = match record::size_bound(&message) {
            Ok(bytes) => bytes,
            Err(error) => {
                outcomes[index] = Some(Err(error.into()));
                continue;
            }
        };
        let group = open.entry(partition).or_insert_with(|| Group { partition, ..Group::default() });
        if !group.messages.is_empty() && BATCH_HEADER_BYTES + group.bytes + bytes > size_max {
            done.push(std::mem::replace(group, Group { partition, ..Group::default() }));
        }
        group.indices.push(index);
        group.messages.push(message);
        group.bytes += bytes;
    }
    // Groups of one partition stay in order: the full ones come first.
    done.extend(open.into_values());
    done
}

fn placed(partition: PartitionId, base: Offset, at: usize) -> Placed {
    // A batch counts its records in 32 bits.
    Placed { partition, offset: Offset(base.0 + at as i64) }
}

#[cfg(test)]
mod tests {
    use super::super::super::error::RecordFailure;
    use super::*;

    fn message(bytes: usize) -> Message {
        Message { value: Some(vec![b'x'; bytes].into()), ..Message::default() }
    }

    #[test]
    fn a_partition_has_one_batch_as_long_as_it_fits_and_messages_keep_their_order() {
        let partitions: Vec<_> = [1, 0, 1, 1, 0, 1].map(PartitionId).to_vec();
        let messages: Vec<_> = [10, 20, 10, 900, 20, 900].map(message).to_vec();
        let groups = into_groups(partitions, messages, 1_000, &mut [const { None }; 6]);
        let shape: Vec<_> = groups.iter().map(|group| (group.partition.0, group.indices.clone())).collect();
        assert_eq!(shape, [(1, vec![0, 2]), (1, vec![3]), (0, vec![1, 4]), (1, vec![5])]);
    }

    #[test]
    fn a_message_that_no_batch_can_hold_is_refused_alone() {
        let mut early = message(1);
        early.timestamp = Some(crate::ids::TimestampMs(-5));
        let mut outcomes = vec![None; 3];
        let messages = vec![message(1), early, message(1)];
        let groups = into_groups(vec![PartitionId(0); 3], messages, 1_000, &mut outcomes);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].indices, [0, 2]);
        assert!(outcomes[0].is_none() && outcomes[2].is_none());
        assert!(matches!(outcomes[1], Some(Err(DoorError::Record(RecordFailure::Invalid { .. })))));
    }
}
