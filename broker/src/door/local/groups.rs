//! A group's committed offsets, read and written, mostly by a caller that is not a member of it.

use super::super::error::DoorError;
use super::super::groups::GroupOffset;
use super::Door;
use crate::auth::{Describe, Group, Read};
use crate::context::Context;
use crate::coordinator::group::Membership;
use crate::engine::groups::{CommitPartition, CommitTopic};

impl Door {
    /// Everything that the group has committed and that a reader can go on from; empty for an unknown group.
    ///
    /// # Errors
    /// An illegal group id, a coordinator that is loading or stopping, a log that cannot be read.
    pub async fn group_offsets(&self, ctx: &Context, group: &str) -> Result<Vec<GroupOffset>, DoorError> {
        let group = self.engine.auth().ask::<Describe, _>(ctx, Group::named(group))?;
        let all = self.engine.all_committed_offsets(ctx, &group).await?;
        let committed = all.into_iter().filter_map(|(target, committed)| {
            let committed = committed?;
            let offset = committed.position()?;
            Some(GroupOffset { target, offset, metadata: Some(committed.metadata) })
        });
        Ok(committed.collect())
    }

    /// Commits for the group; durable when this returns. One outcome an offset, in order: an unknown topic or partition is an
    /// error in its place.
    ///
    /// # Errors
    /// `NotEmpty` while the group has members: only they may commit. Else as `group_offsets`.
    pub async fn commit_group_offsets(
        &self,
        ctx: &Context,
        group: &str,
        offsets: Vec<GroupOffset>,
    ) -> Result<Vec<Result<(), DoorError>>, DoorError> {
        self.commit_as(ctx, group, &Membership::default(), offsets).await
    }

    /// As `commit_group_offsets`, for a member.
    pub(super) async fn commit_as(
        &self,
        ctx: &Context,
        group: &str,
        who: &Membership,
        offsets: Vec<GroupOffset>,
    ) -> Result<Vec<Result<(), DoorError>>, DoorError> {
        let auth = self.engine.auth();
        let group = auth.ask::<Read, _>(ctx, Group::named(group))?;
        let mut topics = Vec::with_capacity(offsets.len());
        let mut outcomes = Vec::with_capacity(offsets.len());
        for GroupOffset { target, offset, metadata } in offsets {
            let granted = auth.ask::<Read, _>(ctx, target.topic);
            outcomes.push(granted.map_err(DoorError::from).map(|topic| {
                let partition = CommitPartition { partition: target.partition, offset, epoch: None, metadata };
                topics.push(CommitTopic { topic, partitions: vec![partition] });
            }));
        }
        let committed = self.engine.commit_offsets(ctx, &group, who, topics).await?;
        let granted = outcomes.iter_mut().filter(|outcome| outcome.is_ok());
        for (outcome, committed) in granted.zip(committed) {
            *outcome = committed.map_err(DoorError::from);
        }
        Ok(outcomes)
    }
}
