//! OffsetCommit and OffsetFetch as commands of a shard, and the offsets that are removed: with their topic (rule 16) or
//! with time. The offsets of one command are one batch, for one group or for many.

use std::sync::Arc;

use super::error::GroupError;
use super::expire;
use super::machine::{GroupMachine, GroupTimer};
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

/// A part of the tombstones that a command wants; the rest needs another command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    More,
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

    /// Tombstones for the offsets of a deleted topic in every group of this shard, as many as a batch takes.
    pub(super) fn forget_topic(&mut self, topic: &TopicName, id: TopicId) -> Outcome<GroupMachine, Progress> {
        // A topic of that name may have been created since, and have commits of its own.
        let ours = |target: &TopicPartition, value: &CommittedOffset| {
            target.topic == *topic && value.topic_id.is_none_or(|of| of == id)
        };
        let mut batch = Tombstones::default();
        for (id, group) in &self.groups {
            for (target, _) in group.offsets.latest().into_iter().filter(|(target, value)| ours(target, value)) {
                batch.offset(id, target.clone());
            }
        }
        let progress = batch.progress();
        let mut plan = Plan::nothing();
        plan.records = batch.records;
        Outcome::new(progress, plan)
    }

    /// Retention: tombstones for offsets that nobody has used for so long, and for groups of which nothing is left.
    /// Nobody waits for them: what a crash takes back expires again.
    pub(super) fn expire(&mut self, now: Now) -> Plan<GroupMachine> {
        let mut batch = Tombstones::default();
        for (id, group) in &self.groups {
            let latest = group.offsets.latest();
            let stale = latest.into_iter().filter(|(target, value)| self.is_stale(target, value));
            let stale: Vec<TopicPartition> = stale.map(|(target, _)| target.clone()).collect();
            if !stale.is_empty() {
                stale.into_iter().for_each(|target| batch.offset(id, target));
                continue;
            }
            let expired = expire::expired(&group.classic, &group.offsets, self.setting.retention, now.wall);
            expired.offsets.into_iter().for_each(|target| batch.offset(id, target));
            if expired.group && group.stored.is_some() {
                batch.group(id);
            }
        }
        let next = match batch.progress() {
            Progress::Done => now.mono + limits::OFFSETS_RETENTION_CHECK,
            Progress::More => now.mono + limits::TOMBSTONE_BATCHES_PAUSE,
        };
        let mut plan = Plan::nothing();
        plan.records = batch.records;
        plan.set(GroupTimer::Retention, Some(next));
        for id in self.groups.keys().cloned().collect::<Vec<_>>() {
            self.settle(&id, &mut plan);
        }
        plan
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
    fn offset(&mut self, group: &Arc<str>, target: TopicPartition) {
        if self.takes(group.len() + target.topic.as_str().len()) {
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

    fn progress(&self) -> Progress {
        if self.left_out { Progress::More } else { Progress::Done }
    }
}
