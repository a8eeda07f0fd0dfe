//! A group's committed offsets in memory, pure. A change is visible only once its record is durable (rule 2): it waits
//! here in the order of the log and is taken over when the high watermark has passed it. A read therefore waits for
//! nothing and never shows what a crash could take back; so does Kafka's OffsetFetch, which reads the snapshot at the
//! high watermark.

use std::collections::{BTreeMap, VecDeque};

use super::requests::CommittedOffset;
use crate::ids::{Offset, TopicPartition};

/// A record of one target: a commit, or with `None` a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) target: TopicPartition,
    pub(super) value: Option<CommittedOffset>,
    /// Where its record is. A transaction's commit counts by its own record, not by the marker that makes it visible.
    pub(super) written: Offset,
}

/// What is durable, and what is on its way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GroupOffsets {
    durable: Durable,
    /// Each visible once the high watermark is above its offset.
    waiting: VecDeque<(Offset, Change)>,
}

/// The last commit of each target, with the offset of its record.
type Durable = BTreeMap<TopicPartition, (Offset, CommittedOffset)>;

impl GroupOffsets {
    /// Takes a change that is visible once the high watermark is above `at`. In the order of the log.
    pub(super) fn replay(&mut self, at: Offset, change: Change) {
        debug_assert!(self.waiting.back().is_none_or(|(before, _)| *before <= at));
        self.waiting.push_back((at, change));
    }

    /// Takes over what the high watermark has passed.
    pub(super) fn absorb(&mut self, hw: Offset) {
        while let Some((_, change)) = self.waiting.pop_front_if(|(at, _)| *at < hw) {
            apply(&mut self.durable, change);
        }
    }

    /// Durable.
    pub(super) fn get(&self, target: &TopicPartition) -> Option<&CommittedOffset> {
        self.durable.get(target).map(|(_, value)| value)
    }

    /// Durable.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.durable.iter().map(|(target, (_, value))| (target, value))
    }

    /// A commit is appended that is not visible yet.
    pub(super) fn has_waiting_commit(&self) -> bool {
        self.waiting.iter().any(|(_, change)| change.value.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.durable.is_empty() && self.waiting.is_empty()
    }

    /// What will be there when everything that waits is durable.
    pub(super) fn latest(&self) -> BTreeMap<&TopicPartition, &CommittedOffset> {
        let mut latest: BTreeMap<_, _> =
            self.durable.iter().map(|(target, (at, value))| (target, (*at, value))).collect();
        for (_, Change { target, value, written }) in &self.waiting {
            match value {
                None => drop(latest.remove(target)),
                Some(value) if counts(latest.get(target).map(|(before, _)| *before), *written) => {
                    latest.insert(target, (*written, value));
                }
                Some(_) => {}
            }
        }
        latest.into_iter().map(|(target, (_, value))| (target, value)).collect()
    }
}

fn apply(offsets: &mut Durable, Change { target, value, written }: Change) {
    match value {
        None => drop(offsets.remove(&target)),
        Some(value) if counts(offsets.get(&target).map(|(before, _)| *before), written) => {
            offsets.insert(target, (written, value));
        }
        Some(_) => {}
    }
}

/// As Kafka's `OffsetMetadataManager`: of two commits the one whose record is later, so that the end of a transaction
/// does not bring back an older offset. A tombstone always counts.
fn counts(before: Option<Offset>, written: Offset) -> bool {
    before.is_none_or(|before| before < written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PartitionId, TimestampMs, TopicName};

    fn target(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicName::new("t").expect("a topic name"), partition: PartitionId(partition) }
    }

    fn value(offset: i64) -> CommittedOffset {
        let (epoch, metadata, committed_at, topic_id) = (None, String::new(), TimestampMs(0), None);
        CommittedOffset { offset: Offset(offset), epoch, metadata, committed_at, topic_id }
    }

    fn commit(at: i64, partition: i32, offset: i64) -> (Offset, Change) {
        (Offset(at), Change { target: target(partition), value: Some(value(offset)), written: Offset(at) })
    }

    fn tombstone(at: i64, partition: i32) -> (Offset, Change) {
        (Offset(at), Change { target: target(partition), value: None, written: Offset(at) })
    }

    fn offsets(changes: impl IntoIterator<Item = (Offset, Change)>) -> GroupOffsets {
        let mut offsets = GroupOffsets::default();
        changes.into_iter().for_each(|(at, change)| offsets.replay(at, change));
        offsets
    }

    #[test]
    fn a_commit_is_visible_only_when_it_is_durable_rule_2() {
        let mut offsets = offsets([commit(5, 0, 10)]);
        offsets.absorb(Offset(5));
        assert_eq!(offsets.get(&target(0)), None);
        offsets.absorb(Offset(6));
        assert_eq!(offsets.get(&target(0)), Some(&value(10)));
    }

    #[test]
    fn the_later_of_two_commits_in_the_log_wins_whoever_asks_first() {
        let mut offsets = offsets([commit(1, 0, 10), commit(2, 0, 7)]);
        offsets.absorb(Offset(9));
        assert_eq!(offsets.get(&target(0)), Some(&value(7)));
    }

    #[test]
    fn a_commit_made_visible_late_does_not_replace_one_whose_record_is_later() {
        // A transaction wrote at 1, somebody else at 2, and the transaction's marker is at 3.
        let of_transaction = Change { target: target(0), value: Some(value(10)), written: Offset(1) };
        let mut offsets = offsets([commit(2, 0, 20), (Offset(3), of_transaction)]);
        assert_eq!(offsets.latest().get(&target(0)).copied(), Some(&value(20)));
        offsets.absorb(Offset(4));
        assert_eq!(offsets.get(&target(0)), Some(&value(20)));
    }

    #[test]
    fn latest_is_what_will_be_there_when_everything_is_durable() {
        let mut offsets = offsets([commit(0, 0, 1), commit(1, 1, 1), tombstone(2, 1), commit(3, 2, 3)]);
        offsets.absorb(Offset(2));
        let targets = |offsets: &GroupOffsets| offsets.latest().into_keys().cloned().collect::<Vec<_>>();
        assert_eq!(targets(&offsets), [target(0), target(2)]);
        assert!(offsets.has_waiting_commit());
        offsets.absorb(Offset(4));
        assert_eq!(targets(&offsets), [target(0), target(2)]);
        assert!(!offsets.has_waiting_commit() && !offsets.is_empty());
    }
}
