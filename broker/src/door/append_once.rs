//! The deduplicated append. A thin step to the engine, which decides what is written.

use super::{Door, DoorError, Message};
use crate::ids::{PartitionId, ProducerId, Sequence, TopicId};

pub use crate::engine::append_once::AppendOnce;

impl Door {
    /// A stream of deduplicated appends: a producer id that nobody had before, reserved durably.
    ///
    /// # Errors
    /// A log error when the reservation cannot be made durable.
    pub async fn new_stream(&self) -> Result<ProducerId, DoorError> {
        self.engine.new_stream().await
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
        self.engine.stream_last(stream, topic, partition).await
    }

    /// Appends `messages` unless they are there, one sequence a message from `first` on; durable when this returns. One call
    /// outstanding per stream and partition. A call that failed may be repeated, with the same messages.
    ///
    /// # Errors
    /// `OutOfOrderSequence` for a gap (nothing is written), messages that no batch can hold, a log that cannot be written or
    /// synced.
    pub async fn append_once(
        &self,
        stream: ProducerId,
        first: Sequence,
        topic: TopicId,
        partition: PartitionId,
        messages: &[Message],
    ) -> Result<AppendOnce, DoorError> {
        self.engine.append_once(stream, first, topic, partition, messages).await
    }
}
