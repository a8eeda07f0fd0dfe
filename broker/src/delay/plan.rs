//! From records and their destinations to lanes, pure: a lane is one deduplicated append to one target partition, with the
//! sequences it takes there. Keeps the order of the proxy partition within each target partition.

use std::collections::HashMap;

use super::state_record::Lane;
use crate::ids::{Offset, PartitionId, Sequence, TopicId};

/// Where one record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) topic: TopicId,
    pub(super) partition: PartitionId,
    /// Set for a dead letter: why it is one.
    pub(super) reason: Option<String>,
    /// In a lane of its own: the lane that it was in was refused, and this finds out which record is the cause.
    pub(super) alone: bool,
}

/// A target partition.
pub(super) type Target = (TopicId, PartitionId);

/// The next sequence of each target partition.
pub(super) type Sequences = HashMap<Target, Sequence>;

/// One lane for each run of records that can share an append; `next` is advanced past them.
pub(super) fn lanes(records: &[(Offset, Destination)], next: &mut Sequences) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    // The lane that a target partition's next record may join.
    let mut open: HashMap<Target, usize> = HashMap::new();
    for (offset, to) in records {
        let target = (to.topic, to.partition);
        let joinable = open.get(&target).copied().filter(|at| !to.alone && lanes[*at].reason == to.reason);
        match joinable {
            Some(at) => lanes[at].offsets.push(*offset),
            None => {
                let lane = Lane {
                    topic: to.topic,
                    partition: to.partition,
                    first: Sequence(0),
                    reason: to.reason.clone(),
                    offsets: vec![*offset],
                };
                lanes.push(lane);
                if to.alone {
                    open.remove(&target);
                } else {
                    open.insert(target, lanes.len() - 1);
                }
            }
        }
    }
    for lane in &mut lanes {
        let next = next.entry((lane.topic, lane.partition)).or_default();
        lane.first = *next;
        *next = behind(lane);
    }
    lanes
}

/// The sequence that follows a lane.
pub(super) fn behind(lane: &Lane) -> Sequence {
    // At most `limits::DELAY_STEP_RECORDS_MAX` records.
    lane.first.advance(i32::try_from(lane.offsets.len()).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(partition: i32, reason: Option<&str>, alone: bool) -> Destination {
        let topic = TopicId(uuid::Uuid::from_u128(1));
        Destination { topic, partition: PartitionId(partition), reason: reason.map(str::to_owned), alone }
    }

    /// (partition, first sequence, offsets) of each lane.
    fn plan(records: Vec<Destination>, next: &mut Sequences) -> Vec<(i32, i32, Vec<i64>)> {
        let records: Vec<_> = (10..).map(Offset).zip(records).collect();
        let shown = |lane: Lane| (lane.partition.0, lane.first.0, lane.offsets.iter().map(|at| at.0).collect());
        lanes(&records, next).into_iter().map(shown).collect()
    }

    #[test]
    fn each_target_partition_gets_its_records_in_order_and_sequences_without_a_gap() {
        let mut next = Sequences::from([((TopicId(uuid::Uuid::from_u128(1)), PartitionId(1)), Sequence(7))]);
        let records = vec![to(0, None, false), to(1, None, false), to(0, None, false), to(1, None, false)];
        assert_eq!(plan(records, &mut next), vec![(0, 0, vec![10, 12]), (1, 7, vec![11, 13])]);
        assert_eq!(plan(vec![to(1, None, false)], &mut next), vec![(1, 9, vec![10])]);
    }

    #[test]
    fn reasons_and_suspects_have_lanes_of_their_own_that_follow_each_other() {
        let mut next = Sequences::new();
        let records = vec![
            to(0, Some("a"), false),
            to(0, Some("b"), false),
            to(0, Some("b"), false),
            to(0, Some("b"), true),
            to(0, Some("b"), false),
        ];
        let expect = vec![(0, 0, vec![10]), (0, 1, vec![11, 12]), (0, 3, vec![13]), (0, 4, vec![14])];
        assert_eq!(plan(records, &mut next), expect);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let target = (TopicId(uuid::Uuid::from_u128(1)), PartitionId(0));
        let mut next = Sequences::from([(target, Sequence(i32::MAX))]);
        assert_eq!(plan(vec![to(0, None, false), to(0, None, false)], &mut next), vec![(0, i32::MAX, vec![10, 11])]);
        assert_eq!(next[&target], Sequence(1));
    }
}
