//! A group's committed offsets in memory, pure. A change is visible only once its record is durable (rule 2): it waits
//! here in the order of the log and is taken over when the high watermark has passed it. A read therefore waits for
//! nothing and never shows what a crash could take back; so does Kafka's OffsetFetch, which reads the snapshot at the
//! high watermark.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;

use super::payer::{self, Paid};
use super::requests::CommittedOffset;
use crate::ids::{Offset, PartitionId, TopicName, TopicPartition};
use crate::memory::StatePermit;

/// A record of one target: a commit, or with `None` a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) target: TopicPartition,
    pub(super) value: Option<CommittedOffset>,
    pub(super) paid: Paid,
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

/// The last commit of each target.
type Durable = BTreeMap<TopicPartition, Kept>;

const _: () = assert!(size_of::<(TopicPartition, Kept)>() + size_of::<StatePermit>() + 64 <= payer::OFFSET_BYTES);

/// A commit, the offset of its record, and what it has been paid with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    written: Offset,
    value: CommittedOffset,
    paid: Paid,
}

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
        self.durable.get(target).map(|kept| &kept.value)
    }

    /// Durable.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.durable.iter().map(|(target, kept)| (target, &kept.value))
    }

    /// A commit is appended that is not visible yet.
    pub(super) fn has_waiting_commit(&self) -> bool {
        self.waiting.iter().any(|(_, change)| change.value.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.durable.is_empty() && self.waiting.is_empty()
    }

    /// Targets of the changes that are appended and not visible yet.
    pub(super) fn on_their_way(&self) -> HashSet<&TopicPartition> {
        self.waiting.iter().map(|(_, change)| &change.target).collect()
    }

    /// Durable, those behind this one, in order.
    pub(super) fn durable_after(
        &self,
        after: Option<&TopicPartition>,
    ) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.durable.range((from, Bound::Unbounded)).map(|(target, kept)| (target, &kept.value))
    }

    /// What will be there when everything that waits is durable.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.with_waiting(self.durable.iter(), |_| true)
    }

    /// `latest`, one target at a time.
    pub(super) fn latest_by_target<'a>(&'a self) -> impl Fn(&TopicPartition) -> Option<&'a CommittedOffset> {
        let changed = self.changed(|_| true);
        move |target| match changed.get(target) {
            Some(latest) => latest.map(|last| last.value),
            None => self.get(target),
        }
    }

    /// What the last commit of a target, on its way or not, has been paid with.
    pub(super) fn paid_by_target<'a>(&'a self) -> impl Fn(&TopicPartition) -> Option<&'a Paid> {
        let changed = self.changed(|_| true);
        move |target| match changed.get(target) {
            Some(latest) => latest.map(|last| last.paid),
            None => self.durable.get(target).map(|kept| &kept.paid),
        }
    }

    /// The part of `latest` that is of one topic. Costs nothing for the offsets of other topics that are durable.
    pub(super) fn latest_of<'a>(
        &'a self,
        topic: &'a TopicName,
    ) -> impl Iterator<Item = (&'a TopicPartition, &'a CommittedOffset)> {
        let ours = |target: &TopicPartition| target.topic == *topic;
        let first = TopicPartition { topic: topic.clone(), partition: PartitionId(0) };
        self.with_waiting(self.durable.range(first..).take_while(move |(target, _)| ours(target)), ours)
    }

    /// Those of `durable` that nothing is on its way for, then those that the changes on their way make.
    fn with_waiting<'a>(
        &'a self,
        durable: impl Iterator<Item = (&'a TopicPartition, &'a Kept)>,
        wanted: impl Fn(&TopicPartition) -> bool,
    ) -> impl Iterator<Item = (&'a TopicPartition, &'a CommittedOffset)> {
        let changed = self.changed(wanted);
        let made: Vec<_> =
            changed.iter().filter_map(|(target, latest)| latest.map(|last| (*target, last.value))).collect();
        let unchanged = durable.filter(move |(target, _)| !changed.contains_key(target));
        unchanged.map(|(target, kept)| (target, &kept.value)).chain(made)
    }

    /// What each wanted target that a change is on its way for will have.
    fn changed(&self, wanted: impl Fn(&TopicPartition) -> bool) -> Changed<'_> {
        let mut changed = Changed::new();
        for (_, Change { target, value, paid, written }) in
            self.waiting.iter().filter(|(_, change)| wanted(&change.target))
        {
            let durable = || self.durable.get(target).map(Kept::seen);
            let latest = changed.entry(target).or_insert_with(durable);
            match value {
                None => *latest = None,
                Some(value) if counts(latest.map(|last| last.written), *written) => {
                    *latest = Some(Seen { written: *written, value, paid });
                }
                Some(_) => {}
            }
        }
        changed
    }
}

/// The last change of each target.
type Changed<'a> = BTreeMap<&'a TopicPartition, Option<Seen<'a>>>;

/// What `Kept` will be.
#[derive(Clone, Copy)]
struct Seen<'a> {
    written: Offset,
    value: &'a CommittedOffset,
    paid: &'a Paid,
}

impl Kept {
    fn seen(&self) -> Seen<'_> {
        Seen { written: self.written, value: &self.value, paid: &self.paid }
    }
}

fn apply(offsets: &mut Durable, Change { target, value, paid, written }: Change) {
    match value {
        None => drop(offsets.remove(&target)),
        Some(value) if counts(offsets.get(&target).map(|before| before.written), written) => {
            offsets.insert(target, Kept { written, value, paid });
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
    use crate::ids::TimestampMs;

    fn target(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicName::new("t").expect("a topic name"), partition: PartitionId(partition) }
    }

    fn value(offset: i64) -> CommittedOffset {
        let (epoch, metadata, committed_at, topic_id) = (None, String::new(), TimestampMs(0), None);
        CommittedOffset { offset: Offset(offset), epoch, metadata, committed_at, topic_id }
    }

    fn commit(at: i64, partition: i32, offset: i64) -> (Offset, Change) {
        (
            Offset(at),
            Change {
                target: target(partition),
                value: Some(value(offset)),
                paid: Paid::default(),
                written: Offset(at),
            },
        )
    }

    fn tombstone(at: i64, partition: i32) -> (Offset, Change) {
        (Offset(at), Change { target: target(partition), value: None, paid: Paid::default(), written: Offset(at) })
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
        let of_transaction =
            Change { target: target(0), value: Some(value(10)), paid: Paid::default(), written: Offset(1) };
        let mut offsets = offsets([commit(2, 0, 20), (Offset(3), of_transaction)]);
        assert_eq!(offsets.latest().collect::<Vec<_>>(), [(&target(0), &value(20))]);
        offsets.absorb(Offset(4));
        assert_eq!(offsets.get(&target(0)), Some(&value(20)));
    }

    #[test]
    fn latest_is_what_will_be_there_when_everything_is_durable() {
        let mut offsets = offsets([commit(0, 0, 1), commit(1, 1, 1), tombstone(2, 1), commit(3, 2, 3)]);
        offsets.absorb(Offset(2));
        let targets = |offsets: &GroupOffsets| offsets.latest().map(|(target, _)| target.clone()).collect::<Vec<_>>();
        assert_eq!(targets(&offsets), [target(0), target(2)]);
        assert!(offsets.has_waiting_commit());
        offsets.absorb(Offset(4));
        assert_eq!(targets(&offsets), [target(0), target(2)]);
        assert!(!offsets.has_waiting_commit() && !offsets.is_empty());
    }

    #[test]
    fn the_latest_of_one_topic_is_that_part_of_all() {
        let of = |topic: &str, partition| TopicPartition {
            topic: TopicName::new(topic).expect("a topic name"),
            partition: PartitionId(partition),
        };
        let put = |at: i64, target: &TopicPartition, offset: Option<i64>| {
            let change =
                Change { target: target.clone(), value: offset.map(value), paid: Paid::default(), written: Offset(at) };
            (Offset(at), change)
        };
        let (before, ours, after) = (of("s", 0), [of("t", 0), of("t", 1), of("t", 2)], of("u", 0));
        let mut offsets = offsets([
            put(0, &before, Some(1)),
            put(1, &ours[0], Some(1)),
            put(2, &ours[1], Some(1)),
            put(3, &after, Some(1)),
            put(4, &ours[0], None),
            put(5, &ours[2], Some(3)),
            put(6, &after, Some(9)),
        ]);
        for hw in [0, 4, 7] {
            offsets.absorb(Offset(hw));
            let latest: BTreeMap<_, _> = offsets.latest_of(&ours[0].topic).collect();
            assert_eq!(latest, BTreeMap::from([(&ours[1], &value(1)), (&ours[2], &value(3))]), "at {hw}");
        }
    }
}
