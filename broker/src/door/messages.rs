//! What producers hand to the door and get back: messages, their places, and the outcome of a deduplicated append.

use super::error::DoorError;
use crate::ids::{Offset, PartitionId, ProducerId, TopicId};
use crate::limits::BATCH_HEADER_BYTES;
use crate::record;

pub use crate::record::{Compression, Header, Message, partition_for_key};

/// Who waits for the answer to a produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: there are no outcomes.
    None,
    /// The caller: every outcome is durable.
    Durable,
}

/// Messages for one topic.
#[derive(Clone, Debug)]
pub struct ProduceRequest {
    /// The topic's name. A missing topic is created where auto-create is on.
    pub topic: String,
    /// Each with its partition where the caller chose one.
    pub messages: Vec<(Option<PartitionId>, Message)>,
    /// Who waits for the answer.
    pub acks: Acks,
    /// How the batches are compressed.
    pub compression: Compression,
    /// Append only if the partition ends at this offset. All messages must name the same partition.
    pub expected_offset: Option<Offset>,
}

/// Where a message was written, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The partition.
    pub partition: PartitionId,
    /// The record's offset.
    pub offset: Offset,
}

/// A stream of deduplicated appends, in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTarget {
    /// The stream.
    pub stream: ProducerId,
    /// The topic: never one that was recreated under the same name.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionId,
}

/// The result of a deduplicated append, durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOnce {
    /// Written by this call, from this offset on. When an earlier call was cut off between two batches, this call writes the
    /// rest, and the offset is where the rest begins.
    Written(Offset),
    /// Written by an earlier call, from this offset on where it is still known.
    Duplicate(Option<Offset>),
    /// No topic has this id (any more).
    TopicMissing,
}

/// The most bytes that a batch with this message alone has, before compression.
///
/// # Errors
/// `RecordFailure::Invalid` for a message that no batch can hold: a time before 1970, a size beyond Kafka's 32-bit fields.
pub(crate) fn batch_bytes_bound(message: &Message) -> Result<usize, DoorError> {
    Ok(record::size_bound(message)? + BATCH_HEADER_BYTES)
}
