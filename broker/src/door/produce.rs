//! STUB to be replaced. Messages in; their places out.
#![allow(missing_docs)]
use super::{Context, Door, DoorError, Message};
use crate::engine::produce::Acks;
use crate::ids::{Offset, PartitionId};
use crate::record::Compression;

pub struct ProduceWish {
    pub topic: String,
    /// With its partition where the caller chose one.
    pub messages: Vec<(Option<PartitionId>, Message)>,
    pub acks: Acks,
    pub compression: Compression,
    /// Append only if the (single) partition's end is this; needs every message to name the same partition.
    pub expected_offset: Option<Offset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub partition: PartitionId,
    pub offset: Offset,
}

impl Door {
    /// One outcome a message, in order. Auto-creates; runs the bound partitioner (once, for all messages without a partition);
    /// one batch a partition. `Err` when nothing was written.
    pub async fn produce(
        &self,
        _ctx: &Context,
        _wish: ProduceWish,
    ) -> Result<Vec<Result<Placed, DoorError>>, DoorError> {
        todo!()
    }
}
