//! The deduplicated append. A thin step to the engine, which decides what is written.

use super::super::error::DoorError;
use super::super::messages::{AppendOnce, Message, StreamTarget};
use super::Door;
use crate::auth::Cluster;
use crate::context::Context;
use crate::engine::append_once;
use crate::ids::{ProducerId, Sequence, TopicRef};

impl Door {
    /// A stream of deduplicated appends: a producer id that nobody had before, reserved durably.
    ///
    /// # Errors
    /// A storage failure when the reservation cannot be made durable.
    pub async fn new_stream(&self, ctx: &Context) -> Result<ProducerId, DoorError> {
        Ok(self.engine.new_stream(&self.engine.auth().ask(ctx, Cluster)?).await?)
    }

    /// The last sequence of the stream in that partition, durable. `None` for a stream that has written nothing there.
    ///
    /// # Errors
    /// `IdNotFound` for a deleted topic, an unknown partition, a partition that cannot be used.
    pub async fn stream_last(&self, ctx: &Context, target: StreamTarget) -> Result<Option<Sequence>, DoorError> {
        let topic = self.engine.auth().ask(ctx, TopicRef::Id(target.topic))?;
        Ok(self.engine.stream_last(&topic, target.partition, target.stream).await?)
    }

    /// Appends `messages` unless they are there, one sequence a message from `first` on; durable when this returns. One call
    /// outstanding per stream and partition. A call that failed may be repeated, with the same messages.
    ///
    /// # Errors
    /// `OutOfOrderSequence` for a gap (nothing is written), messages that no batch can hold, a partition that cannot be
    /// written or synced.
    pub async fn append_once(
        &self,
        ctx: &Context,
        target: StreamTarget,
        first: Sequence,
        messages: &[Message],
    ) -> Result<AppendOnce, DoorError> {
        let topic = self.engine.auth().ask(ctx, TopicRef::Id(target.topic))?;
        let outcome = self.engine.append_once(&topic, target.partition, target.stream, first, messages).await?;
        Ok(match outcome {
            append_once::AppendOnce::Written(first) => AppendOnce::Written(first),
            append_once::AppendOnce::Duplicate(first) => AppendOnce::Duplicate(first),
            append_once::AppendOnce::TopicMissing => AppendOnce::TopicMissing,
        })
    }
}
