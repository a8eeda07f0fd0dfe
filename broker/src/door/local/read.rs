//! Records out, with one long poll over several partitions: whole batches come from the engine, the records asked for go on.
//! Control batches and what compaction removed are passed over in silence; a batch that cannot be opened is an error in its
//! place.

use bytes::{Buf, Bytes};

use super::super::error::DoorError;
use super::super::reading::{PartitionOffsets, PartitionRead, ReadFrom, ReadPartition, ReadRequest, RecordView};
use super::Door;
use crate::auth::{Describe, Granted, Read};
use crate::context::Context;
use crate::engine::fetch::{FetchPartition, FetchRequest, FetchTopic, Fetched, Form, Records};
use crate::engine::offsets::{OffsetAsked, OffsetQuery};
use crate::ids::{Offset, PartitionId, TimestampMs, TopicRef};
use crate::limits::FETCH_BYTES_MAX;
use crate::log::Offsets;
use crate::record::{RecordError, StoredBatch, check_stored};

/// What the answer may still take.
#[derive(Debug)]
struct Room {
    records: usize,
    bytes: usize,
    /// The answer has no record yet: the first one fits whatever its size.
    empty: bool,
}

/// One partition of the answer.
#[derive(Debug)]
struct Part {
    topic: Granted<Read, TopicRef>,
    partition: PartitionId,
    records: Vec<RecordView>,
    next: Offset,
    offsets: PartitionOffsets,
}

impl Door {
    /// One outcome a partition, in the order of the request. Returns as soon as there is a record or an error anywhere, else
    /// when the timeout has passed.
    ///
    /// A partition's error is: an unknown topic or partition, an offset out of range, a storage failure, a batch that cannot
    /// be opened at the very offset to begin at (the error names the offset after it).
    pub async fn read(&self, ctx: &Context, request: &ReadRequest) -> Vec<Result<PartitionRead, DoorError>> {
        let mut parts = Vec::with_capacity(request.partitions.len());
        for asked in &request.partitions {
            parts.push(self.begin(ctx, asked).await);
        }
        let mut room = Room { records: request.records_max.max(1), bytes: request.bytes_max, empty: true };
        let clock = self.engine.clock();
        let begun = clock.monotonic();
        loop {
            let failed = parts.iter().any(Result::is_err);
            let waited = clock.monotonic().saturating_duration_since(begun);
            let bytes_max = request.bytes_max.min(FETCH_BYTES_MAX);
            let fetch = FetchRequest {
                // An error is answered at once, with what the other partitions have now.
                max_wait: if failed { std::time::Duration::ZERO } else { request.timeout.saturating_sub(waited) },
                min_bytes: 1,
                max_bytes: bytes_max,
                topics: parts.iter().flatten().map(|part| part.fetch(bytes_max)).collect(),
                form: Form::Copied,
            };
            let mut fetched = self.engine.fetch(ctx, fetch).await.into_iter();
            let mut at_end = true;
            for outcome in &mut parts {
                let Ok(part) = outcome else { continue };
                match part.take(fetched.next().map(|fetched| fetched.map_err(DoorError::from)), &mut room) {
                    Ok(nothing) => at_end &= nothing,
                    Err(error) => *outcome = Err(error),
                }
            }
            // Where there were only control batches so far, the wait goes on behind them.
            if at_end || !room.empty || parts.iter().any(Result::is_err) {
                return parts.into_iter().map(|part| part.map(Part::into_read)).collect();
            }
        }
    }

    /// The partition's offsets.
    ///
    /// # Errors
    /// An unknown topic or partition, a partition that cannot be used.
    pub async fn offsets(
        &self,
        ctx: &Context,
        topic: &TopicRef,
        partition: PartitionId,
    ) -> Result<PartitionOffsets, DoorError> {
        let topic = self.engine.auth().ask(ctx, topic.clone())?;
        Ok(visible(self.engine.partition_offsets(&topic, partition)?))
    }

    /// The first record that is not older than `at`; `None` when all are.
    ///
    /// # Errors
    /// As `offsets`.
    pub async fn offset_for_time(
        &self,
        ctx: &Context,
        topic: &TopicRef,
        partition: PartitionId,
        at: TimestampMs,
    ) -> Result<Option<Offset>, DoorError> {
        let topic = self.engine.auth().ask(ctx, topic.clone())?;
        self.look_up(&topic, partition, OffsetQuery::At(at)).await
    }

    async fn look_up(
        &self,
        topic: &Granted<Describe, TopicRef>,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> Result<Option<Offset>, DoorError> {
        let answer = self.engine.list_offsets(topic, vec![OffsetAsked { partition, epoch: None, query }]).await.pop();
        Ok(answer.ok_or_else(|| internal("a look-up in one partition had no outcome"))??.offset)
    }

    async fn begin(&self, ctx: &Context, asked: &ReadPartition) -> Result<Part, DoorError> {
        let auth = self.engine.auth();
        auth.ask::<Read, _>(ctx, asked.topic.clone())?;
        let described = self.engine.describe_topic(&auth.ask(ctx, asked.topic.clone())?)?;
        // By id from here on: a topic that is recreated meanwhile is another one.
        let topic = auth.ask(ctx, TopicRef::Id(described.id))?;
        let describe = auth.ask(ctx, TopicRef::Id(described.id))?;
        let ask = async |query| self.look_up(&describe, asked.partition, query).await;
        let found = match asked.from {
            ReadFrom::At(offset) => Some(offset),
            ReadFrom::Earliest => ask(OffsetQuery::Earliest).await?,
            ReadFrom::Time(at) => ask(OffsetQuery::At(at)).await?,
            ReadFrom::Latest => None,
        };
        let next = match found {
            Some(offset) => offset,
            None => ask(OffsetQuery::Latest).await?.unwrap_or(Offset::ZERO),
        };
        let offsets = PartitionOffsets { beginning: next, end: next, last_stable: next };
        Ok(Part { topic, partition: asked.partition, records: Vec::new(), next, offsets })
    }
}

/// Rule 2: nobody may see an offset above HW.
fn visible(offsets: Offsets) -> PartitionOffsets {
    PartitionOffsets { beginning: offsets.log_start, end: offsets.hw, last_stable: offsets.lso }
}

impl Room {
    fn takes(&mut self, record: &RecordView) -> bool {
        let bytes = bytes_of(record);
        if self.records == 0 || (bytes > self.bytes && !self.empty) {
            return false;
        }
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.empty = false;
        true
    }
}

impl Part {
    fn fetch(&self, bytes_max: usize) -> FetchTopic {
        let part = FetchPartition { partition: self.partition, offset: self.next, max_bytes: bytes_max, epoch: None };
        FetchTopic { topic: self.topic.clone(), partitions: vec![part] }
    }

    fn into_read(self) -> PartitionRead {
        PartitionRead { records: self.records, next: self.next, offsets: self.offsets }
    }

    /// `true` when nothing came.
    fn take(&mut self, fetched: Option<Result<Fetched, DoorError>>, room: &mut Room) -> Result<bool, DoorError> {
        let fetched = fetched.ok_or_else(|| internal("a fetch had no outcome for a partition"))??;
        let Fetched { records: Records::Copied(batches), offsets } = fetched else {
            return Err(internal("records were requested and a file range came"));
        };
        self.offsets = visible(offsets);
        let nothing = batches.is_empty();
        self.take_batches(batches, room)?;
        Ok(nothing)
    }

    /// Takes records until a limit is reached; `next` is behind everything that was taken or passed over.
    fn take_batches(&mut self, mut batches: Bytes, room: &mut Room) -> Result<(), DoorError> {
        while !batches.is_empty() && room.records > 0 {
            let batch = match check_stored(batches.clone()) {
                Ok(batch) => batch,
                Err(error) => return self.stuck(error),
            };
            batches.advance(batch.header().size);
            if batch.header().control {
                self.next = self.next.max(batch.header().next_offset());
                continue;
            }
            match self.take_batch(&batch, room) {
                Ok(true) => self.next = self.next.max(batch.header().next_offset()),
                Ok(false) => return Ok(()),
                Err(error) => return self.stuck(behind(error, batch.header().next_offset())),
            }
        }
        Ok(())
    }

    /// `false` when a limit was reached before the batch's end.
    fn take_batch(&mut self, batch: &StoredBatch, room: &mut Room) -> Result<bool, RecordError> {
        for record in batch.iter()? {
            let record = record?;
            if record.offset < self.next {
                continue;
            }
            if !room.takes(&record) {
                return Ok(false);
            }
            self.next = record.offset.next();
            self.records.push(record);
        }
        Ok(true)
    }

    /// The records before the damage go out first; the next read meets the error.
    fn stuck(&self, error: RecordError) -> Result<(), DoorError> {
        if self.records.is_empty() { Err(error.into()) } else { Ok(()) }
    }
}

fn internal(what: &str) -> DoorError {
    DoorError::Internal { what: what.to_owned() }
}

fn bytes_of(record: &RecordView) -> usize {
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers = record.headers.iter().map(|header| header.key.len() + length(&header.value));
    length(&record.key) + length(&record.value) + headers.sum::<usize>()
}

/// With the offset at which the caller can continue.
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
    use crate::auth::Authorizer;
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

    fn part(next: i64) -> Part {
        let next = Offset(next);
        let offsets = PartitionOffsets { beginning: next, end: next, last_stable: next };
        let caller = Context::internal("test");
        let topic = Authorizer::granting_everything().ask(&caller, TopicRef::name("t")).unwrap();
        Part { topic, partition: PartitionId(0), records: Vec::new(), next, offsets }
    }

    fn room(records: usize, bytes: usize) -> Room {
        Room { records, bytes, empty: true }
    }

    fn offsets(part: &Part) -> Vec<i64> {
        part.records.iter().map(|record| record.offset.0).collect()
    }

    #[test]
    fn records_before_the_first_wanted_and_control_batches_are_passed_over() {
        let log = [batch(0, &["a", "b", "c"], false), batch(3, &["marker"], true), batch(4, &["d"], false)].concat();
        let mut part = part(1);
        part.take_batches(log.into(), &mut room(10, 100)).unwrap();
        assert_eq!((offsets(&part), part.next), (vec![1, 2, 4], Offset(5)));
    }

    #[test]
    fn a_log_of_control_batches_moves_next_behind_them() {
        let mut part = part(3);
        part.take_batches(batch(3, &["marker"], true).into(), &mut room(10, 100)).unwrap();
        assert_eq!((offsets(&part), part.next), (vec![], Offset(4)));
    }

    #[test]
    fn the_first_record_goes_out_whatever_its_size_and_limits_stop_inside_a_batch() {
        let log: Bytes = [batch(0, &["large record", "x", "y"], false)].concat().into();
        let mut one = part(0);
        one.take_batches(log.clone(), &mut room(10, 3)).unwrap();
        assert_eq!((offsets(&one), one.next), (vec![0], Offset(1)));
        let mut two = part(0);
        two.take_batches(log, &mut room(2, 1_000)).unwrap();
        assert_eq!((offsets(&two), two.next), (vec![0, 1], Offset(2)));
    }

    #[test]
    fn partitions_share_the_limits_and_the_first_record_of_the_answer_is_the_one_that_always_fits() {
        let log: Bytes = batch(0, &["large record", "x"], false).into();
        let mut room = room(2, 3);
        let (mut first, mut second) = (part(0), part(0));
        first.take_batches(log.clone(), &mut room).unwrap();
        second.take_batches(log, &mut room).unwrap();
        assert_eq!((offsets(&first), first.next), (vec![0], Offset(1)));
        assert_eq!((offsets(&second), second.next), (vec![], Offset(0)), "not passed over: left for the next read");
    }

    #[test]
    fn a_batch_that_cannot_be_opened_is_an_error_only_where_it_is_met_first() {
        let mut damaged = batch(1, &["b", "b"], false);
        let at = damaged.len() - 12;
        damaged[at] ^= 0xff;
        let crc = crc32c::crc32c(&damaged[21..]);
        damaged[17..21].copy_from_slice(&crc.to_be_bytes());
        let log: Bytes = [batch(0, &["a"], false), damaged].concat().into();
        let mut first = part(0);
        first.take_batches(log.clone(), &mut room(10, 100)).unwrap();
        assert_eq!((offsets(&first), first.next), (vec![0], Offset(1)));
        let error = part(1).take_batches(log, &mut room(10, 100)).unwrap_err().to_string();
        assert!(error.contains("next batch begins at offset 3"), "{error}");
    }
}
