//! The deduplicated append (log contract, rules 18 and 19) under delays, sessions and idempotent HTTP. The target partition
//! knows the last sequence of a stream, so a caller that does not know whether it has written repeats the same call, and no
//! record is written twice. Every answer is synced, in `sluice.flush=os` topics too. Takes messages and not batches: how many
//! of them a batch holds depends on what the partition has already.

use std::sync::Arc;

use super::{Engine, EngineError, InvalidRequest};
use crate::auth::{Granted, Write};
use crate::ids::{Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicRef};
use crate::limits::{BATCH_HEADER_BYTES, INLINE_BYTES_MAX, OWN_HEADERS_BYTES_MAX};
use crate::log::{AppendError, LogError, Origin, Partition};
use crate::record::{self, Compression, Message, ProducedBatch, ProducerStamp, RecordError};
use crate::topics::{Topic, TopicError};

/// The end of the name of a topic that takes records of any size.
const DEAD_LETTERS: &str = ".dead-letter";
/// Sequences are compared on a circle of 2^31 numbers: what is less than half of it behind is old.
const HALF_CIRCLE: i32 = 1 << 30;

/// What became of a deduplicated append; all of it durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendOnce {
    /// Written by this call, from this offset on. When an earlier call was cut off between two batches, this call writes the
    /// rest, and the offset is where the rest begins.
    Written(Offset),
    /// Written by an earlier call, from this offset on where it is still known.
    Duplicate(Option<Offset>),
    /// No topic has this id (any more).
    TopicMissing,
}

impl Engine {
    /// The last sequence of `stream` in that partition, synced: the next call continues behind it. `None` for a stream that
    /// has written nothing there.
    ///
    /// # Errors
    /// `IdNotFound` for a deleted topic, an unknown partition, a partition that cannot be used.
    pub(crate) async fn stream_last(
        &self,
        topic: &Granted<Write, TopicRef>,
        partition: PartitionId,
        stream: ProducerId,
    ) -> Result<Option<Sequence>, EngineError> {
        let target = self.resolve(topic.resource())?.partition(partition)?;
        let last = target.stream_last(stream).synced().await?;
        if last.is_none() {
            target.usable()?;
        }
        Ok(last.map(|last| last.sequence))
    }

    /// Appends `messages` unless they are there. Each record takes one sequence, from `first` on. `first` is one more than the
    /// stream's last sequence in that partition (0 for a stream that is new there), or lower for a repeated call. The caller
    /// has one call outstanding per stream and partition.
    ///
    /// One batch holds all of them, unless it would exceed the target's `max.message.bytes`. A single record may exceed that
    /// limit by the headers that the broker adds (rule 19), and is compressed before it is refused. A dead-letter topic takes
    /// records of any size. After an error between two batches the repeated call writes the rest.
    ///
    /// # Errors
    /// `OutOfOrderSequence` for a gap (nothing is written), messages that no batch can hold or that need a key, a log that cannot be written or
    /// synced.
    pub(crate) async fn append_once(
        &self,
        topic: &Granted<Write, TopicRef>,
        partition: PartitionId,
        stream: ProducerId,
        first: Sequence,
        messages: &[Message],
    ) -> Result<AppendOnce, EngineError> {
        let outcome = self.append_to_target(topic.resource(), partition, stream, first, messages).await;
        match outcome {
            Err(error) if is_missing(&error) => Ok(AppendOnce::TopicMissing),
            outcome => outcome,
        }
    }

    async fn append_to_target(
        &self,
        topic: &TopicRef,
        partition: PartitionId,
        stream: ProducerId,
        first: Sequence,
        messages: &[Message],
    ) -> Result<AppendOnce, EngineError> {
        let topic = self.resolve(topic)?;
        let target = topic.partition(partition)?;
        let (rules, limits) = (topic.append_rules(), Limits::of(&topic));
        let Some(message) = messages.first() else {
            return Err(InvalidRequest::NoMessages.into());
        };
        let earlier = target.stream_last(stream);
        if let Ok(Some(last)) = earlier.placed().copied() {
            let written = written_of(first, last.sequence);
            if written >= messages.len() {
                earlier.synced().await?;
                let again = self.batches(std::slice::from_ref(message), stream, first, limits).await?;
                return Ok(AppendOnce::Duplicate(known_offset(&target, again).await));
            }
            // An earlier call has written the messages up to `last`.
            rules.check_keys(&messages[written..])?;
            let rest = self.batches(&messages[written..], stream, advance(first, written), limits).await?;
            return append_all(&target, rest).await;
        }
        rules.check_keys(messages)?;
        append_all(&target, self.batches(messages, stream, first, limits).await?).await
    }

    /// What is much, or compressed, is built elsewhere than on a network thread. Callers bound what they have under way.
    async fn batches(
        &self,
        messages: &[Message],
        stream: ProducerId,
        first: Sequence,
        limits: Limits,
    ) -> Result<Vec<ProducedBatch>, EngineError> {
        let now = self.clock.wall();
        if limits.compression == Compression::None && record::bytes_bound(messages) <= INLINE_BYTES_MAX {
            return Ok(batches(messages, stream, first, limits, now)?);
        }
        let messages = messages.to_vec();
        let built = self.openings().produce.run(move |_| Ok(batches(&messages, stream, first, limits, now)));
        Ok(built.await??)
    }
}

/// Appends batch after batch, in order, and syncs them together.
async fn append_all(target: &Arc<Partition>, batches: Vec<ProducedBatch>) -> Result<AppendOnce, EngineError> {
    let mut tickets = Vec::with_capacity(batches.len());
    for batch in batches {
        let ticket = target.append_async(batch, Origin::Stream, ()).await;
        let refused = ticket.placed().is_err();
        tickets.push(ticket);
        if refused {
            break;
        }
    }
    let mut first = None;
    for ticket in tickets {
        first.get_or_insert(ticket.synced().await?.base_offset);
    }
    first.map(AppendOnce::Written).ok_or_else(|| EngineError::internal("messages became no batch"))
}

/// The first offset of records that an earlier call wrote: the partition remembers the last few batches. Never appends, since
/// the caller has seen that the sequence is old and is the only writer of the stream.
async fn known_offset(target: &Arc<Partition>, again: Vec<ProducedBatch>) -> Option<Offset> {
    let again = again.into_iter().next()?;
    let appended = target.append_async(again, Origin::Stream, ()).await.synced().await.ok()?;
    Some(appended.base_offset)
}

/// What the target takes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// `max.message.bytes`.
    size_max: usize,
    /// A dead-letter topic: it takes records of any size.
    any_size: bool,
    compression: Compression,
}

impl Limits {
    fn of(target: &Topic) -> Limits {
        Limits {
            size_max: target.configs().log_config().message_bytes_max,
            any_size: target.name().as_str().ends_with(DEAD_LETTERS),
            compression: target.append_rules().compression.unwrap_or(Compression::None),
        }
    }

    /// The headers that the broker adds do not count (rule 19).
    fn fits(&self, batch: &ProducedBatch) -> bool {
        self.any_size || batch.header().size <= self.size_max.saturating_add(OWN_HEADERS_BYTES_MAX)
    }
}

/// Consecutive batches of a stream. A batch has at most `size_max` bytes unless it holds a single record. All batches are
/// built before the first is written, so that nothing is written when one cannot be built.
fn batches(
    messages: &[Message],
    stream: ProducerId,
    first: Sequence,
    limits: Limits,
    now: TimestampMs,
) -> Result<Vec<ProducedBatch>, RecordError> {
    let mut built = Vec::new();
    let mut begin = 0;
    let mut bytes = BATCH_HEADER_BYTES;
    let mut build = |from: usize, to: usize| {
        let stamp = ProducerStamp { id: stream, epoch: ProducerEpoch(0), first: advance(first, from) };
        let close = |compression| record::build(&messages[from..to], now, compression, Some(stamp));
        let mut batch = close(limits.compression)?;
        if !limits.fits(&batch) {
            // The producer may have compressed it.
            batch = close(Compression::Zstd)?;
        }
        if !limits.fits(&batch) {
            return Err(RecordError::TooLarge { size: batch.header().size, limit: limits.size_max });
        }
        built.push(batch);
        Ok(())
    };
    for (index, message) in messages.iter().enumerate() {
        let more = record::size_bound(message)?;
        if index > begin && bytes + more > limits.size_max {
            build(begin, index)?;
            begin = index;
            bytes = BATCH_HEADER_BYTES;
        }
        bytes += more;
    }
    build(begin, messages.len())?;
    Ok(built)
}

/// How many sequences from `first` on are at or below `last`.
fn written_of(first: Sequence, last: Sequence) -> usize {
    // Both are 0 to 2^31 - 1, so the difference fits and its low 31 bits are the distance on the circle.
    let distance = last.0.wrapping_sub(first.0) & i32::MAX;
    if distance < HALF_CIRCLE { distance as usize + 1 } else { 0 }
}

fn advance(first: Sequence, count: usize) -> Sequence {
    // More records than fit 32 bits are refused by the builder.
    first.advance(i32::try_from(count).unwrap_or(i32::MAX))
}

fn is_missing(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Topic(TopicError::IdNotFound { .. } | TopicError::Log(LogError::Deleted { .. }))
            | EngineError::Log(LogError::Deleted { .. })
            | EngineError::Append(AppendError::Log(LogError::Deleted { .. }))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_counted_on_the_circle_of_sequences() {
        let written = |first, last| written_of(Sequence(first), Sequence(last));
        assert_eq!(written(0, 0), 1);
        assert_eq!(written(5, 4), 0, "exactly the next");
        assert_eq!(written(5, 3), 0, "a gap");
        assert_eq!(written(5, 9), 5);
        assert_eq!(written(i32::MAX, 0), 2, "the last number and 0");
        assert_eq!(written(0, i32::MAX), 0, "0 follows the last number");
    }

    #[test]
    fn batches_of_a_stream_are_consecutive_and_only_a_lone_record_is_too_large() {
        let message = |bytes: usize| Message { value: Some(vec![b'x'; bytes].into()), ..Message::default() };
        let messages: Vec<_> = [300, 300, 300, 2_000, 10, 10].map(message).to_vec();
        let limits = Limits { size_max: 1_000, any_size: false, compression: Compression::None };
        let stream = ProducerId(1 << 62);
        let built = batches(&messages, stream, Sequence(i32::MAX - 1), limits, TimestampMs(1)).unwrap();
        let shape = built.iter().map(|batch| (batch.header().producer.unwrap().first.0, batch.header().record_count));
        let shape: Vec<_> = shape.collect();
        assert_eq!(shape, [(i32::MAX - 1, 2), (0, 1), (1, 1), (2, 2)]);
        for batch in built {
            assert!(batch.header().size <= 1_000 || batch.header().record_count == 1);
        }
    }

    #[test]
    fn rule_19_a_record_may_pass_the_limit_by_our_headers_and_is_compressed_before_it_is_refused() {
        let mut dice = 7u64;
        let mut noise = |bytes: usize| {
            let mut next = || {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (dice >> 56) as u8
            };
            let value: Vec<u8> = (0..bytes).map(|_| next()).collect();
            Message { value: Some(value.into()), ..Message::default() }
        };
        let limits = Limits { size_max: 1_000, any_size: false, compression: Compression::None };
        let build =
            |message: Message, limits| batches(&[message], ProducerId(1 << 62), Sequence(0), limits, TimestampMs(1));
        let allowed = build(noise(1_000 + OWN_HEADERS_BYTES_MAX - 100), limits).unwrap();
        assert_eq!(allowed[0].header().compression, Compression::None);
        let compressible = Message { value: Some(vec![b'x'; 100_000].into()), ..Message::default() };
        assert_eq!(build(compressible, limits).unwrap()[0].header().compression, Compression::Zstd);
        let refused = build(noise(1_000 + OWN_HEADERS_BYTES_MAX), limits);
        assert!(matches!(refused, Err(RecordError::TooLarge { limit: 1_000, .. })));
        assert!(build(noise(50_000), Limits { any_size: true, ..limits }).is_ok(), "a dead-letter topic takes it");
    }
}
