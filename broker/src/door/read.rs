//! Messages out, with long poll: whole batches come from the engine, the records asked for go on. Control batches and what
//! compaction removed are passed over in silence; a batch that cannot be opened is an error in its place.

use std::time::Duration;

use bytes::{Buf, Bytes};

use super::{Context, Door, DoorError};
use crate::auth::{Describe, Granted, Read};
use crate::engine::fetch::{FetchPartition, FetchRequest, FetchTopic, Fetched, Form, Records};
use crate::engine::offsets::{OffsetAsked, OffsetQuery};
use crate::ids::{Offset, PartitionId, TimestampMs, TopicRef};
use crate::limits::FETCH_BYTES_MAX;
use crate::record::{RecordError, StoredBatch, check_stored};

pub use crate::log::Offsets;
pub use crate::record::RecordView;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the log start.
    Earliest,
    /// At the end: only what comes from now on.
    Latest,
    /// At an offset.
    At(Offset),
    /// At the first record that is not older than this; at the end when there is none.
    Time(TimestampMs),
}

/// A read of one partition.
#[derive(Clone, Debug)]
pub struct ReadWish {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// Where to begin.
    pub from: ReadFrom,
    /// Records of the answer; at least one.
    pub max_records: usize,
    /// Bytes of keys, values and headers, the first record excepted.
    pub max_bytes: usize,
    /// How long to wait for the first record.
    pub timeout: Duration,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct ReadAnswer {
    /// In order of offsets; empty when the time passed without one.
    pub records: Vec<RecordView>,
    /// Where to go on.
    pub next: Offset,
    /// The partition's offsets at the time of the read; none above HW may be told to anybody (rule 2).
    pub offsets: Offsets,
}

/// The answer as it fills.
struct Filling {
    records: Vec<RecordView>,
    next: Offset,
    records_left: usize,
    bytes_left: usize,
}

impl Door {
    /// Records from `from` on, the first whatever its size. Waits up to `timeout` for the first one.
    ///
    /// # Errors
    /// An unknown topic or partition, an offset out of range, a partition that cannot be read, a batch that cannot be opened
    /// at the very place asked for (the error names the offset behind it).
    pub async fn read(&self, ctx: &Context, wish: &ReadWish) -> Result<ReadAnswer, DoorError> {
        let auth = self.engine.auth();
        auth.ask::<Read, _>(ctx, TopicRef::name(&wish.topic))?;
        let described = self.engine.describe_topic(&auth.ask(ctx, TopicRef::name(&wish.topic))?)?;
        // By id from here on: a topic that is recreated meanwhile is another one.
        let topic = TopicRef::Id(described.id);
        let describe = auth.ask::<Describe, _>(ctx, topic.clone())?;
        let mut filling = Filling {
            records: Vec::new(),
            next: self.begin(&describe, wish).await?,
            records_left: wish.max_records.max(1),
            bytes_left: wish.max_bytes,
        };
        let clock = self.engine.clock();
        let begun = clock.monotonic();
        loop {
            let waited = clock.monotonic().saturating_duration_since(begun);
            let request = FetchRequest {
                max_wait: wish.timeout.saturating_sub(waited),
                min_bytes: 1,
                max_bytes: wish.max_bytes.min(FETCH_BYTES_MAX),
                topics: vec![FetchTopic {
                    topic: auth.ask(ctx, topic.clone())?,
                    partitions: vec![FetchPartition {
                        partition: wish.partition,
                        offset: filling.next,
                        max_bytes: wish.max_bytes.min(FETCH_BYTES_MAX),
                        epoch: None,
                    }],
                }],
                form: Form::Copied,
            };
            let Some(fetched) = self.engine.fetch(ctx, request).await.pop() else {
                return Err(DoorError::internal("a fetch of one partition had no outcome"));
            };
            let Fetched { records: Records::Copied(records), offsets } = fetched? else {
                return Err(DoorError::internal("records were asked for and a file came"));
            };
            let at_end = records.is_empty();
            filling.take(records)?;
            // Nothing but control batches so far: the wait goes on behind them.
            if at_end || !filling.records.is_empty() {
                return Ok(ReadAnswer { records: filling.records, next: filling.next, offsets });
            }
        }
    }

    /// The partition's offsets; none above HW may be told to anybody (rule 2).
    ///
    /// # Errors
    /// An unknown topic or partition, a partition that cannot be used.
    pub async fn offsets(&self, ctx: &Context, topic: &str, partition: PartitionId) -> Result<Offsets, DoorError> {
        self.engine.partition_offsets(&self.engine.auth().ask(ctx, TopicRef::name(topic))?, partition)
    }

    /// The first record that is not older than `at`; `None` when all are.
    ///
    /// # Errors
    /// As `offsets`.
    pub async fn offset_for_time(
        &self,
        ctx: &Context,
        topic: &str,
        partition: PartitionId,
        at: TimestampMs,
    ) -> Result<Option<Offset>, DoorError> {
        let topic = self.engine.auth().ask(ctx, TopicRef::name(topic))?;
        self.look_up(&topic, partition, OffsetQuery::At(at)).await
    }

    async fn look_up(
        &self,
        topic: &Granted<Describe, TopicRef>,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> Result<Option<Offset>, DoorError> {
        let answer = self.engine.list_offsets(topic, vec![OffsetAsked { partition, epoch: None, query }]).await.pop();
        Ok(answer.ok_or(DoorError::internal("a look-up in one partition had no outcome"))??.offset)
    }

    async fn begin(&self, topic: &Granted<Describe, TopicRef>, wish: &ReadWish) -> Result<Offset, DoorError> {
        let ask = async |query| self.look_up(topic, wish.partition, query).await;
        let found = match wish.from {
            ReadFrom::At(offset) => return Ok(offset),
            ReadFrom::Earliest => ask(OffsetQuery::Earliest).await?,
            ReadFrom::Time(at) => ask(OffsetQuery::At(at)).await?,
            ReadFrom::Latest => None,
        };
        let end = match found {
            Some(offset) => Some(offset),
            None => ask(OffsetQuery::Latest).await?,
        };
        Ok(end.unwrap_or(Offset::ZERO))
    }
}

impl Filling {
    /// Takes records until a limit is reached; `next` is behind everything that was taken or passed over.
    fn take(&mut self, mut batches: Bytes) -> Result<(), DoorError> {
        while !batches.is_empty() && self.records_left > 0 {
            let batch = match check_stored(batches.clone()) {
                Ok(batch) => batch,
                Err(error) => return self.stuck(error),
            };
            batches.advance(batch.header().size);
            if batch.header().control {
                self.next = self.next.max(batch.header().next_offset());
                continue;
            }
            match self.take_batch(&batch) {
                Ok(true) => self.next = self.next.max(batch.header().next_offset()),
                Ok(false) => return Ok(()),
                Err(error) => return self.stuck(behind(error, batch.header().next_offset())),
            }
        }
        Ok(())
    }

    /// `false` when a limit was reached before the batch's end.
    fn take_batch(&mut self, batch: &StoredBatch) -> Result<bool, RecordError> {
        for record in batch.iter()? {
            let record = record?;
            if record.offset < self.next {
                continue;
            }
            let bytes = bytes_of(&record);
            if self.records_left == 0 || (bytes > self.bytes_left && !self.records.is_empty()) {
                return Ok(false);
            }
            self.records_left -= 1;
            self.bytes_left = self.bytes_left.saturating_sub(bytes);
            self.next = record.offset.next();
            self.records.push(record);
        }
        Ok(true)
    }

    /// What was read before goes out first; the next read meets the error.
    fn stuck(&self, error: RecordError) -> Result<(), DoorError> {
        if self.records.is_empty() { Err(error.into()) } else { Ok(()) }
    }
}

fn bytes_of(record: &RecordView) -> usize {
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers = record.headers.iter().map(|header| header.key.len() + length(&header.value));
    length(&record.key) + length(&record.value) + headers.sum::<usize>()
}

/// So that whoever is stuck knows where to go on.
fn behind(error: RecordError, next: Offset) -> RecordError {
    match error {
        RecordError::Corrupt { reason } => {
            RecordError::Corrupt { reason: format!("{reason}; the next batch begins at offset {next}") }
        }
        RecordError::Compression { reason } => {
            RecordError::Compression { reason: format!("{reason}; the next batch begins at offset {next}") }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::record::{Compression, Message, build};

    fn batch(base: i64, values: &[&'static str], control: bool) -> Vec<u8> {
        let messages: Vec<_> =
            values.iter().map(|value| Message { value: Some((*value).into()), ..Message::default() }).collect();
        let built = build(&messages, TimestampMs(1), Compression::Gzip, None).unwrap();
        let stamped = built.stamp(Offset(base), LeaderEpoch(0), None);
        let mut bytes = [&stamped.head[..], &stamped.body[..]].concat();
        if control {
            bytes[22] |= 0x20;
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        bytes
    }

    fn filling(next: i64, max_records: usize, max_bytes: usize) -> Filling {
        Filling { records: Vec::new(), next: Offset(next), records_left: max_records, bytes_left: max_bytes }
    }

    fn offsets(filling: &Filling) -> Vec<i64> {
        filling.records.iter().map(|record| record.offset.0).collect()
    }

    #[test]
    fn records_before_the_first_wanted_and_control_batches_are_passed_over() {
        let log = [batch(0, &["a", "b", "c"], false), batch(3, &["marker"], true), batch(4, &["d"], false)].concat();
        let mut filling = filling(1, 10, 100);
        filling.take(log.into()).unwrap();
        assert_eq!((offsets(&filling), filling.next), (vec![1, 2, 4], Offset(5)));
    }

    #[test]
    fn a_log_of_control_batches_moves_next_behind_them() {
        let mut filling = filling(3, 10, 100);
        filling.take(batch(3, &["marker"], true).into()).unwrap();
        assert_eq!((offsets(&filling), filling.next), (vec![], Offset(4)));
    }

    #[test]
    fn the_first_record_goes_out_whatever_its_size_and_limits_stop_inside_a_batch() {
        let log: Bytes = [batch(0, &["large record", "x", "y"], false)].concat().into();
        let mut one = filling(0, 10, 3);
        one.take(log.clone()).unwrap();
        assert_eq!((offsets(&one), one.next), (vec![0], Offset(1)));
        let mut two = filling(0, 2, 1_000);
        two.take(log).unwrap();
        assert_eq!((offsets(&two), two.next), (vec![0, 1], Offset(2)));
    }

    #[test]
    fn a_batch_that_cannot_be_opened_is_an_error_only_where_it_is_met_first() {
        let mut damaged = batch(1, &["b", "b"], false);
        let at = damaged.len() - 12;
        damaged[at] ^= 0xff;
        let crc = crc32c::crc32c(&damaged[21..]);
        damaged[17..21].copy_from_slice(&crc.to_be_bytes());
        let log: Bytes = [batch(0, &["a"], false), damaged].concat().into();
        let mut first = filling(0, 10, 100);
        first.take(log.clone()).unwrap();
        assert_eq!((offsets(&first), first.next), (vec![0], Offset(1)));
        let mut stuck = filling(1, 10, 100);
        let error = stuck.take(log).unwrap_err().to_string();
        assert!(error.contains("next batch begins at offset 3"), "{error}");
    }
}
