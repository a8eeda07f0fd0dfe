//! This broker's consumer session: it takes what `membership` reports, reads the partitions that it holds, and commits. It
//! queues nothing: records are read when the caller polls. It must never hand out a record of a partition between its
//! revocation and its next assignment.

mod membership;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::membership::{Assignment, Heard, Member, Standing};
use super::super::consumer::{ConsumeFrom, ConsumerEvent, ConsumerRequest, PartitionRecords};
use super::super::error::{DoorError, GroupFailure};
use super::super::groups::GroupOffset;
use super::super::reading::{PartitionRead, ReadFrom, ReadPartition, ReadRequest};
use super::Door;
use crate::auth::{Describe, Group, Read};
use crate::clock;
use crate::context::Context;
use crate::coordinator::group::CommittedOffset;
use crate::ids::{Offset, TopicId, TopicPartition, TopicRef};

/// What JoinGroup and the group's records have room for.
const REBALANCE_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// A member of a group inside of the broker. Dropping it leaves the group.
#[derive(Debug)]
pub struct ConsumerSession {
    reader: Reader,
    standing: watch::Receiver<Standing>,
    heard: watch::Sender<Heard>,
    held: Option<Held>,
    leaves: DropGuard,
}

/// Who reads, and how much.
#[derive(Debug)]
struct Reader {
    door: Door,
    ctx: Context,
    request: Arc<ConsumerRequest>,
}

/// An assignment that the caller knows of.
#[derive(Debug)]
struct Held {
    assignment: Arc<Assignment>,
    /// Where each partition is read next.
    places: Vec<Place>,
    /// The caller has been told that it is over; kept for a last commit.
    revoked: bool,
}

/// Where a partition is read next; `None` until that has been looked up.
#[derive(Debug)]
struct Place {
    target: TopicPartition,
    at: Option<(TopicId, Offset)>,
}

impl Door {
    /// Joins a group. It happens in the background: the first poll that returns `Assigned` is a member.
    ///
    /// # Errors
    /// The caller may not read the group or a topic; a request without topics, or whose times contradict each other. What the
    /// group itself refuses is the error of the first poll.
    pub fn consumer(&self, ctx: &Context, request: ConsumerRequest) -> Result<ConsumerSession, DoorError> {
        check(&request)?;
        let auth = self.engine.auth();
        auth.ask::<Read, _>(ctx, Group::named(&request.group))?;
        for topic in &request.topics {
            auth.ask::<Read, _>(ctx, topic.clone())?;
        }
        let (ctx, request) = (ctx.clone().without_deadline(), Arc::new(request));
        let (tells, standing) = watch::channel(Standing::Joining);
        let (heard, hears) = watch::channel(Heard { polled: self.engine.clock().monotonic(), released: 0 });
        let member = |stop: CancellationToken| {
            let engine = Arc::clone(&self.engine);
            Member::new(engine, ctx.clone(), Arc::clone(&request), tells, hears, stop).run()
        };
        let leaves = self.engine.run_member(member).drop_guard();
        let reader = Reader { door: self.clone(), ctx, request };
        Ok(ConsumerSession { reader, standing, heard, held: None, leaves })
    }
}

impl ConsumerSession {
    /// The next event; `None` when there was none in this time. A poll that is dropped before it ends loses nothing.
    ///
    /// # Errors
    /// What ended the session, in this poll and every later one: the group refuses it, the broker stops. Also, with the
    /// session going on: the coordinator cannot be asked for committed offsets.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Option<ConsumerEvent>, DoorError> {
        let clock = Arc::clone(self.reader.door.engine.clock());
        let begun = clock.monotonic();
        if let Some(revoked) = self.held.take_if(|held| held.revoked) {
            // The caller is back, so it has finished with what was revoked.
            self.release(revoked.assignment.round);
        }
        loop {
            let now = clock.monotonic();
            self.heard.send_modify(|heard| heard.polled = now);
            let standing = self.standing.borrow_and_update().clone();
            if let Some(event) = self.take(standing)? {
                return Ok(Some(event));
            }
            let left = timeout.saturating_sub(now.saturating_duration_since(begun));
            // A long poll is a sign of life as well.
            let step = left.min(self.reader.request.rebalance_timeout / 2);
            tokio::select! {
                biased;
                changed = self.standing.changed() => changed.map_err(|_| ended_abnormally())?,
                event = self.reader.read(&mut self.held, step) => match event? {
                    Some(event) => return Ok(Some(event)),
                    None if clock.monotonic().saturating_duration_since(begun) >= timeout => return Ok(None),
                    // A read may end early: behind control batches, or while the broker stops.
                    None => tokio::task::yield_now().await,
                },
            }
        }
    }

    /// Commits offsets of partitions that the session holds, or that the last poll revoked; durable when this returns. One
    /// outcome an offset, in order: `NotAssigned` for any other partition.
    ///
    /// # Errors
    /// For all of them: the session holds nothing, or the group has gone on without it.
    pub async fn commit(&self, offsets: Vec<GroupOffset>) -> Result<Vec<Result<(), DoorError>>, DoorError> {
        let Reader { door, ctx, request } = &self.reader;
        let rebalancing = || GroupFailure::RebalanceInProgress { group: request.group.clone() };
        let assignment = &self.held.as_ref().ok_or_else(rebalancing)?.assignment;
        let mut outcomes = Vec::with_capacity(offsets.len());
        let mut ours = Vec::with_capacity(offsets.len());
        for offset in offsets {
            if assignment.partitions.contains(&offset.target) {
                outcomes.push(Ok(()));
                ours.push(offset);
            } else {
                let (topic, partition) = (offset.target.topic.to_string(), offset.target.partition.0);
                outcomes.push(Err(GroupFailure::NotAssigned { topic, partition }.into()));
            }
        }
        let committed = door.commit_as(ctx, &request.group, &assignment.who, ours).await?;
        for (outcome, committed) in outcomes.iter_mut().filter(|outcome| outcome.is_ok()).zip(committed) {
            *outcome = committed;
        }
        Ok(outcomes)
    }

    /// Leaves the group, and returns when it has: the others get the partitions.
    pub async fn close(self) {
        let ConsumerSession { mut standing, leaves, .. } = self;
        drop(leaves);
        // The membership holds the sender until it has left.
        while standing.changed().await.is_ok() {}
    }

    /// What the caller has to know of first.
    fn take(&mut self, standing: Standing) -> Result<Option<ConsumerEvent>, DoorError> {
        let (round, assigned) = match standing {
            Standing::Joining => return Ok(None),
            Standing::Ended(error) => {
                self.held = None;
                return Err(error);
            }
            Standing::Assigned(assignment) => (assignment.round, Some(assignment)),
            Standing::Revoking { round } => (round, None),
        };
        let known = self.held.as_mut().filter(|held| held.assignment.round == round);
        match (assigned, known) {
            (Some(_), Some(_)) => Ok(None),
            (Some(assignment), None) => {
                let place = |target: &TopicPartition| Place { target: target.clone(), at: None };
                let (places, partitions) =
                    (assignment.partitions.iter().map(place).collect(), assignment.partitions.clone());
                self.held = Some(Held { assignment, places, revoked: false });
                Ok(Some(ConsumerEvent::Assigned(partitions)))
            }
            (None, Some(held)) if !held.places.is_empty() && !held.revoked => {
                held.revoked = true;
                Ok(Some(ConsumerEvent::Revoked(held.assignment.partitions.clone())))
            }
            (None, _) => {
                self.release(round);
                Ok(None)
            }
        }
    }

    /// From now on the membership may join the next generation.
    fn release(&mut self, round: u64) {
        self.held = None;
        self.heard.send_modify(|heard| heard.released = round);
    }
}

impl Reader {
    /// Records of what is held, or a failure; `None` when there was nothing in this time.
    async fn read(&self, held: &mut Option<Held>, wait: Duration) -> Result<Option<ConsumerEvent>, DoorError> {
        let Some(held) = held.as_mut().filter(|held| !held.revoked && !held.places.is_empty()) else {
            clock::sleep(wait).await;
            return Ok(None);
        };
        let mut failed = self.find_places(&mut held.places).await?;
        let found = |place: &Place| {
            let (topic, next) = place.at?;
            let (topic, from) = (TopicRef::Id(topic), ReadFrom::At(next));
            Some(ReadPartition { topic, partition: place.target.partition, from })
        };
        let request = ReadRequest {
            partitions: held.places.iter().filter_map(found).collect(),
            records_max: self.request.records_max,
            bytes_max: self.request.bytes_max,
            timeout: if failed.is_some() { Duration::ZERO } else { wait },
        };
        let outcomes = self.door.read(&self.ctx, &request).await;
        let mut all = Vec::new();
        for (place, outcome) in held.places.iter_mut().filter(|place| place.at.is_some()).zip(outcomes) {
            match self.advance(place, outcome) {
                Ok(records) => all.extend(records),
                Err(error) => failed = failed.or(Some((place.target.clone(), error))),
            }
        }
        // Whoever was read first is last the next time, so that a busy partition does not keep the others out.
        held.places.rotate_left(1);
        Ok(match (all.is_empty(), failed) {
            (false, _) => Some(ConsumerEvent::Records(all)),
            (true, Some((target, error))) => Some(ConsumerEvent::Failed { target, error }),
            (true, None) => None,
        })
    }

    /// Moves the place behind what was read.
    fn advance(
        &self,
        place: &mut Place,
        outcome: Result<PartitionRead, DoorError>,
    ) -> Result<Option<PartitionRecords>, DoorError> {
        let Some((_, at)) = &mut place.at else { return Ok(None) };
        match (outcome, self.request.from) {
            (Ok(read), _) => {
                *at = read.next;
                let PartitionRead { records, unreadable, next, .. } = read;
                let read = PartitionRecords { target: place.target.clone(), records, unreadable, next };
                Ok(Some(read).filter(|read| !read.records.is_empty() || !read.unreadable.is_empty()))
            }
            // Retention has removed the records, or a crash of an earlier broker has.
            (Err(DoorError::OffsetOutOfRange { beginning, .. }), ConsumeFrom::Earliest) => {
                *at = beginning;
                Ok(None)
            }
            (Err(DoorError::OffsetOutOfRange { end, .. }), ConsumeFrom::Latest) => {
                *at = end;
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Looks up where the partitions without a place are read next; returns the first for which that failed.
    async fn find_places(&self, places: &mut [Place]) -> Result<Option<(TopicPartition, DoorError)>, DoorError> {
        let auth = self.door.engine.auth();
        let mut asked = Vec::new();
        for place in places.iter().filter(|place| place.at.is_none()) {
            let topic = auth.ask::<Describe, _>(&self.ctx, place.target.topic.clone())?;
            asked.push((topic, vec![place.target.partition]));
        }
        if asked.is_empty() {
            return Ok(None);
        }
        let group = auth.ask::<Describe, _>(&self.ctx, Group::named(&self.request.group))?;
        let committed = self.door.engine.committed_offsets(&group, &asked).await?;
        let committed: BTreeMap<_, _> = committed.into_iter().collect();
        let mut failed = None;
        for place in places.iter_mut().filter(|place| place.at.is_none()) {
            let known = committed.get(&place.target).and_then(Option::as_ref).and_then(CommittedOffset::position);
            match self.begin(&place.target, known).await {
                Ok(at) => place.at = Some(at),
                Err(error) => failed = failed.or(Some((place.target.clone(), error))),
            }
        }
        Ok(failed)
    }

    async fn begin(&self, target: &TopicPartition, committed: Option<Offset>) -> Result<(TopicId, Offset), DoorError> {
        let engine = &self.door.engine;
        let named = engine.auth().ask::<Describe, _>(&self.ctx, TopicRef::name(target.topic.as_str()))?;
        // By id from here on: a topic that is recreated under the same name is another one.
        let topic = engine.describe_topic(&named)?.id;
        let offset = match (committed, self.request.from) {
            (Some(offset), _) => offset,
            (None, ConsumeFrom::Error) => {
                let (topic, partition) = (target.topic.to_string(), target.partition.0);
                return Err(GroupFailure::NothingCommitted { topic, partition }.into());
            }
            (None, from) => {
                let offsets = self.door.offsets(&self.ctx, &TopicRef::Id(topic), target.partition).await?;
                if from == ConsumeFrom::Earliest { offsets.beginning } else { offsets.end }
            }
        };
        Ok((topic, offset))
    }
}

fn check(request: &ConsumerRequest) -> Result<(), DoorError> {
    let silent = request.heartbeat_interval.is_zero() || request.heartbeat_interval >= request.session_timeout;
    let reason = if request.topics.is_empty() {
        "a consumer needs at least one topic"
    } else if silent {
        "the heartbeat interval of a consumer must be shorter than its session time-out, and not 0"
    } else if request.rebalance_timeout.is_zero() || request.rebalance_timeout > REBALANCE_TIMEOUT_MAX {
        "the rebalance time-out of a consumer must be 1 to 2147483647 ms"
    } else {
        return Ok(());
    };
    Err(DoorError::InvalidRequest { reason: reason.to_owned() })
}

fn ended_abnormally() -> DoorError {
    DoorError::Internal { what: "the membership of a consumer session ended abnormally".to_owned() }
}
