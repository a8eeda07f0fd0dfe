//! Appends the lanes of a step: lanes of different target partitions at once, those of one after the other. Each append is
//! deduplicated, so a step may be delivered any number of times, in this life of the broker and the next.

use std::collections::{BTreeMap, HashMap};

use super::message;
use super::plan::Target;
use super::state_record::{Lane, Step};
use crate::door::messages::{AppendOnce, Message, StreamTarget};
use crate::door::reading::Followed;
use crate::door::{Context, Door, DoorError};
use crate::ids::{Offset, PartitionId, ProducerId};

/// The outcome of a lane.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its records are in the target, durably.
    Delivered,
    /// The target was deleted, and perhaps recreated.
    TargetMissing,
    /// The target never takes these records.
    Refused(String),
    /// The target does not take them now.
    Failed(DoorError),
    /// A lane before it in the same target partition was not delivered.
    NotTried,
}

/// What all lanes need.
pub(super) struct Delivery<'a> {
    pub(super) door: &'a Door,
    pub(super) ctx: &'a Context,
    /// The delay topic's name.
    pub(super) proxy: &'a str,
    pub(super) partition: PartitionId,
    pub(super) stream: ProducerId,
    pub(super) records: &'a HashMap<Offset, Followed>,
}

impl Delivery<'_> {
    /// One outcome a lane, in order.
    pub(super) async fn deliver(&self, step: &Step) -> Vec<Outcome> {
        let mut by_target: BTreeMap<Target, Vec<usize>> = BTreeMap::new();
        for (at, lane) in step.lanes.iter().enumerate() {
            by_target.entry((lane.topic, lane.partition)).or_default().push(at);
        }
        let targets = by_target.into_values().map(|places| self.deliver_in_order(step, places));
        let mut outcomes: Vec<Outcome> = step.lanes.iter().map(|_| Outcome::NotTried).collect();
        for (at, outcome) in futures::future::join_all(targets).await.into_iter().flatten() {
            outcomes[at] = outcome;
        }
        outcomes
    }

    async fn deliver_in_order(&self, step: &Step, places: Vec<usize>) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::with_capacity(places.len());
        for at in places {
            let outcome = self.deliver_lane(&step.lanes[at]).await;
            let delivered = matches!(outcome, Outcome::Delivered);
            outcomes.push((at, outcome));
            if !delivered {
                break;
            }
        }
        outcomes
    }

    async fn deliver_lane(&self, lane: &Lane) -> Outcome {
        // Planned as a record by a version that opened larger ones: its stand-in never goes to the target.
        let unreadable = |offset| self.records.get(offset).and_then(|found: &Followed| found.unreadable.clone());
        if lane.reason.is_none()
            && let Some(reason) = lane.offsets.iter().find_map(unreadable)
        {
            return Outcome::Refused(reason);
        }
        let messages = self.messages(lane);
        let target = StreamTarget { stream: self.stream, topic: lane.topic, partition: lane.partition };
        match self.door.append_once(self.ctx, target, lane.first, &messages).await {
            Ok(AppendOnce::Written(_) | AppendOnce::Duplicate(_)) => Outcome::Delivered,
            Ok(AppendOnce::TopicMissing) => Outcome::TargetMissing,
            Err(DoorError::Record(error)) => Outcome::Refused(error.to_string()),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn messages(&self, lane: &Lane) -> Vec<Message> {
        let keep_time = self.door.is_delay_topic(self.ctx, lane.topic);
        let found = lane.offsets.iter().filter_map(|offset| self.records.get(offset));
        let message = |found: &Followed| match &lane.reason {
            Some(reason) => message::dead_letter(found, reason, self.proxy, self.partition),
            None => message::delivered(&found.record, keep_time),
        };
        found.map(message).collect()
    }
}
