//! STUB to be replaced. Messages out, with long poll.
#![allow(missing_docs)]
use std::time::Duration;

use super::{Context, Door, DoorError};
use crate::ids::{Offset, PartitionId, TimestampMs};
use crate::log::Offsets;
use crate::record::RecordView;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    Earliest,
    Latest,
    At(Offset),
    Time(TimestampMs),
}

pub struct ReadWish {
    pub topic: String,
    pub partition: PartitionId,
    pub from: ReadFrom,
    pub max_records: usize,
    pub max_bytes: usize,
    pub timeout: Duration,
}

pub struct ReadAnswer {
    pub records: Vec<RecordView>,
    /// where to go on
    pub next: Offset,
    pub offsets: Offsets,
}

impl Door {
    /// Records from `from` on, the first whatever its size. Waits up to `timeout` for the first one. Control batches are skipped.
    pub async fn read(&self, _ctx: &Context, _wish: &ReadWish) -> Result<ReadAnswer, DoorError> {
        todo!()
    }
    pub async fn offsets(&self, _ctx: &Context, _topic: &str, _partition: PartitionId) -> Result<Offsets, DoorError> {
        todo!()
    }
    pub async fn offset_for_time(
        &self,
        _ctx: &Context,
        _topic: &str,
        _partition: PartitionId,
        _at: TimestampMs,
    ) -> Result<Option<Offset>, DoorError> {
        todo!()
    }
}
