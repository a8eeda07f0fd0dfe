//! OffsetCommit and OffsetFetch, and the offsets that go: with their topic (rule 16) or with time. The commits of one
//! request are one batch; they are answered, and shown, only when it is durable (rule 2).

use super::classic::Now;
use super::error::GroupError;
use super::expire;
use super::offsets::Change;
use super::records;
use super::runtime::{Groups, Inner, Written, check_id};
use super::verbs::{CommittedOffset, GroupState, Membership, OffsetToCommit};
use crate::context::{Context, Source};
use crate::ids::{Generation, TopicId, TopicName, TopicPartition};
use crate::limits;
use crate::record::Message;

/// One outcome an offset, and what of them was appended.
type Outcomes = (Vec<Result<(), GroupError>>, Option<Written>);

impl Groups {
    /// OffsetCommit: one outcome an offset, in order. From the gateway nobody may commit while the group has members.
    ///
    /// # Errors
    /// Of the whole request: about the membership or the log.
    pub async fn commit(
        &self,
        ctx: &Context,
        group: &str,
        who: &Membership,
        offsets: Vec<OffsetToCommit>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        check_id(group)?;
        self.home(group).await?;
        let (outcomes, written) = self.append_commit(ctx, group, who, offsets)?;
        if let Some(written) = written {
            written.durable().await?;
        }
        Ok(outcomes)
    }

    fn append_commit(
        &self,
        ctx: &Context,
        group: &str,
        who: &Membership,
        offsets: Vec<OffsetToCommit>,
    ) -> Result<Outcomes, GroupError> {
        // A group that lost its last record between two steps is looked up once more.
        loop {
            let cell = match (self.find(group), who.generation) {
                (Some(cell), _) => cell,
                // A consumer without membership makes a simple group.
                (None, None) => self.find_or_make(group)?,
                (None, Some(asked)) => {
                    let current = Generation(0);
                    return Err(GroupError::IllegalGeneration { group: group.to_owned(), asked, current });
                }
            };
            let Some(mut inner) = cell.enter() else { continue };
            self.check_running()?;
            let outcome = self.commit_to(ctx, &cell.id, &mut inner, who, offsets);
            self.settle(&cell, &mut inner);
            return outcome;
        }
    }

    fn commit_to(
        &self,
        ctx: &Context,
        group: &str,
        inner: &mut Inner,
        who: &Membership,
        offsets: Vec<OffsetToCommit>,
    ) -> Result<Outcomes, GroupError> {
        let now = self.now();
        let nobody = who.generation.is_none() && who.member.is_empty();
        if ctx.source() == Source::Http && nobody && inner.classic.state() != GroupState::Empty {
            return Err(GroupError::NotEmpty { group: group.to_owned() });
        }
        inner.classic.check_commit(who, now)?;
        let mut outcomes = Vec::with_capacity(offsets.len());
        let mut changes: Vec<Change> = Vec::with_capacity(offsets.len());
        for wish in offsets {
            let outcome = self.check_offset(&wish).map(|topic| {
                let OffsetToCommit { target, offset, epoch, metadata } = wish;
                let (metadata, committed_at, topic_id) = (metadata.unwrap_or_default(), now.wall, Some(topic));
                changes.push((target, Some(CommittedOffset { offset, epoch, metadata, committed_at, topic_id })));
            });
            outcomes.push(outcome);
        }
        let written = if changes.is_empty() { None } else { Some(self.append_changes(group, inner, changes, now)?) };
        Ok((outcomes, written))
    }

    /// Under the group's lock, so that a topic deleted meanwhile either refuses the commit or forgets it (rule 16).
    fn check_offset(&self, wish: &OffsetToCommit) -> Result<TopicId, GroupError> {
        if wish.metadata.as_ref().is_some_and(|text| text.len() > limits::COMMIT_METADATA_BYTES_MAX) {
            return Err(GroupError::MetadataTooLarge { limit: limits::COMMIT_METADATA_BYTES_MAX });
        }
        let topic = self.catalog.topic(wish.target.topic.as_str())?;
        topic.partition(wish.target.partition)?;
        Ok(topic.id())
    }

    fn append_changes(
        &self,
        group: &str,
        inner: &mut Inner,
        changes: Vec<Change>,
        now: Now,
    ) -> Result<Written, GroupError> {
        let message = |(target, value): &Change| Message {
            key: Some(records::offset_key(group, target)),
            value: value.as_ref().map(records::offset_value),
            ..Message::default()
        };
        let messages: Vec<Message> = changes.iter().map(message).collect();
        let written = self.append(group, &messages, now)?;
        inner.offsets.appended(written.end, changes);
        Ok(written)
    }

    /// OffsetFetch. `None`: everything the group has committed. A partition without a commit answers `None`; so does one
    /// whose topic has been deleted, or deleted and made anew, since (rule 16).
    ///
    /// # Errors
    /// `InvalidGroupId`; the log's error for a group whose partition cannot be read.
    pub async fn committed(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>, GroupError> {
        check_id(group)?;
        let home = self.readable(group)?;
        let cell = self.find(group);
        let mut inner = cell.as_ref().and_then(|cell| cell.enter());
        if let (Some(inner), Some(home)) = (&mut inner, home) {
            inner.offsets.absorb(home.offsets().hw);
        }
        let offsets = inner.as_ref().map(|inner| &inner.offsets);
        Ok(match partitions {
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
        })
    }

    /// Of a topic that is gone, or has the name of one: a crash or a full disk may have come before its tombstone.
    fn is_stale(&self, target: &TopicPartition, value: &CommittedOffset) -> bool {
        match self.catalog.topic(target.topic.as_str()) {
            Ok(topic) => value.topic_id.is_some_and(|id| id != topic.id()),
            Err(_) => true,
        }
    }

    /// Rule 16: tombstones for every committed offset of a deleted topic, durable when this returns. Call it when the topic
    /// can no longer be found.
    ///
    /// # Errors
    /// The log's; groups that could be written to have forgotten the topic. The others show nothing of it either, and write
    /// their tombstones when offsets expire.
    pub async fn forget_topic(&self, topic: &TopicName, id: TopicId) -> Result<(), GroupError> {
        let mut last: Vec<Written> = Vec::new();
        let mut failed = None;
        for cell in self.all() {
            let Some(mut inner) = cell.enter() else { continue };
            // A topic of that name may have been made since, and have commits of its own.
            let ours = |target: &TopicPartition, value: &CommittedOffset| {
                target.topic == *topic && value.topic_id.is_none_or(|of| of == id)
            };
            let gone = inner.offsets.targets(ours);
            match self.forget(&cell.id, &mut inner, gone, self.now()) {
                Ok(written) => last.extend(written),
                Err(error) => failed = Some(error),
            }
        }
        for written in last {
            written.durable().await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Tombstones, in batches; where the last one went.
    fn forget(
        &self,
        group: &str,
        inner: &mut Inner,
        gone: Vec<TopicPartition>,
        now: Now,
    ) -> Result<Option<Written>, GroupError> {
        let mut last = None;
        for some in gone.chunks(limits::TOMBSTONES_PER_BATCH) {
            let changes = some.iter().map(|target| (target.clone(), None)).collect();
            last = Some(self.append_changes(group, inner, changes, now)?);
        }
        Ok(last)
    }

    /// Retention: offsets that nobody has used for so long get tombstones, and so does a group of which nothing is left.
    /// Nobody waits for it: what a crash takes back expires again.
    pub(super) fn expire_offsets(&self, now: Now) {
        for cell in self.all() {
            let Some(mut inner) = cell.enter() else { continue };
            let Ok(Some(home)) = self.readable(&cell.id) else { continue };
            inner.offsets.absorb(home.offsets().hw);
            let stale = inner.offsets.targets(|target, value| self.is_stale(target, value));
            if let Err(error) = self.forget(&cell.id, &mut inner, stale, now) {
                tracing::warn!(group = %cell.id, "offsets of deleted topics could not be removed: {error}");
            }
            let expired = expire::expired(&inner.classic, &inner.offsets, self.retention, now.wall);
            if let Err(error) = self.expire(&cell.id, &mut inner, expired, now) {
                tracing::warn!(group = %cell.id, "expired offsets could not be removed: {error}");
            }
            self.settle(&cell, &mut inner);
        }
    }

    fn expire(&self, group: &str, inner: &mut Inner, expired: expire::Expired, now: Now) -> Result<(), GroupError> {
        self.forget(group, inner, expired.offsets, now)?;
        if expired.group && inner.stored {
            let tombstone = Message { key: Some(records::group_key(group)), ..Message::default() };
            self.append(group, &[tombstone], now)?;
            inner.stored = false;
        }
        Ok(())
    }
}
