//! OffsetCommit and OffsetFetch as commands of a shard, and the offsets that are removed: with their topic (rule 16) or
//! with time. The offsets of one command are one batch, for one group or for many.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::error::GroupError;
use super::expire;
use super::machine::{Group, GroupMachine, GroupTimer};
use super::members::unknown;
use super::records::GroupRecord;
use super::requests::{CommitFrom, CommittedOffset, GroupState, Membership, OffsetToCommit};
use crate::coordinator::machine::{Now, Outcome, Plan};
use crate::ids::{Generation, TopicId, TopicName, TopicPartition};
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
        now: Now,
    ) -> Outcome<GroupMachine, Result<CommitOutcomes, GroupError>> {
        let mut plan = Plan::nothing();
        let answer = self.try_commit(from, group, who, offsets, now, &mut plan);
        Outcome::new(answer, plan)
    }

    fn try_commit(
        &mut self,
        from: CommitFrom,
        group: &str,
        who: &Membership,
        offsets: Vec<OffsetToCommit>,
        now: Now,
        plan: &mut Plan<GroupMachine>,
    ) -> Result<CommitOutcomes, GroupError> {
        self.check_running()?;
        let id = match (self.find(group), who.generation) {
            (Some(id), _) => id,
            // A consumer without membership makes a simple group.
            (None, None) => self.find_or_create(group, now)?,
            (None, Some(asked)) => {
                let current = Generation(0);
                return Err(GroupError::IllegalGeneration { group: group.to_owned(), asked, current });
            }
        };
        let checked = self.check_commit(from, &id, who, now);
        let outcomes = checked.map(|()| offsets.into_iter().map(|offset| self.add(&id, offset, now, plan)).collect());
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

    fn add(
        &self,
        id: &Arc<str>,
        offset: OffsetToCommit,
        now: Now,
        plan: &mut Plan<GroupMachine>,
    ) -> Result<(), GroupError> {
        let topic_id = Some(self.check_offset(&offset)?);
        let OffsetToCommit { target, offset, epoch, metadata } = offset;
        let (metadata, committed_at) = (metadata.unwrap_or_default(), now.wall);
        let value = Some(CommittedOffset { offset, epoch, metadata, committed_at, topic_id });
        plan.records.push(GroupRecord::Offset { group: Arc::clone(id), target, value });
        Ok(())
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

    /// Of a topic that is deleted or recreated: a crash or a full disk may have come before its tombstone.
    fn is_stale(&self, target: &TopicPartition, value: &CommittedOffset) -> bool {
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
            batch.offsets(id, targets.map(|(target, _)| target.clone()));
            1
        });
        let mut plan = Plan::nothing();
        plan.records = batch.records;
        Outcome::new(progress, plan)
    }

    /// Retention: tombstones for offsets that nobody has used for so long, and for groups of which nothing is left.
    /// Nobody waits for them: what a crash takes back expires again. A shard of many offsets takes several commands.
    pub(super) fn expire(&mut self, now: Now) -> Plan<GroupMachine> {
        let (from, mut batch, mut seen) = (self.retention_from.take(), Tombstones::default(), Vec::new());
        let progress = self.sweep(from.as_deref(), &mut batch, |id, group, batch| {
            self.expire_group(id, group, now, batch);
            seen.push(Arc::clone(id));
            1 + group.offsets.len()
        });
        let next = match progress {
            Progress::Done => now.mono + limits::OFFSETS_RETENTION_CHECK,
            Progress::More { from } => {
                self.retention_from = Some(from);
                now.mono + if batch.records.is_empty() { Duration::ZERO } else { limits::TOMBSTONE_BATCHES_PAUSE }
            }
        };
        let mut plan = Plan::nothing();
        plan.records = batch.records;
        plan.set(GroupTimer::Retention, Some(next));
        seen.iter().for_each(|id| self.settle(id, &mut plan));
        plan
    }

    fn expire_group(&self, id: &Arc<str>, group: &Group, now: Now, batch: &mut Tombstones) {
        // A tombstone would take what an open transaction has written with it.
        let goes = |target: &TopicPartition, value: &CommittedOffset| {
            self.is_stale(target, value) && !self.transactions.holds(id, target)
        };
        let stale = group.offsets.latest().filter(|(target, value)| goes(target, value));
        let mut stale = stale.map(|(target, _)| target.clone()).peekable();
        if stale.peek().is_some() {
            return batch.offsets(id, stale);
        }
        let expired = expire::expired(id, group, &self.transactions, self.setting.retention, now.wall);
        batch.offsets(id, expired.offsets);
        if expired.group && group.stored.is_some() {
            batch.group(id);
        }
    }

    /// Goes over the groups from `from` on, until the batch is full or enough has been looked at for one command under
    /// the shard's lock. `each` returns how much it has looked at.
    fn sweep(
        &self,
        from: Option<&str>,
        batch: &mut Tombstones,
        mut each: impl FnMut(&Arc<str>, &Group, &mut Tombstones) -> usize,
    ) -> Progress {
        let mut looked_at = 0;
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        for (id, group) in self.groups.range::<str, _>((from, Bound::Unbounded)) {
            if looked_at < limits::SWEEP_OFFSETS_MAX {
                looked_at += each(id, group, batch);
            } else {
                return Progress::More { from: Arc::clone(id) };
            }
            // Of this group something may be left.
            if batch.left_out {
                return Progress::More { from: Arc::clone(id) };
            }
        }
        Progress::Done
    }
}

/// Tombstones of one batch: what does not fit is left out, and for the next one.
#[derive(Debug, Default)]
struct Tombstones {
    records: Vec<GroupRecord>,
    bytes: usize,
    left_out: bool,
}

impl Tombstones {
    /// Stops at the first one that does not fit.
    fn offsets(&mut self, group: &Arc<str>, targets: impl IntoIterator<Item = TopicPartition>) {
        for target in targets {
            if !self.takes(group.len() + target.topic.as_str().len()) {
                return;
            }
            self.records.push(GroupRecord::Offset { group: Arc::clone(group), target, value: None });
        }
    }

    /// A group's tombstone comes after those of its offsets, so it is left out if one of them was.
    fn group(&mut self, group: &Arc<str>) {
        if self.takes(group.len()) {
            self.records.push(GroupRecord::Group { group: Arc::clone(group), value: None });
        }
    }

    fn takes(&mut self, name_bytes: usize) -> bool {
        self.bytes += name_bytes;
        self.left_out |= self.records.len() >= limits::TOMBSTONES_PER_BATCH
            || !self.records.is_empty() && self.bytes > limits::TOMBSTONE_NAMES_BYTES_MAX;
        !self.left_out
    }
}
