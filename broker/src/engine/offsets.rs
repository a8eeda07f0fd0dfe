//! ListOffsets and OffsetForLeaderEpoch. Every end that is returned is HW: nothing above it has happened yet (rule 2).

use std::sync::Arc;

use super::held::Held;
use super::openings::TooLong;
use super::{Engine, EngineError};
use crate::auth::{Describe, Granted};
use crate::context::{Context, Source};
use crate::ids::{LeaderEpoch, Offset, PartitionId, TimestampMs, TopicRef};
use crate::log::{LookUpEnd, Offsets, Partition, TimedOffset};
use crate::record::{Means, Stop};
use crate::topics::Topic;

/// Which offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetQuery {
    /// The log start.
    Earliest,
    /// The end, as a consumer sees it.
    Latest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record at or after a time.
    At(TimestampMs),
}

/// A look-up in one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OffsetAsked {
    /// The partition's number.
    pub(crate) partition: PartitionId,
    /// The leader epoch that the client knows; checked by rule 5.
    pub(crate) epoch: Option<LeaderEpoch>,
    /// Which offset.
    pub(crate) query: OffsetQuery,
}

/// A question about an epoch of one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochAsked {
    /// The partition's number.
    pub(crate) partition: PartitionId,
    /// The leader epoch that the client knows; checked by rule 5.
    pub(crate) current: Option<LeaderEpoch>,
    /// The epoch whose end is asked for.
    pub(crate) epoch: LeaderEpoch,
}

/// An offset with what is known of it; all `None` when no record answers the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OffsetAnswer {
    /// The offset.
    pub(crate) offset: Option<Offset>,
    /// The record's timestamp, where a record was looked up.
    pub(crate) timestamp: Option<TimestampMs>,
    /// The epoch the offset belongs to.
    pub(crate) epoch: Option<LeaderEpoch>,
}

impl Engine {
    /// Look-ups in partitions of one topic, in order.
    ///
    /// # Errors
    /// Each: an unknown topic or partition, a fenced or unknown epoch, a log that cannot be read.
    pub(crate) async fn list_offsets(
        &self,
        ctx: &Context,
        topic: &Granted<Describe, TopicRef>,
        asked: Vec<OffsetAsked>,
    ) -> Vec<Result<OffsetAnswer, EngineError>> {
        let topic = self.resolve(topic.resource());
        let mut answers = Vec::with_capacity(asked.len());
        for one in asked {
            answers.push(match &topic {
                Ok(topic) => self.list_offset(ctx.source(), topic, one).await,
                Err(error) => Err(error.clone()),
            });
        }
        answers
    }

    /// The offsets of one partition; none above HW may be shown to anybody (rule 2).
    ///
    /// # Errors
    /// An unknown topic or partition, a partition that cannot be used.
    pub(crate) fn partition_offsets(
        &self,
        topic: &Granted<Describe, TopicRef>,
        partition: PartitionId,
    ) -> Result<Offsets, EngineError> {
        let partition = self.resolve(topic.resource())?.partition(partition)?;
        partition.usable()?;
        Ok(partition.offsets())
    }

    async fn list_offset(
        &self,
        source: Source,
        topic: &Topic,
        asked: OffsetAsked,
    ) -> Result<OffsetAnswer, EngineError> {
        let OffsetAsked { partition, epoch, query } = asked;
        let partition = topic.partition(partition)?;
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
            OffsetQuery::MaxTimestamp => self.find(source, partition, Partition::find_max_time_within).await?,
            OffsetQuery::At(time) => {
                let look = move |partition: &Partition, means: &mut Means<'_>| partition.find_time_within(time, means);
                self.find(source, partition, look).await?
            }
        };
        Ok(found.map_or_else(OffsetAnswer::default, |at| OffsetAnswer {
            offset: Some(at.offset),
            timestamp: Some(at.timestamp),
            epoch: Some(at.epoch),
        }))
    }

    /// Looks through a log and opens the batch it ends at, which may wait for the disk and take long: elsewhere than on a
    /// network thread, in the look-ups' own queue.
    async fn find(
        &self,
        source: Source,
        partition: Arc<Partition>,
        look: impl Fn(&Partition, &mut Means<'_>) -> Result<Option<TimedOffset>, LookUpEnd> + Send + 'static,
    ) -> Result<Option<TimedOffset>, EngineError> {
        let budget = self.memory.clone();
        let found = self.openings.lookups.run(move |opened_left| {
            let mut held = Held::new(&budget, source, "a look-up by time");
            match look(&partition, &mut Means::new(&mut |bytes| held.grow(bytes), opened_left)) {
                Ok(found) => Ok(Ok(found)),
                Err(LookUpEnd::Log(error)) => Ok(Err(error.into())),
                Err(LookUpEnd::TooLong) => Err(TooLong),
                // Whoever reads from there is told so; a refusal would come for ever.
                Err(LookUpEnd::NoMemory { batch, .. }) if held.never() => Ok(Ok(Some(batch))),
                Err(LookUpEnd::NoMemory { bytes, .. }) => Ok(Err(held.refusal(Stop::NoMemory(bytes)))),
            }
        });
        found.await?
    }

    /// Where epochs end, for partitions of one topic, in order: the largest epoch known that is not above the one asked for, and
    /// its end; `None` when all known epochs are later.
    ///
    /// # Errors
    /// Each, as `list_offsets`.
    pub(crate) fn epoch_ends(
        &self,
        topic: &Granted<Describe, TopicRef>,
        asked: Vec<EpochAsked>,
    ) -> Vec<Result<Option<(LeaderEpoch, Offset)>, EngineError>> {
        let topic = self.resolve(topic.resource());
        let end = |asked: EpochAsked| {
            let partition = topic.as_ref().map_err(EngineError::clone)?.partition(asked.partition)?;
            partition.usable()?;
            partition.check_epoch(asked.current)?;
            Ok(partition.epoch_end(asked.epoch))
        };
        asked.into_iter().map(end).collect()
    }
}
