//! STUB to be replaced. The deduplicated append (log contract, rules 18 and 19).
#![allow(missing_docs)]
use super::{Door, DoorError, Message};
use crate::ids::{Offset, PartitionId, ProducerId, Sequence, TopicId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOnce {
    /// Written now; the first offset.
    Written(Offset),
    /// Written before; the first offset where it is still known.
    Duplicate(Option<Offset>),
    /// The topic of that id is gone.
    TargetGone,
}

impl Door {
    pub async fn new_stream(&self) -> Result<ProducerId, DoorError> {
        self.engine.new_stream().await
    }
    /// The last sequence of `stream` in that partition: what the next call must follow.
    pub async fn stream_last(
        &self,
        _stream: ProducerId,
        _topic: TopicId,
        _partition: PartitionId,
    ) -> Result<Option<Sequence>, DoorError> {
        todo!()
    }
    /// One sequence a record from `first` on. Synced before it answers, in `flush=os` topics too. `Err` for a gap: the stream stops.
    pub async fn append_once(
        &self,
        _stream: ProducerId,
        _first: Sequence,
        _topic: TopicId,
        _partition: PartitionId,
        _messages: &[Message],
    ) -> Result<AppendOnce, DoorError> {
        todo!()
    }
}
