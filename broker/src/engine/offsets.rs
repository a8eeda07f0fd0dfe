//! ListOffsets and OffsetForLeaderEpoch. Every end that is told is HW: nothing above it has happened yet (rule 2).

use std::sync::Arc;

use super::{Engine, EngineError};
use crate::context::Context;
use crate::ids::{LeaderEpoch, Offset, PartitionId, TimestampMs, TopicRef};
use crate::log::{LogError, Partition, TimedOffset};
use crate::tasks;

/// Which offset is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The log start.
    Earliest,
    /// The end, as a consumer sees it.
    Latest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record at or after a time.
    At(TimestampMs),
}

/// An offset with what is known of it; all `None` when no record answers the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffsetAnswer {
    /// The offset.
    pub offset: Option<Offset>,
    /// The record's timestamp, where a record was looked up.
    pub timestamp: Option<TimestampMs>,
    /// The epoch the offset belongs to.
    pub epoch: Option<LeaderEpoch>,
}

impl Engine {
    /// One look-up in one partition.
    ///
    /// # Errors
    /// An unknown topic or partition, a fenced or unknown epoch, a log that cannot be read.
    pub async fn list_offset(
        &self,
        _ctx: &Context,
        topic: &TopicRef,
        partition: PartitionId,
        epoch: Option<LeaderEpoch>,
        query: OffsetQuery,
    ) -> Result<OffsetAnswer, EngineError> {
        let partition = self.resolve(topic)?.partition(partition)?;
        partition.usable()?;
        partition.check_epoch(epoch)?;
        let offsets = partition.offsets();
        let plain = |offset: Offset| OffsetAnswer {
            offset: Some(offset),
            timestamp: None,
            epoch: partition.epoch_at(offset).or_else(|| Some(partition.current_epoch())),
        };
        let found = match query {
            OffsetQuery::Earliest => return Ok(plain(offsets.log_start)),
            OffsetQuery::Latest => return Ok(plain(offsets.lso)),
            OffsetQuery::MaxTimestamp => self.find(partition, Partition::find_max_time).await?,
            OffsetQuery::At(time) => self.find(partition, move |partition| partition.find_time(time)).await?,
        };
        Ok(found.map_or_else(OffsetAnswer::default, |at| OffsetAnswer {
            offset: Some(at.offset),
            timestamp: Some(at.timestamp),
            epoch: Some(at.epoch),
        }))
    }

    /// Looks through a log and opens the batch it ends at, which may wait for the disk and take much memory: elsewhere than
    /// on a network thread, a few at a time.
    async fn find(
        &self,
        partition: Arc<Partition>,
        look: impl FnOnce(&Partition) -> Result<Option<TimedOffset>, LogError> + Send + 'static,
    ) -> Result<Option<TimedOffset>, EngineError> {
        let turn = Arc::clone(&self.openings).acquire_owned().await.map_err(|_| EngineError::Stopping)?;
        let found = tasks::blocking("offset-lookup", move || {
            let found = look(&partition);
            // Here, not where a request that is given up would end.
            drop(turn);
            found
        });
        Ok(found.await??)
    }

    /// Where an epoch ends: the largest epoch known that is not above `asked`, and its end; `None` when none is as old.
    ///
    /// # Errors
    /// As `list_offset`.
    pub async fn epoch_end(
        &self,
        _ctx: &Context,
        topic: &TopicRef,
        partition: PartitionId,
        current: Option<LeaderEpoch>,
        asked: LeaderEpoch,
    ) -> Result<Option<(LeaderEpoch, Offset)>, EngineError> {
        let partition = self.resolve(topic)?.partition(partition)?;
        partition.usable()?;
        partition.check_epoch(current)?;
        Ok(partition.epoch_end(asked))
    }
}
