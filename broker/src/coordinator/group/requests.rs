//! What the group requests are asked and what they answer, free of any wire format. No behaviour here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{Generation, LeaderEpoch, Offset, TimestampMs, TopicId, TopicPartition};
use crate::memory::Owner;

/// JoinGroup.
#[derive(Clone, Debug)]
pub(crate) struct JoinRequest {
    /// The group.
    pub(crate) group: String,
    /// Empty string on the wire is `None`.
    pub(crate) member: Option<String>,
    /// A static member's name (KIP-345).
    pub(crate) instance: Option<String>,
    /// The caller's own claim; the first part of a new member id.
    pub(crate) client_id: String,
    /// The peer, for descriptions.
    pub(crate) client_host: String,
    /// `consumer`, `connect`, …
    pub(crate) protocol_type: String,
    /// Name and metadata, the preferred one first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// A member without a heartbeat for this time is removed.
    pub(crate) session_timeout: Duration,
    /// How long the others wait for this member in a rebalance.
    pub(crate) rebalance_timeout: Duration,
    /// JoinGroup v4 and later get MEMBER_ID_REQUIRED first.
    pub(crate) require_known_member: bool,
    /// v9: the answer may tell the leader of a static group to skip the assignment (KIP-814).
    pub(crate) supports_skip_assignment: bool,
    /// A member inside of the broker. It leads only where there is no other: a client's own assignor goes first.
    pub(crate) in_process: bool,
    /// Who pays for what the group keeps of it.
    pub(crate) owner: Owner,
}

/// A member of a new generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinAnswer {
    /// The generation joined.
    pub(crate) generation: Generation,
    /// As all members have it.
    pub(crate) protocol_type: String,
    /// The protocol chosen by vote.
    pub(crate) protocol: String,
    /// The member id of the leader.
    pub(crate) leader: String,
    /// The leader need not assign (KIP-814).
    pub(crate) skip_assignment: bool,
    /// The member's own id.
    pub(crate) member: String,
    /// Only the leader gets it: (member, instance, metadata).
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub(crate) struct SyncRequest {
    /// The group.
    pub(crate) group: String,
    /// The generation joined.
    pub(crate) generation: Generation,
    /// The member's id.
    pub(crate) member: String,
    /// A static member's name.
    pub(crate) instance: Option<String>,
    /// Checked when given (v5).
    pub(crate) protocol_type: Option<String>,
    /// Checked when given (v5).
    pub(crate) protocol: Option<String>,
    /// From the leader: member and what it gets.
    pub(crate) assignments: Vec<(String, Bytes)>,
    /// Who pays for them.
    pub(crate) owner: Owner,
}

/// A member's part of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyncAnswer {
    /// As all members have it.
    pub(crate) protocol_type: String,
    /// The protocol chosen by vote.
    pub(crate) protocol: String,
    /// What the leader gave this member.
    pub(crate) assignment: Bytes,
}

/// Who commits or beats: nobody (a simple consumer: generation `None`, empty member) or a member.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    /// The generation joined.
    pub generation: Option<Generation>,
    /// The member's id.
    pub member: String,
    /// A static member's name.
    pub instance: Option<String>,
}

/// Who commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitFrom {
    /// A consumer: a member, or one without membership.
    Member,
    /// Somebody who sets a group's offsets from outside; allowed only while the group has no members.
    Outside,
}

/// One committed offset, durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read; negative where a client has committed that.
    pub offset: Offset,
    /// The leader epoch of the last record consumed (KIP-320).
    pub(crate) epoch: Option<LeaderEpoch>,
    /// The client's own text.
    pub(crate) metadata: String,
    /// When, by the broker's clock.
    pub(crate) committed_at: TimestampMs,
    /// The topic that it was committed for: it says nothing about a later one of that name. `None` of records that do not
    /// say (before Kafka 4.1).
    pub(crate) topic_id: Option<TopicId>,
}

impl CommittedOffset {
    /// Where a reader goes on. `None`: the offset is negative, as kafkajs commits it when a position is out of range; it is
    /// kept and shown as it came, and readers begin as if nothing were committed (so Java's `OffsetFetchResponse`).
    #[must_use]
    pub(crate) fn position(&self) -> Option<Offset> {
        Some(self.offset).filter(|offset| *offset >= Offset::ZERO)
    }
}

/// A committed offset for whoever must not read around an open transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StableOffset {
    /// This, or nothing.
    Is(Option<CommittedOffset>),
    /// A transaction has written an offset and has not ended.
    Unstable,
}

/// One offset of a commit.
#[derive(Clone, Debug)]
pub(crate) struct OffsetToCommit {
    /// Of which partition.
    pub(crate) target: TopicPartition,
    /// The next offset to read.
    pub(crate) offset: Offset,
    /// The leader epoch of the last record consumed.
    pub(crate) epoch: Option<LeaderEpoch>,
    /// The client's own text, at most `limits::COMMIT_METADATA_BYTES_MAX` bytes.
    pub(crate) metadata: Option<String>,
}

/// Where a classic group is in its cycle (Kafka's `ClassicGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupState {
    /// No members; perhaps offsets.
    Empty,
    /// Waiting for the members to join again.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// No such group any more.
    Dead,
}

impl GroupState {
    /// Kafka's name of it, as clients and metrics see it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        }
    }
}

/// A group as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupDescription {
    /// The group.
    pub(crate) group: String,
    /// Where it is in its cycle.
    pub(crate) state: GroupState,
    /// Empty for a group that only commits.
    pub(crate) protocol_type: String,
    /// Empty unless stable.
    pub(crate) protocol: String,
    /// In the order of their ids.
    pub(crate) members: Vec<MemberDescription>,
}

/// A group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupListing {
    /// The group.
    pub(crate) group: Arc<str>,
    /// Where it is in its cycle.
    pub(crate) state: GroupState,
    /// Empty for a group that only commits.
    pub(crate) protocol_type: String,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberDescription {
    /// The member's id.
    pub(crate) member: String,
    /// A static member's name.
    pub(crate) instance: Option<String>,
    /// The client's own claim.
    pub(crate) client_id: String,
    /// The peer.
    pub(crate) client_host: String,
    /// Empty unless the group is stable.
    pub(crate) metadata: Bytes,
    /// What the leader gave it.
    pub(crate) assignment: Bytes,
}

/// One of those that LeaveGroup names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeavingMember {
    /// The member's id; empty when an administrator removes by instance.
    pub(crate) member: String,
    /// A static member's name.
    pub(crate) instance: Option<String>,
}
