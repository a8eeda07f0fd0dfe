//! The deduplicated append. A thin step to the engine, which decides what is written.

use super::super::error::DoorError;
use super::super::messages::{AppendOnce, Message};
use super::Door;
use crate::engine::append_once;
use crate::ids::{PartitionId, ProducerId, Sequence, TopicId};

impl Door {
    /// A stream of deduplicated appends: a producer id that nobody had before, reserved durably.
    ///
    /// # Errors
    /// A storage failure when the reservation cannot be made durable.
    pub async fn new_stream(&self) -> Result<ProducerId, DoorError> {
        Ok(self.engine.new_stream().await?)
    }

    /// The last sequence of `stream` in that partition, durable. `None` for a stream that has written nothing there.
    ///
    /// # Errors
    /// `IdNotFound` for a deleted topic, an unknown partition, a partition that cannot be used.
    pub async fn stream_last(
        &self,
        stream: ProducerId,
        topic: TopicId,
        partition: PartitionId,
    ) -> Result<Option<Sequence>, DoorError> {
        Ok(self.engine.stream_last(stream, topic, partition).await?)
    }

    /// Appends `messages` unless they are there, one sequence a message from `first` on; durable when this returns. One call
    /// outstanding per stream and partition. A call that failed may be repeated, with the same messages.
    ///
    /// # Errors
    /// `OutOfOrderSequence` for a gap (nothing is written), messages that no batch can hold, a partition that cannot be
    /// written or synced.
    pub async fn append_once(
        &self,
        stream: ProducerId,
        first: Sequence,
        topic: TopicId,
        partition: PartitionId,
        messages: &[Message],
    ) -> Result<AppendOnce, DoorError> {
        let outcome = self.engine.append_once(stream, first, topic, partition, messages).await?;
        Ok(match outcome {
            append_once::AppendOnce::Written(first) => AppendOnce::Written(first),
            append_once::AppendOnce::Duplicate(first) => AppendOnce::Duplicate(first),
            append_once::AppendOnce::TopicMissing => AppendOnce::TopicMissing,
        })
    }
}
