//! A group's committed offsets, read and written from outside: by somebody who is no member of it.

use super::{Context, Door, DoorError};
use crate::auth::Group;
use crate::engine::groups::{CommitPartition, CommitTopic};
use crate::ids::TopicPartition;

pub use crate::coordinator::group::{CommittedOffset, GroupError, Membership, OffsetToCommit};

impl Door {
    /// Everything that the group has committed; empty for a group that nobody has heard of.
    ///
    /// # Errors
    /// A group id that is none, a coordinator that is loading or stopping, a log that cannot be read.
    pub async fn group_offsets(
        &self,
        ctx: &Context,
        group: &str,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>, DoorError> {
        let all = self.engine.all_committed_offsets(ctx, &self.engine.auth().ask(ctx, Group::named(group))?).await?;
        Ok(all.into_iter().filter_map(|(target, committed)| Some((target, committed?))).collect())
    }

    /// Commits for the group; durable when this returns. One outcome an offset, in order: an unknown topic or partition is an
    /// error in its place.
    ///
    /// # Errors
    /// `GroupError::NotEmpty` while the group has members: theirs is the position, not ours. Else as `group_offsets`.
    pub async fn commit_group_offsets(
        &self,
        ctx: &Context,
        group: &str,
        offsets: Vec<OffsetToCommit>,
    ) -> Result<Vec<Result<(), DoorError>>, DoorError> {
        let auth = self.engine.auth();
        let group = auth.ask(ctx, Group::named(group))?;
        let commit = |offset: OffsetToCommit| {
            let OffsetToCommit { target, offset, epoch, metadata } = offset;
            let part = CommitPartition { partition: target.partition, offset, epoch, metadata };
            Ok(CommitTopic { topic: auth.ask(ctx, target.topic)?, partitions: vec![part] })
        };
        let topics = offsets.into_iter().map(commit).collect::<Result<_, DoorError>>()?;
        let outcomes = self.engine.commit_offsets(ctx, &group, &Membership::default(), topics).await?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(DoorError::from)).collect())
    }
}
