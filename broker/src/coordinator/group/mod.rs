//! Classic consumer groups and their committed offsets, exactly as Kafka's coordinator behaves (`GroupMetadataManager`,
//! `ClassicGroup` and `OffsetMetadataManager` of Kafka 4). A pure core decides (`classic/`, `offsets`, `expire`): events and
//! the time in, effects out. A thin shell carries out (`runtime`, `commit`, `timer`): it appends to `__consumer_offsets` and
//! answers only what is durable. Never holds a group's lock over an await.

mod error;
mod records;
mod verbs;

use std::sync::Arc;

use crate::clock::SharedClock;
use crate::config::{BrokerConfig, Context};
use crate::ids::{PartitionId, TopicName, TopicPartition};
use crate::topics::Catalog;

pub use error::GroupError;
pub use verbs::{
    CommittedOffset, GroupDescription, GroupState, JoinAnswer, JoinRequest, LeavingMember, MemberDescription,
    Membership, OffsetToCommit, SyncAnswer, SyncRequest,
};

/// All groups. Every verb waits until what it answers is durable.
#[derive(Debug)]
pub struct Groups {}

impl Groups {
    /// Makes `__consumer_offsets` (internal, 50 partitions, compacted) at first use, not at start; replays it when it exists.
    pub async fn open(
        _catalog: Arc<Catalog>,
        _config: &BrokerConfig,
        _clock: SharedClock,
    ) -> Result<Arc<Groups>, GroupError> {
        todo!()
    }
    pub async fn join(&self, _request: JoinRequest) -> Result<JoinAnswer, GroupError> {
        todo!()
    }
    pub async fn sync(&self, _request: SyncRequest) -> Result<SyncAnswer, GroupError> {
        todo!()
    }
    pub async fn heartbeat(&self, _group: &str, _who: &Membership) -> Result<(), GroupError> {
        todo!()
    }
    /// One outcome a member, in order.
    pub async fn leave(
        &self,
        _group: &str,
        _members: &[LeavingMember],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        todo!()
    }
    /// One outcome an offset, in order. `members_only = false` from HTTP refuses with `NotEmpty` while there are members when `who` is nobody.
    pub async fn commit(
        &self,
        _ctx: &Context,
        _group: &str,
        _who: &Membership,
        _offsets: Vec<OffsetToCommit>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        todo!()
    }
    /// `None`: everything the group has committed. A partition without a commit answers `None`.
    pub async fn committed(
        &self,
        _group: &str,
        _partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>, GroupError> {
        todo!()
    }
    pub fn describe(&self, _group: &str) -> Result<GroupDescription, GroupError> {
        todo!()
    }
    pub fn list(&self) -> Vec<GroupDescription> {
        todo!()
    }
    /// Rule 16: tombstones for every committed offset of a deleted topic.
    pub async fn forget_topic(&self, _topic: &TopicName, _partitions: &[PartitionId]) -> Result<(), GroupError> {
        todo!()
    }
    /// Ends waiting joins and syncs with `Stopping`.
    pub fn stop(&self) {
        todo!()
    }
    /// Waits until the timer task has ended, after `stop`.
    pub async fn closed(&self) {
        todo!()
    }
}
