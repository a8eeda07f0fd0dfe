//! OffsetCommit and OffsetFetch as commands of a shard, and the offsets that are removed with their topic (rule 16). The
//! offsets of one command are one batch, for one group or for many.

use std::ops::Bound;
use std::sync::Arc;

use super::error::GroupError;
use super::machine::{Group, GroupMachine};
use super::members::unknown;
use super::payer::{Paid, Payer};
use super::records::{self, GroupRecord};
use super::requests::{CommitFrom, CommittedOffset, GroupState, Membership, OffsetToCommit, StableOffset};
use crate::coordinator::machine::{Now, Outcome, Plan};
use crate::ids::{TopicId, TopicName, TopicPartition};
use crate::limits;

/// One outcome an offset.
pub(super) type CommitOutcomes = Vec<Result<(), GroupError>>;

/// What a group has committed; of a partition without a commit `None`.
pub(super) type Committed = Vec<(TopicPartition, Option<CommittedOffset>)>;

/// How far a command has come that looks at all groups; the rest needs another command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    /// This group and those after it are left.
    More {
        from: Arc<str>,
    },
}

impl GroupMachine {
    pub(super) fn commit(
        &mut self,
        from: CommitFrom,
        group: &str,
        who: &Membership,
        offsets: Vec<OffsetToCommit>,
        payer: &Payer,
        now: Now,
    ) -> Outcome<GroupMachine, Result<CommitOutcomes, GroupError>> {
        let mut plan = Plan::nothing();
        let answer = self.try_commit(from, group, who, offsets, (payer, now), &mut plan);
        Outcome::new(answer, plan)
    }

    fn try_commit(
        &mut self,
        from: CommitFrom,
        group: &str,
        who: &Membership,
        offsets: Vec<OffsetToCommit>,
        (payer, now): (&Payer, Now),
        plan: &mut Plan<GroupMachine>,
    ) -> Result<CommitOutcomes, GroupError> {
        self.check_running()?;
        check_size(group, &offsets)?;
        let id = match (self.find(group), who.generation) {
            (Some(id), _) => id,
            // A consumer without membership makes a simple group.
            (None, None) => self.find_or_create(group, payer, now)?,
            (None, Some(_)) => return Err(GroupError::NotFound { group: group.to_owned() }),
        };
        let checked = self.check_commit(from, &id, who, now);
        let outcomes = checked.map(|()| self.add_all(&id, offsets, payer, now, plan));
        self.settle(&id, plan);
        outcomes
    }

    fn check_commit(&mut self, from: CommitFrom, id: &str, who: &Membership, now: Now) -> Result<(), GroupError> {
        let group = self.groups.get_mut(id).ok_or_else(|| unknown(id, &who.member))?;
        let nobody = who.generation.is_none() && who.member.is_empty();
        if from == CommitFrom::Outside && nobody && group.classic.state() != GroupState::Empty {
            return Err(GroupError::NotEmpty { group: id.to_owned() });
        }
        group.classic.check_commit(who, now)
    }

    fn add_all(
        &self,
        id: &Arc<str>,
        offsets: Vec<OffsetToCommit>,
        payer: &Payer,
        now: Now,
        plan: &mut Plan<GroupMachine>,
    ) -> CommitOutcomes {
        let paid = self.groups.get(id).map(|group| group.offsets.paid_by_target());
        let mut add = |offset: OffsetToCommit| {
            let topic_id = Some(self.check_offset(&offset)?);
            let OffsetToCommit { target, offset, epoch, metadata } = offset;
            let (metadata, committed_at) = (metadata.unwrap_or_default(), now.wall);
            let before = paid.as_ref().and_then(|paid| paid(&target));
            let paid = payer.commit(before, &target, &metadata)?;
            let value = Some(CommittedOffset { offset, epoch, metadata, committed_at, topic_id });
            plan.records.push(GroupRecord::Offset { group: Arc::clone(id), target, value, paid });
            Ok(())
        };
        offsets.into_iter().map(&mut add).collect()
    }

    /// Under the shard's lock, so that a topic deleted meanwhile either refuses the commit or removes it (rule 16).
    fn check_offset(&self, offset: &OffsetToCommit) -> Result<TopicId, GroupError> {
        if offset.metadata.as_ref().is_some_and(|text| text.len() > limits::COMMIT_METADATA_BYTES_MAX) {
            return Err(GroupError::MetadataTooLarge { limit: limits::COMMIT_METADATA_BYTES_MAX });
        }
        let topic = self.setting.catalog.topic(offset.target.topic.as_str())?;
        topic.partition(offset.target.partition)?;
        Ok(topic.id())
    }

    /// What is durable of the group's offsets, and not of a deleted or recreated topic (rule 16).
    pub(super) fn committed(&self, group: &str, partitions: Option<&[TopicPartition]>) -> Committed {
        let offsets = self.groups.get(group).map(|group| &group.offsets);
        match partitions {
            Some(asked) => {
                let value = |target: &TopicPartition| offsets.and_then(|offsets| offsets.get(target));
                let current =
                    |target: &TopicPartition| value(target).filter(|value| !self.is_stale(target, value)).cloned();
                asked.iter().map(|target| (target.clone(), current(target))).collect()
            }
            None => {
                let all = offsets.into_iter().flat_map(|offsets| offsets.iter());
                let all = all.filter(|(target, value)| !self.is_stale(target, value));
                all.map(|(target, value)| (target.clone(), Some(value.clone()))).collect()
            }
        }
    }

    /// What will be there when everything on its way is durable; the answer waits for that.
    pub(super) fn stable_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Outcome<GroupMachine, Vec<(TopicPartition, StableOffset)>> {
        let offsets = self.groups.get(group).map(|group| &group.offsets);
        let stable = |target: &TopicPartition, value: Option<&CommittedOffset>| {
            let offset = if self.transactions.holds(group, target) {
                StableOffset::Unstable
            } else {
                StableOffset::Is(value.filter(|value| !self.is_stale(target, value)).cloned())
            };
            (target.clone(), offset)
        };
        let found = match (partitions, offsets) {
            (Some(asked), Some(offsets)) => {
                let latest = offsets.latest_by_target();
                asked.iter().map(|target| stable(target, latest(target))).collect()
            }
            (Some(asked), None) => asked.iter().map(|target| stable(target, None)).collect(),
            (None, Some(offsets)) => {
                let current = |(target, value): &(&TopicPartition, &CommittedOffset)| !self.is_stale(target, value);
                offsets.latest().filter(current).map(|(target, value)| stable(target, Some(value))).collect()
            }
            (None, None) => Vec::new(),
        };
        Outcome::new(found, Plan::nothing())
    }

    /// Of a topic that is deleted or recreated: a crash or a full disk may have come before its tombstone.
    pub(super) fn is_stale(&self, target: &TopicPartition, value: &CommittedOffset) -> bool {
        match self.setting.catalog.topic(target.topic.as_str()) {
            Ok(topic) => value.topic_id.is_some_and(|id| id != topic.id()),
            Err(_) => true,
        }
    }

    /// Tombstones for the offsets of a deleted topic in the groups from `from` on, as many as a batch takes.
    pub(super) fn forget_topic(
        &mut self,
        topic: &TopicName,
        id: TopicId,
        from: Option<&str>,
    ) -> Outcome<GroupMachine, Progress> {
        // A topic of that name may have been created since, and have commits of its own.
        let ours = |value: &CommittedOffset| value.topic_id.is_none_or(|of| of == id);
        let mut batch = Tombstones::default();
        let progress = self.sweep(from, &mut batch, |id, group, batch| {
            let targets = group.offsets.latest_of(topic).filter(|(_, value)| ours(value));
            let _all = targets.map(|(target, _)| target).all(|target| batch.offset(id, target));
        });
        let mut plan = Plan::nothing();
        plan.records = batch.records;
        Outcome::new(progress, plan)
    }

    /// Goes over the groups from `from` on, until the batch is full or enough has been looked at for one command under
    /// the shard's lock.
    fn sweep(
        &self,
        from: Option<&str>,
        batch: &mut Tombstones,
        mut each: impl FnMut(&Arc<str>, &Group, &mut Tombstones),
    ) -> Progress {
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        for (looked_at, (id, group)) in self.groups.range::<str, _>((from, Bound::Unbounded)).enumerate() {
            if looked_at == limits::SWEEP_OFFSETS_MAX {
                return Progress::More { from: Arc::clone(id) };
            }
            each(id, group, batch);
            // Of this group something may be left.
            if batch.left_out {
                return Progress::More { from: Arc::clone(id) };
            }
        }
        Progress::Done
    }
}

/// The records of a commit are one batch, which the log must take. Asked before they are made: each repeats the group's
/// id, so a small request can have large ones.
fn check_size(group: &str, offsets: &[OffsetToCommit]) -> Result<(), GroupError> {
    let of_one = |offset: &OffsetToCommit| {
        let metadata = offset.metadata.as_ref().map_or(0, String::len);
        records::offset_bytes_max(group, &offset.target, metadata)
    };
    let (size, limit) = (offsets.iter().map(of_one).sum::<usize>(), limits::GROUP_BATCH_BYTES_MAX);
    if size > limit { Err(GroupError::TooLarge { size, limit }) } else { Ok(()) }
}

/// Tombstones of one batch: what does not fit is left out, and for the next one.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    pub(super) records: Vec<GroupRecord>,
    bytes: usize,
    left_out: bool,
}

impl Tombstones {
    /// `false`: the batch is full, and takes no more.
    pub(super) fn offset(&mut self, group: &Arc<str>, target: &TopicPartition) -> bool {
        let takes = self.takes(group.len() + target.topic.as_str().len());
        if takes {
            let (group, target) = (Arc::clone(group), target.clone());
            self.records.push(GroupRecord::Offset { group, target, value: None, paid: Paid::default() });
        }
        takes
    }

    /// A group's tombstone comes after those of its offsets.
    pub(super) fn group(&mut self, group: &Arc<str>) -> bool {
        let takes = self.takes(group.len());
        if takes {
            self.records.push(GroupRecord::Group { group: Arc::clone(group), value: None });
        }
        takes
    }

    fn takes(&mut self, name_bytes: usize) -> bool {
        self.bytes += name_bytes;
        self.left_out |= self.records.len() >= limits::TOMBSTONES_PER_BATCH
            || !self.records.is_empty() && self.bytes > limits::TOMBSTONE_NAMES_BYTES_MAX;
        !self.left_out
    }
}
