//! What a topic asks of the batches that it takes, beyond what every log asks (`check_produced`): timestamps within bounds,
//! keys where the log is compacted, records that can be read, one compression for all. Pure; stands between a door and the
//! log. A compressed batch is opened only where its header cannot decide, and `must_open` says so before: opening costs
//! memory and time, which is no work for a network thread.
//! Follows Kafka's `LogValidator`.

use super::batch::ProducedBatch;
use super::compression::{Compression, Levels};
use super::error::{RecordError, Rejection};
use super::header::{BatchHeader, TimestampType};
use super::message::Message;
use super::stream::{Means, Shape, Stop};
use crate::ids::TimestampMs;
use crate::limits::{INLINE_BYTES_MAX, REJECTED_RECORDS_TOLD_MAX};

/// What the configs of a topic say about batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendRules {
    /// Compressed batches are opened and every record is looked at (`sluice.validate=records`).
    pub(crate) validate_records: bool,
    /// Under LogAppendTime the producer's timestamps are not judged.
    pub(crate) timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `i64::MAX` is no bound.
    pub(crate) before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; `i64::MAX` is no bound.
    pub(crate) after_max_ms: i64,
    /// How batches are stored; `None`: as the producer compressed them.
    pub(crate) compression: Option<Compression>,
    /// With which levels.
    pub(crate) levels: Levels,
    /// Every record needs a key (`cleanup.policy` has `compact`). The log itself does not check it.
    pub(crate) keys: bool,
    /// `max.message.bytes`: what is compressed anew is not made larger.
    pub(crate) size_max: usize,
}

impl AppendRules {
    /// A compressed batch has to be opened, one has to be compressed, or a large one to be looked through: not to be done on a
    /// network thread.
    #[must_use]
    pub(crate) fn is_heavy(&self, batch: &ProducedBatch, now: TimestampMs) -> bool {
        let heavy = batch.header().compression != Compression::None || batch.header().size > INLINE_BYTES_MAX;
        self.recompresses(batch) || (heavy && self.must_open(batch, now))
    }

    /// The batch as this topic stores it. `now` is the broker's time.
    ///
    /// # Errors
    /// `Rejected` names the records that are at fault; `Compression` or `Invalid` for records that cannot be read;
    /// `TooLarge` where they would be in the topic's compression.
    pub(crate) fn apply(&self, batch: ProducedBatch, now: TimestampMs) -> Result<ProducedBatch, RecordError> {
        Means::unlimited(|means| self.apply_within(batch, now, means)).map_err(Stop::into_record)
    }

    /// The same with bounded means.
    pub(crate) fn apply_within(
        &self,
        batch: ProducedBatch,
        now: TimestampMs,
        means: &mut Means<'_>,
    ) -> Result<ProducedBatch, Stop> {
        let recompresses = self.recompresses(&batch);
        if !recompresses && !self.must_open(&batch, now) {
            return Ok(batch);
        }
        let mut judged = Judged::default();
        let (max_timestamp, opened) =
            batch.walk(means, |index, record| self.judge(batch.header(), index, record, now, &mut judged))?;
        self.refuse(judged, now)?;
        let batch = batch.with_max_timestamp(max_timestamp);
        match self.compression {
            Some(compression) if recompresses => {
                batch.recompressed(opened, compression, (self.levels, self.size_max), means)
            }
            _ => Ok(batch),
        }
    }

    /// As `apply` does, for messages of which the broker builds the batch itself: each has a key where the topic needs one.
    ///
    /// # Errors
    /// `Rejected` names the messages without a key.
    pub(crate) fn check_keys(&self, messages: &[Message]) -> Result<(), RecordError> {
        let mut keys = Rejected::default();
        for (index, message) in (0..).zip(messages) {
            if self.keys && message.key.is_none() {
                keys.add(index);
            }
        }
        keys.into_error(Rejection::NoKey)
    }

    fn recompresses(&self, batch: &ProducedBatch) -> bool {
        self.compression.is_some_and(|wanted| wanted != batch.header().compression)
    }

    /// The header's max timestamp decides that no record is too new. Nothing in it says how old the oldest is: the base
    /// timestamp is only the first record's.
    fn must_open(&self, batch: &ProducedBatch, now: TimestampMs) -> bool {
        let opened_before = batch.header().compression == Compression::None;
        let judged = self.timestamp_type == TimestampType::CreateTime;
        let too_new = batch.header().max_timestamp.0.saturating_sub(now.0) > self.after_max_ms;
        let bounded_below = self.before_max_ms != i64::MAX;
        (self.validate_records && !opened_before) || self.keys || (judged && (too_new || bounded_below))
    }

    /// Every record by itself, so that a client that reads record errors learns which ones.
    fn judge(&self, header: &BatchHeader, index: i32, record: &Shape, now: TimestampMs, judged: &mut Judged) {
        if self.keys && !record.has_key {
            judged.keys.add(index);
        }
        let timestamp = header.base_timestamp.0.saturating_add(record.timestamp_delta);
        // -1 is a record without a timestamp.
        let asked = self.timestamp_type == TimestampType::CreateTime && timestamp != -1;
        if asked && !self.within(timestamp, now) {
            judged.timestamps.add(index);
        }
    }

    fn refuse(&self, judged: Judged, now: TimestampMs) -> Result<(), RecordError> {
        judged.keys.into_error(Rejection::NoKey)?;
        let AppendRules { before_max_ms, after_max_ms, .. } = *self;
        judged.timestamps.into_error(Rejection::Timestamp { now, before_max_ms, after_max_ms })
    }

    fn within(&self, timestamp: i64, now: TimestampMs) -> bool {
        now.0.saturating_sub(timestamp) <= self.before_max_ms && timestamp.saturating_sub(now.0) <= self.after_max_ms
    }
}

/// What was found in a batch.
#[derive(Default)]
struct Judged {
    timestamps: Rejected,
    keys: Rejected,
}

#[derive(Default)]
struct Rejected {
    count: usize,
    first: Vec<i32>,
}

impl Rejected {
    fn add(&mut self, index: i32) {
        self.count += 1;
        if self.first.len() < REJECTED_RECORDS_TOLD_MAX {
            self.first.push(index);
        }
    }

    fn into_error(self, why: Rejection) -> Result<(), RecordError> {
        if self.count == 0 {
            return Ok(());
        }
        Err(RecordError::Rejected { why, count: self.count, records: self.first })
    }
}

#[cfg(test)]
mod tests;
