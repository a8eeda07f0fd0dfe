//! Records out, with one long poll over several partitions: whole batches come from the engine, `take.rs` takes the records
//! asked for, on another thread where they are many or compressed. Control batches and what compaction removed are passed
//! over in silence; what cannot be opened is told in its place.

use std::sync::Arc;

use super::super::error::DoorError;
use super::super::reading::{PartitionOffsets, PartitionRead, ReadFrom, ReadPartition, ReadRequest, SharedHold};
use super::Door;
use super::take::{Batches, Room, Taken, Taking};
use crate::auth::{Describe, Granted, Read};
use crate::context::Context;
use crate::engine::fetch::{FetchPartition, FetchRequest, FetchTopic, Fetched, Form, Records};
use crate::engine::held::Held;
use crate::engine::offsets::{OffsetAsked, OffsetQuery};
use crate::engine::openings::TooLong;
use crate::ids::{Offset, PartitionId, TimestampMs, TopicRef};
use crate::limits::FETCH_BYTES_MAX;
use crate::log::Offsets;

/// Of `memory_max_bytes`, so that the records and what a door makes of them fit into its WORK.
const ANSWER_SHARE: usize = 64;

/// One partition of the answer.
#[derive(Debug)]
struct Part {
    topic: Granted<Read, TopicRef>,
    partition: PartitionId,
    taken: Taken,
    offsets: PartitionOffsets,
}

/// What a fetch has found in one partition, and where its records begin.
type Found = Option<(Batches, Offset)>;

impl Door {
    /// One outcome a partition, in the order of the request. Returns as soon as there is a record or an error anywhere, else
    /// when the timeout has passed.
    ///
    /// A partition's error is: an unknown topic or partition, an offset out of range, a storage failure, a damaged batch at
    /// the very offset to begin at, memory that is not free now.
    pub async fn read(&self, ctx: &Context, request: &ReadRequest) -> Vec<Result<PartitionRead, DoorError>> {
        let mut parts = Vec::with_capacity(request.partitions.len());
        for asked in &request.partitions {
            parts.push(self.begin(ctx, asked).await);
        }
        let mut room = Room {
            records: request.records_max.max(1),
            bytes: request.bytes_max.min(self.engine.memory().max() / ANSWER_SHARE),
            empty: true,
        };
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
                form: Form::Ranges,
            };
            let mut fetched = self.engine.fetch(ctx, fetch).await.into_iter();
            let mut found: Vec<Found> = Vec::with_capacity(parts.len());
            for outcome in &mut parts {
                found.push(None);
                let Ok(part) = outcome else { continue };
                match part.found(fetched.next().map(|fetched| fetched.map_err(DoorError::from))) {
                    Ok(batches) => *found.last_mut().expect("pushed above") = batches,
                    Err(error) => *outcome = Err(error),
                }
            }
            let at_end = found.iter().all(Option::is_none);
            let (taken, after, held) = self.take(ctx, found, room).await;
            room = after;
            for (outcome, taken) in parts.iter_mut().zip(taken) {
                match (&mut *outcome, taken) {
                    (Ok(part), Some(Ok(taken))) => part.add(taken),
                    (Ok(_), Some(Err(error))) => *outcome = Err(error),
                    _ => {}
                }
            }
            // Where there were only control batches so far, the wait goes on behind them.
            if at_end || !room.empty || parts.iter().any(Result::is_err) {
                let held = held.map(|held| Arc::new(held) as SharedHold);
                return parts.into_iter().map(|part| part.map(|part| part.into_read(held.clone()))).collect();
            }
        }
    }

    /// Takes the records: here where they are few and not compressed, else in the readers' own queue.
    async fn take(&self, ctx: &Context, found: Vec<Found>, room: Room) -> TookAll {
        let light = found.iter().flatten().all(|(batches, _)| batches.is_light());
        let (budget, source) = (self.engine.memory().clone(), ctx.source());
        let taking = move |opened_left| {
            let held = Held::new(&budget, source, "the records of a read");
            take_all(&found, Taking::new(room, held, opened_left))
        };
        // Nothing is opened that is not compressed.
        if light && let Ok(taken) = taking(usize::MAX) {
            return taken;
        }
        match self.engine.openings().reads.run(taking).await {
            Ok(taken) => taken,
            Err(error) => (vec![Some(Err(error.into()))], room, None),
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
        self.look_up(ctx, &topic, partition, OffsetQuery::At(at)).await
    }

    async fn look_up(
        &self,
        ctx: &Context,
        topic: &Granted<Describe, TopicRef>,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> Result<Option<Offset>, DoorError> {
        let answer =
            self.engine.list_offsets(ctx, topic, vec![OffsetAsked { partition, epoch: None, query }]).await.pop();
        Ok(answer.ok_or_else(|| internal("a look-up in one partition had no outcome"))??.offset)
    }

    async fn begin(&self, ctx: &Context, asked: &ReadPartition) -> Result<Part, DoorError> {
        let auth = self.engine.auth();
        auth.ask::<Read, _>(ctx, asked.topic.clone())?;
        let described = self.engine.describe_topic(&auth.ask(ctx, asked.topic.clone())?)?;
        // By id from here on: a topic that is recreated meanwhile is another one.
        let topic = auth.ask(ctx, TopicRef::Id(described.id))?;
        let describe = auth.ask(ctx, TopicRef::Id(described.id))?;
        let ask = async |query| self.look_up(ctx, &describe, asked.partition, query).await;
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
        let taken = Taken { next, ..Taken::default() };
        Ok(Part { topic, partition: asked.partition, taken, offsets })
    }
}

/// Rule 2: nobody may see an offset above HW.
fn visible(offsets: Offsets) -> PartitionOffsets {
    PartitionOffsets { beginning: offsets.log_start, end: offsets.hw, last_stable: offsets.lso }
}

/// What was taken of each partition that had something, the room that is left, and what the records hold.
type TookAll = (Vec<Option<Result<Taken, DoorError>>>, Room, Option<Held>);

fn take_all(found: &[Found], mut taking: Taking) -> Result<TookAll, TooLong> {
    let mut all = Vec::with_capacity(found.len());
    for found in found {
        all.push(match found {
            Some((batches, from)) => Some(taking.take(batches, *from)?),
            None => None,
        });
    }
    Ok((all, taking.room, Some(taking.into_held())))
}

impl Part {
    fn fetch(&self, bytes_max: usize) -> FetchTopic {
        let part =
            FetchPartition { partition: self.partition, offset: self.taken.next, max_bytes: bytes_max, epoch: None };
        FetchTopic { topic: self.topic.clone(), partitions: vec![part] }
    }

    /// What came; `None` when nothing did.
    fn found(&mut self, fetched: Option<Result<Fetched, DoorError>>) -> Result<Found, DoorError> {
        let Fetched { records, offsets } =
            fetched.ok_or_else(|| internal("a fetch had no outcome for a partition"))??;
        self.offsets = visible(offsets);
        Ok(match records {
            _ if records.is_empty() => None,
            Records::Copied(bytes) => Some((Batches::Here(bytes), self.taken.next)),
            Records::Range(slice) => Some((Batches::of(slice), self.taken.next)),
        })
    }

    fn add(&mut self, taken: Taken) {
        self.taken.records.extend(taken.records);
        self.taken.unreadable.extend(taken.unreadable);
        self.taken.next = taken.next;
    }

    fn into_read(self, held: Option<SharedHold>) -> PartitionRead {
        let Taken { records, unreadable, next } = self.taken;
        PartitionRead { records, unreadable, next, offsets: self.offsets, held }
    }
}

fn internal(what: &str) -> DoorError {
    DoorError::Internal { what: what.to_owned() }
}
