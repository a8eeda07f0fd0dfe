//! STUB to be replaced. Classic consumer groups and their committed offsets.
#![allow(missing_docs)]
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::SharedClock;
use crate::config::{BrokerConfig, Context};
use crate::ids::{Generation, LeaderEpoch, Offset, PartitionId, TimestampMs, TopicName, TopicPartition};
use crate::log::LogError;
use crate::topics::{Catalog, TopicError};

/// Why a group request failed; each is a Kafka error code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupError {
    #[error("member '{member}' is not in group '{group}'")]
    UnknownMember { group: String, member: String },
    #[error("group '{group}' is at generation {current}, the request names {asked}")]
    IllegalGeneration { group: String, asked: Generation, current: Generation },
    #[error("group '{group}' is rebalancing: join again")]
    RebalanceInProgress { group: String },
    #[error("no protocol that all members of group '{group}' support, or another protocol type")]
    InconsistentProtocol { group: String },
    #[error("the session time-out {asked_ms} ms is outside of {min_ms}..{max_ms}")]
    InvalidSessionTimeout { asked_ms: u64, min_ms: u64, max_ms: u64 },
    /// The id to join again with (KIP-394).
    #[error("join again as '{member}'")]
    MemberIdRequired { member: String },
    #[error("instance '{instance}' is now another member")]
    FencedInstance { instance: String },
    #[error("'{group}' is not a group id")]
    InvalidGroupId { group: String },
    #[error("there is no group '{group}'")]
    NotFound { group: String },
    #[error("group '{group}' has members")]
    NotEmpty { group: String },
    #[error("the metadata of a commit may have {limit} bytes")]
    MetadataTooLarge { limit: usize },
    #[error("the coordinator is loading")]
    Loading,
    #[error("the coordinator is stopping")]
    Stopping,
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Log(#[from] LogError),
}

#[derive(Clone, Debug)]
pub struct JoinRequest {
    pub group: String,
    /// Empty string on the wire is `None`.
    pub member: Option<String>,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub protocol_type: String,
    pub protocols: Vec<(String, Bytes)>,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    /// JoinGroup v4 and later get MEMBER_ID_REQUIRED first.
    pub require_known_member: bool,
    /// v9: the leader of a static group may be told to skip the assignment (KIP-814).
    pub supports_skip_assignment: bool,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinAnswer {
    pub generation: Generation,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    pub skip_assignment: bool,
    pub member: String,
    /// Only the leader gets it: (member, instance, metadata).
    pub members: Vec<(String, Option<String>, Bytes)>,
}

#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub group: String,
    pub generation: Generation,
    pub member: String,
    pub instance: Option<String>,
    /// Checked when given (v5).
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignments: Vec<(String, Bytes)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncAnswer {
    pub protocol_type: String,
    pub protocol: String,
    pub assignment: Bytes,
}

/// Who commits or beats: nobody (a simple consumer: generation `None`, empty member) or a member.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    pub generation: Option<Generation>,
    pub member: String,
    pub instance: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: Offset,
    pub epoch: Option<LeaderEpoch>,
    pub metadata: String,
    pub committed_at: TimestampMs,
}

#[derive(Clone, Debug)]
pub struct OffsetToCommit {
    pub target: TopicPartition,
    pub offset: Offset,
    pub epoch: Option<LeaderEpoch>,
    pub metadata: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub group: String,
    pub state: GroupState,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    pub member: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    pub member: String,
    pub instance: Option<String>,
}

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
