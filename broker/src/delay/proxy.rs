//! One proxy partition from its first record to its last: read what is due, plan a step, make it durable, append it, and
//! record it as done. After a crash the step under way is read from the state and repeated. One task; only the end of the
//! process interrupts a step.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::counts::{DelayCounts, ProxyCounts};
use super::deliver::{Delivery, Outcome};
use super::due_records::{self, Again, Head};
use super::plan::{self, Destination, Sequences, Target};
use super::route::Router;
use super::schedule::{self, Due};
use super::state_record::{Lane, ProxyKey, State, Step};
use super::state_topic::StateTopic;
use crate::clock::{self, SharedClock};
use crate::door::error::TopicFailure;
use crate::door::messages::StreamTarget;
use crate::door::reading::Followed;
use crate::door::{DoorError, Follower};
use crate::ids::{Offset, ProducerId, Sequence, TimestampMs};

/// What all proxy partitions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: StateTopic,
    pub(super) clock: SharedClock,
    /// Steps in memory at once.
    pub(super) steps: Semaphore,
    /// Partitions whose reads are long: each step of a batch opens it from its beginning, and only one long read runs at a time.
    /// Whoever waits for that holds no step, so that those who read little go on beside them.
    pub(super) long_reads: Semaphore,
    pub(super) counts: Arc<DelayCounts>,
}

/// One proxy partition.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) shared: Arc<Shared>,
    pub(super) key: ProxyKey,
    pub(super) delay: Duration,
    pub(super) partition: Follower,
    pub(super) router: Router,
    pub(super) state: State,
    /// `state.done` is ahead of what the log has.
    pub(super) unsaved: bool,
    pub(super) next: Sequences,
    /// When the record at `state.done` is due, if that is known. Nothing needs to be read before.
    pub(super) head_due: Option<TimestampMs>,
    /// Where it stands, for `/metrics`.
    pub(super) counts: Arc<ProxyCounts>,
    /// Steps that the next one counts for: more than one where it has a large record.
    pub(super) steps: u32,
    /// The last read was long, and so will the next one be while it is the same batch.
    pub(super) long: bool,
}

/// How a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There may be more at once.
    Moved,
    /// Nothing is waiting; new records wake the task.
    Idle,
    /// The next record is not due for this long.
    NotYet(Duration),
    /// The topic was deleted.
    Deleted,
}

impl Proxy {
    /// Runs until `stop`, or until the topic is deleted.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let news = Arc::new(Notify::new());
        let _watching = self.partition.watch(&news);
        let mut failures = 0;
        while !stop.is_cancelled() {
            let turn = self.turn().await;
            failures = if turn.is_err() { failures + 1 } else { 0 };
            self.tell(turn.is_err());
            let sleep = match turn {
                Ok(Turn::Moved) => continue,
                Ok(Turn::Deleted) => return self.forget().await,
                Ok(Turn::Idle) => {
                    tokio::select! {
                        () = news.notified() => continue,
                        () = stop.cancelled() => break,
                    }
                }
                Ok(Turn::NotYet(wait)) => wait,
                Err(error) => {
                    tracing::warn!(partition = %self.name(), failures, "delivery will be tried again: {error}");
                    schedule::back_off(failures)
                }
            };
            tokio::select! {
                () = clock::sleep(sleep) => {}
                () = stop.cancelled() => break,
            }
        }
        if let Err(error) = self.save().await {
            tracing::warn!(partition = %self.name(), "what was delivered last will be tried again: {error}");
        }
    }

    /// A turn that failed leaves when the first record was due, so that it grows late.
    fn tell(&self, failed: bool) {
        if failed {
            self.shared.counts.failures.up();
        } else {
            self.counts.stands_at(self.state.done, self.head_due);
        }
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.router.proxy.name, self.key.partition)
    }

    fn deleted(&self) -> bool {
        !self.router.door.has_topic(&self.router.ctx, self.router.proxy.id)
    }

    /// One step, or the reason for none.
    pub(super) async fn turn(&mut self) -> Result<Turn, DoorError> {
        // On the heap: the compiler gives up on the layout of futures that are nested too deep.
        match Box::pin(self.try_turn()).await {
            Err(DoorError::Topic(TopicFailure::Deleted { .. } | TopicFailure::IdNotFound { .. })) if self.deleted() => {
                Ok(Turn::Deleted)
            }
            turn => turn,
        }
    }

    async fn try_turn(&mut self) -> Result<Turn, DoorError> {
        if self.deleted() {
            return Ok(Turn::Deleted);
        }
        let shared = Arc::clone(&self.shared);
        if let Some(Due::In(wait)) = self.head_due.map(|due_at| schedule::due(due_at, shared.clock.wall())) {
            return self.save().await.map(|()| Turn::NotYet(wait));
        }
        let _long = match self.long {
            true => Some(shared.long_reads.acquire().await.map_err(|_| DoorError::Stopping)?),
            false => None,
        };
        let _permit = shared.steps.acquire_many(self.steps).await.map_err(|_| DoorError::Stopping)?;
        if let Some(step) = self.state.step.clone() {
            return self.finish(step).await;
        }
        let log_start = self.partition.beginning();
        if self.state.done < log_start {
            let (from, name) = (self.state.done, self.name());
            tracing::error!("records {from} to {log_start} of {name} were removed before they were delivered");
            self.state.done = log_start;
        }
        self.head_due = None;
        let (from, now, steps) = ((self.state.done, self.delay), shared.clock.wall(), self.steps);
        let read = self.partition.reading(move |partition| due_records::due(partition, from, now, steps)).await?;
        self.long = read.long;
        match read.done {
            Head::End => self.save().await.map(|()| Turn::Idle),
            Head::NotYet(due_at) => {
                self.head_due = Some(due_at);
                Ok(Turn::Moved)
            }
            // The leave at hand is given back first: nobody waits for more while it holds some.
            Head::Heavy(steps) => {
                self.steps = steps;
                Ok(Turn::Moved)
            }
            Head::Due { records, until } if records.is_empty() => {
                self.state.done = until;
                self.unsaved = true;
                Ok(Turn::Moved)
            }
            Head::Due { records, until } => {
                let destinations = Box::pin(self.router.route(&records)).await?;
                let routed = records.iter().map(|found| found.record.offset).zip(destinations).collect::<Vec<_>>();
                let step = self.begin(&routed, until, Vec::new()).await?;
                self.append(step, by_offset(records)).await?;
                self.steps = 1;
                Ok(Turn::Moved)
            }
        }
    }

    /// Makes a step durable. `kept` are lanes of the step it replaces, which come first.
    pub(super) async fn begin(
        &mut self,
        routed: &[(Offset, Destination)],
        until: Offset,
        kept: Vec<Lane>,
    ) -> Result<Step, DoorError> {
        let stream = match self.state.stream {
            Some(stream) => stream,
            None => self.router.door.new_stream(&self.router.ctx).await?,
        };
        let mut next = Sequences::new();
        for (_, to) in routed {
            let target = (to.topic, to.partition);
            if let std::collections::hash_map::Entry::Vacant(entry) = next.entry(target) {
                entry.insert(self.next_sequence(stream, target).await?);
            }
        }
        let mut lanes = kept;
        lanes.extend(plan::lanes(routed, &mut next));
        let step = Step { until, lanes };
        let state = State { done: self.state.done, stream: Some(stream), step: Some(step.clone()) };
        self.shared.store.write(&self.key, Some(&state)).await?;
        // A repetition reads the step's records again.
        self.partition.hold(state.done);
        // Not earlier: a step that may not be durable is planned again, and nothing of it has been appended.
        self.state = state;
        self.unsaved = false;
        self.next.extend(next);
        Ok(step)
    }

    /// What follows the last thing that the stream wrote to a target partition.
    async fn next_sequence(&self, stream: ProducerId, target: Target) -> Result<Sequence, DoorError> {
        if let Some(next) = self.next.get(&target) {
            return Ok(*next);
        }
        let target = StreamTarget { stream, topic: target.0, partition: target.1 };
        let last = self.router.door.stream_last(&self.router.ctx, target).await?;
        Ok(last.map_or(Sequence(0), |last| last.advance(1)))
    }

    /// Repeats a step from the proxy partition's log.
    async fn finish(&mut self, step: Step) -> Result<Turn, DoorError> {
        let wanted: BTreeSet<Offset> = step.lanes.iter().flat_map(|lane| lane.offsets.iter().copied()).collect();
        let steps = self.steps;
        let read = self.partition.reading(move |partition| due_records::again(partition, &wanted, steps)).await?;
        self.long = read.long;
        match read.done {
            Again::Heavy(steps) => self.steps = steps,
            Again::Records(records) => {
                self.append(step, by_offset(records)).await?;
                self.steps = 1;
            }
        }
        Ok(Turn::Moved)
    }

    /// Appends a durable step. Repeats with another step while records have to be sent elsewhere.
    pub(super) async fn append(&mut self, mut step: Step, records: HashMap<Offset, Followed>) -> Result<(), DoorError> {
        let Some(stream) = self.state.stream else {
            return Err(DoorError::Internal { what: "a delay step without a stream".into() });
        };
        loop {
            let delivery = Delivery {
                door: &self.router.door,
                ctx: &self.router.ctx,
                proxy: &self.router.proxy.name,
                partition: self.key.partition,
                stream,
                records: &records,
            };
            let outcomes = delivery.deliver(&step).await;
            for (lane, outcome) in step.lanes.iter().zip(&outcomes) {
                self.count(lane, outcome);
                self.next.insert((lane.topic, lane.partition), plan::behind(lane));
            }
            if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered)) {
                break;
            }
            step = self.send_elsewhere(step, outcomes).await?;
        }
        self.state.done = step.until;
        self.state.step = None;
        self.unsaved = true;
        Ok(())
    }

    fn count(&self, lane: &Lane, outcome: &Outcome) {
        let counts = &self.shared.counts;
        if matches!(outcome, Outcome::Delivered) {
            let counter = if lane.reason.is_some() { &counts.dead_letters } else { &counts.delivered };
            counter.add_len(lane.offsets.len());
        }
    }

    /// The step that replaces one in which a target was missing or refused records; the first failure when nothing has to be
    /// sent elsewhere. Lanes that only failed stay exactly as they are.
    async fn send_elsewhere(&mut self, step: Step, outcomes: Vec<Outcome>) -> Result<Step, DoorError> {
        let mut kept = Vec::new();
        let mut moved: Vec<(Offset, Destination)> = Vec::new();
        let mut failure = None;
        // The target partitions that lose a lane: later lanes there get other sequences, or are sent elsewhere too.
        let mut broken: HashMap<Target, Option<String>> = HashMap::new();
        for (lane, outcome) in step.lanes.into_iter().zip(outcomes) {
            let target = (lane.topic, lane.partition);
            match outcome {
                Outcome::Delivered => {}
                Outcome::TargetMissing => {
                    let reason = lane.reason.clone().unwrap_or_else(|| "the target was deleted".to_owned());
                    self.next.remove(&target);
                    self.to_dead_letters(&lane, &reason, &mut moved).await?;
                    broken.insert(target, Some(reason));
                }
                Outcome::Refused(reason) => {
                    self.next.insert(target, lane.first);
                    match (lane.offsets.len(), &lane.reason) {
                        (1, None) => self.to_dead_letters(&lane, &reason, &mut moved).await?,
                        (1, Some(_)) => {
                            return Err(DoorError::Internal { what: format!("a dead letter was refused: {reason}") });
                        }
                        _ => moved.extend(same_place(&lane, true)),
                    }
                    broken.insert(target, None);
                }
                Outcome::Failed(error) => {
                    failure = Some(error);
                    kept.push(lane);
                }
                Outcome::NotTried => match broken.get(&target) {
                    Some(Some(reason)) => {
                        let reason = lane.reason.clone().unwrap_or_else(|| reason.clone());
                        self.to_dead_letters(&lane, &reason, &mut moved).await?;
                    }
                    Some(None) => moved.extend(same_place(&lane, false)),
                    None => kept.push(lane),
                },
            }
        }
        if moved.is_empty() {
            return Err(failure.unwrap_or(DoorError::Stopping));
        }
        moved.sort_by_key(|(offset, _)| *offset);
        self.begin(&moved, step.until, kept).await
    }

    async fn to_dead_letters(
        &self,
        lane: &Lane,
        reason: &str,
        moved: &mut Vec<(Offset, Destination)>,
    ) -> Result<(), DoorError> {
        tracing::warn!(partition = %self.name(), records = lane.offsets.len(), "to the dead letters: {reason}");
        let letter = self.router.dead_letter(reason).await?;
        moved.extend(lane.offsets.iter().map(|offset| (*offset, letter.clone())));
        Ok(())
    }

    /// Records what is done, if that is not durable yet. It only saves a repetition: without it records are still delivered once.
    pub(super) async fn save(&mut self) -> Result<(), DoorError> {
        if self.unsaved && self.state.step.is_none() {
            self.shared.store.write(&self.key, Some(&self.state)).await?;
            self.unsaved = false;
            self.partition.hold(self.state.done);
        }
        Ok(())
    }

    async fn forget(&self) {
        if let Err(error) = self.shared.store.write(&self.key, None).await {
            tracing::warn!(partition = %self.name(), "the state of a deleted delay topic stays: {error}");
        }
    }
}

fn by_offset(records: Vec<Followed>) -> HashMap<Offset, Followed> {
    records.into_iter().map(|found| (found.record.offset, found)).collect()
}

fn same_place(lane: &Lane, alone: bool) -> impl Iterator<Item = (Offset, Destination)> + '_ {
    let to = Destination { topic: lane.topic, partition: lane.partition, reason: lane.reason.clone(), alone };
    lane.offsets.iter().map(move |offset| (*offset, to.clone()))
}
