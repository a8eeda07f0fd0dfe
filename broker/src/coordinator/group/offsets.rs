//! A group's committed offsets in memory, pure. A change is visible only once its record is durable (rule 2): it waits
//! here in the order of the log, and is taken over when the high watermark has passed it. So a commit whose client went
//! away is not forgotten, and two commits cannot overtake each other.

use std::collections::{BTreeMap, VecDeque};

use super::verbs::CommittedOffset;
use crate::ids::{Offset, TopicPartition};

/// `None` forgets the offset.
pub(super) type Change = (TopicPartition, Option<CommittedOffset>);

/// What is durable, and what is on its way.
#[derive(Debug, Default)]
pub(super) struct GroupOffsets {
    durable: BTreeMap<TopicPartition, CommittedOffset>,
    waiting: VecDeque<(Offset, Vec<Change>)>,
}

impl GroupOffsets {
    /// Appended; counts once the high watermark is at `durable_at`. Called in the order of the log.
    pub(super) fn appended(&mut self, durable_at: Offset, changes: Vec<Change>) {
        debug_assert!(self.waiting.back().is_none_or(|(before, _)| *before <= durable_at));
        self.waiting.push_back((durable_at, changes));
    }

    /// Takes over what the high watermark has passed.
    pub(super) fn absorb(&mut self, hw: Offset) {
        while let Some((_, changes)) = self.waiting.pop_front_if(|(durable_at, _)| *durable_at <= hw) {
            for change in changes {
                self.apply(change);
            }
        }
    }

    /// One change that is known to be durable.
    pub(super) fn apply(&mut self, (target, value): Change) {
        match value {
            Some(committed) => self.durable.insert(target, committed),
            None => self.durable.remove(&target),
        };
    }

    pub(super) fn get(&self, target: &TopicPartition) -> Option<&CommittedOffset> {
        self.durable.get(target)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.durable.iter()
    }

    /// Something is appended that is not visible yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.durable.is_empty() && self.waiting.is_empty()
    }

    /// The partitions that will have such a value when everything that waits is durable.
    pub(super) fn targets(&self, wanted: impl Fn(&TopicPartition, &CommittedOffset) -> bool) -> Vec<TopicPartition> {
        let mut targets: BTreeMap<&TopicPartition, &CommittedOffset> = self.durable.iter().collect();
        for (target, value) in self.waiting.iter().flat_map(|(_, changes)| changes) {
            match value {
                Some(value) => targets.insert(target, value),
                None => targets.remove(target),
            };
        }
        targets.into_iter().filter(|(target, value)| wanted(target, value)).map(|(target, _)| target.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PartitionId, TimestampMs, TopicName};

    fn target(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicName::new("t").expect("a topic name"), partition: PartitionId(partition) }
    }

    fn at(offset: i64) -> Option<CommittedOffset> {
        let (epoch, metadata, committed_at, topic_id) = (None, String::new(), TimestampMs(0), None);
        Some(CommittedOffset { offset: Offset(offset), epoch, metadata, committed_at, topic_id })
    }

    #[test]
    fn a_commit_is_visible_only_when_it_is_durable_rule_2() {
        let mut offsets = GroupOffsets::default();
        offsets.appended(Offset(5), vec![(target(0), at(10))]);
        offsets.absorb(Offset(4));
        assert_eq!(offsets.get(&target(0)), None);
        offsets.absorb(Offset(5));
        assert_eq!(offsets.get(&target(0)), at(10).as_ref());
    }

    #[test]
    fn the_later_of_two_commits_in_the_log_wins_whoever_asks_first() {
        let mut offsets = GroupOffsets::default();
        offsets.appended(Offset(1), vec![(target(0), at(10))]);
        offsets.appended(Offset(2), vec![(target(0), at(7))]);
        offsets.absorb(Offset(9));
        assert_eq!(offsets.get(&target(0)), at(7).as_ref());
    }

    #[test]
    fn targets_are_what_will_be_there_when_everything_is_durable() {
        let mut offsets = GroupOffsets::default();
        offsets.apply((target(0), at(1)));
        offsets.apply((target(1), at(1)));
        offsets.appended(Offset(1), vec![(target(1), None), (target(2), at(3))]);
        assert_eq!(offsets.targets(|_, _| true), vec![target(0), target(2)]);
        assert!(offsets.is_waiting());
        offsets.absorb(Offset(1));
        assert_eq!(offsets.targets(|_, _| true), vec![target(0), target(2)]);
        assert!(!offsets.is_waiting() && !offsets.is_empty());
    }
}
