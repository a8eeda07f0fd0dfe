//! The verbs of groups: a thin step to the coordinator, which decides. Each takes the permits that Kafka asks for the request
//! of that name, and no group or topic is reached without one.

use super::{Engine, topics};
use crate::auth::{Describe, Granted, Group, Read};
use crate::context::{Context, Source};
use crate::coordinator::group::{
    CommitFrom, CommittedOffset, GroupDescription, GroupError, GroupListing, JoinAnswer, JoinRequest, LeavingMember,
    Membership, OffsetToCommit, StableOffset, SyncAnswer, SyncRequest,
};
use crate::ids::{LeaderEpoch, Offset, PartitionId, TopicName, TopicPartition};
use crate::memory::Owner;
use crate::refusals::RefusalClass;

/// The offsets of one topic in a commit.
#[derive(Clone, Debug)]
pub struct CommitTopic {
    /// The topic.
    pub topic: Granted<Read, TopicName>,
    /// One a partition.
    pub partitions: Vec<CommitPartition>,
}

/// The offset of one partition in a commit.
#[derive(Clone, Debug)]
pub struct CommitPartition {
    /// Its number.
    pub partition: PartitionId,
    /// The next offset to read.
    pub offset: Offset,
    /// The leader epoch of the last record consumed.
    pub epoch: Option<LeaderEpoch>,
    /// The client's own text.
    pub metadata: Option<String>,
}

/// The committed offset of one partition; `None` where nothing is committed.
pub(crate) type Committed = (TopicPartition, Option<CommittedOffset>);

/// The partitions of one topic that are asked for.
type AskedPartitions = (Granted<Describe, TopicName>, Vec<PartitionId>);

impl Engine {
    /// Joins the group of the permit; returns when its join phase has ended.
    ///
    /// # Errors
    /// The coordinator's.
    pub(crate) async fn join_group(
        &self,
        ctx: &Context,
        group: Granted<Read, Group>,
        request: JoinRequest,
    ) -> Result<JoinAnswer, GroupError> {
        let joined = self.groups.join(JoinRequest { group: group.resource().id().to_owned(), ..request }).await;
        joined.inspect_err(|error| self.note_refused(ctx, error))
    }

    /// Hands the leader's assignments in and returns this member's own.
    ///
    /// # Errors
    /// The coordinator's.
    pub(crate) async fn sync_group(
        &self,
        ctx: &Context,
        group: Granted<Read, Group>,
        request: SyncRequest,
    ) -> Result<SyncAnswer, GroupError> {
        let synced = self.groups.sync(SyncRequest { group: group.resource().id().to_owned(), ..request }).await;
        synced.inspect_err(|error| self.note_refused(ctx, error))
    }

    /// A sign of life of one member.
    ///
    /// # Errors
    /// The coordinator's; `RebalanceInProgress` asks the member to join again.
    pub(crate) async fn heartbeat(&self, group: &Granted<Read, Group>, who: &Membership) -> Result<(), GroupError> {
        self.groups.heartbeat(group.resource().id(), who).await
    }

    /// Members leave; one outcome each, in order.
    ///
    /// # Errors
    /// The coordinator's.
    pub(crate) async fn leave_group(
        &self,
        group: &Granted<Read, Group>,
        leaving: &[LeavingMember],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.groups.leave(group.resource().id(), leaving).await
    }

    /// One group with its members.
    ///
    /// # Errors
    /// `NotFound`, and the coordinator's.
    pub(crate) fn describe_group(&self, group: &Granted<Describe, Group>) -> Result<GroupDescription, GroupError> {
        self.groups.describe(group.resource().id())
    }

    /// Every wanted group that the caller may describe, in no order.
    pub(crate) async fn list_groups(&self, ctx: &Context, wanted: impl Fn(&GroupListing) -> bool) -> Vec<GroupListing> {
        let may_see = |group: &GroupListing| self.auth.ask::<Describe, _>(ctx, Group::named(&group.group)).is_ok();
        self.groups.list(|group| wanted(group) && may_see(group)).await
    }

    /// Commits offsets; durable when this returns. One outcome a partition, in the order of the request.
    ///
    /// # Errors
    /// The coordinator's, for the commit as a whole.
    pub async fn commit_offsets(
        &self,
        ctx: &Context,
        group: &Granted<Read, Group>,
        who: &Membership,
        topics: Vec<CommitTopic>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let offsets = topics.into_iter().flat_map(|CommitTopic { topic, partitions }| {
            let topic = topic.into_resource();
            partitions.into_iter().map(move |part| OffsetToCommit {
                target: TopicPartition { topic: topic.clone(), partition: part.partition },
                offset: part.offset,
                epoch: part.epoch,
                metadata: part.metadata,
            })
        });
        let from = match ctx.source() {
            // Over HTTP without a generation: whoever sets a group's offsets from outside.
            Source::Http if who.generation.is_none() => CommitFrom::Outside,
            Source::Http | Source::Kafka | Source::Internal => CommitFrom::Member,
        };
        let committed = self.groups.commit(from, group.resource().id(), who, offsets.collect(), &Owner::of(ctx)).await;
        let refused = match &committed {
            Ok(outcomes) => {
                outcomes.iter().find_map(|one| one.as_ref().err().filter(|error| class_of(error).is_some()))
            }
            Err(error) => Some(error),
        };
        refused.into_iter().for_each(|error| self.note_refused(ctx, error));
        committed
    }

    /// What the group has committed for these partitions, in their order.
    ///
    /// # Errors
    /// The coordinator's.
    pub(crate) async fn committed_offsets(
        &self,
        group: &Granted<Describe, Group>,
        topics: &[AskedPartitions],
    ) -> Result<Vec<Committed>, GroupError> {
        self.groups.committed(group.resource().id(), Some(&targets(topics))).await
    }

    /// What the group has committed for these partitions (`None`: for all that the caller may describe), commits on their way
    /// included; it waits for them.
    ///
    /// # Errors
    /// The coordinator's.
    pub(crate) async fn stable_offsets(
        &self,
        ctx: &Context,
        group: &Granted<Describe, Group>,
        topics: Option<&[AskedPartitions]>,
    ) -> Result<Vec<(TopicPartition, StableOffset)>, GroupError> {
        let asked = topics.map(targets);
        let mut found = self.groups.stable_offsets(group.resource().id(), asked.as_deref()).await?;
        if topics.is_none() {
            found.retain(|(target, _)| self.auth.ask::<Describe, _>(ctx, target.topic.clone()).is_ok());
        }
        Ok(found)
    }

    /// Everything that the group has committed, of the topics that the caller may describe.
    ///
    /// # Errors
    /// The coordinator's.
    pub async fn all_committed_offsets(
        &self,
        ctx: &Context,
        group: &Granted<Describe, Group>,
    ) -> Result<Vec<Committed>, GroupError> {
        let mut all = self.groups.committed(group.resource().id(), None).await?;
        all.retain(|(target, _)| self.auth.ask::<Describe, _>(ctx, target.topic.clone()).is_ok());
        Ok(all)
    }

    fn note_refused(&self, ctx: &Context, error: &GroupError) {
        // The gateway notes what it answers.
        if let Some(class) = class_of(error)
            && ctx.source() != Source::Http
        {
            self.refusals.note(class, ctx, error);
        }
    }
}

/// What has met a bound of the broker, and not a rule of the protocol.
fn class_of(error: &GroupError) -> Option<RefusalClass> {
    match error {
        GroupError::OverShare(_) => Some(RefusalClass::MemoryState),
        GroupError::Full { .. } | GroupError::MembersTooLarge { .. } => Some(RefusalClass::Groups),
        GroupError::TooLarge { .. } | GroupError::MetadataTooLarge { .. } => Some(RefusalClass::TooLarge),
        GroupError::Topic(error) => topics::class_of(error),
        _ => None,
    }
}

fn targets(topics: &[AskedPartitions]) -> Vec<TopicPartition> {
    let of_topic = |(topic, partitions): &AskedPartitions| {
        let topic = topic.resource().clone();
        partitions.iter().map(move |partition| TopicPartition { topic: topic.clone(), partition: *partition }).collect()
    };
    topics.iter().flat_map::<Vec<TopicPartition>, _>(of_topic).collect()
}
