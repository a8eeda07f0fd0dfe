//! What a group verb can fail with. Each fact is one of Kafka's error codes; `kafka/errors.rs` names the number.

use crate::coordinator::error::ShardError;
use crate::ids::Generation;
use crate::log::{AppendError, LogError};
use crate::memory::OverShare;
use crate::record::RecordError;
use crate::topics::TopicError;

/// Why a group request failed; each is a Kafka error code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupError {
    /// Not a member, or no longer: join again without an id.
    #[error("member '{member}' is not in group '{group}'")]
    UnknownMember {
        /// The group asked.
        group: String,
        /// The member id of the request.
        member: String,
    },
    /// The member is of another generation than the group.
    #[error("group '{group}' is at generation {current}, the request names {asked}")]
    IllegalGeneration {
        /// The group asked.
        group: String,
        /// What the request names.
        asked: Generation,
        /// What the group has.
        current: Generation,
    },
    /// A new generation is being made.
    #[error("group '{group}' is rebalancing: join again")]
    RebalanceInProgress {
        /// The group asked.
        group: String,
    },
    /// The member shares no protocol with the others.
    #[error("no protocol that all members of group '{group}' support, or another protocol type")]
    InconsistentProtocol {
        /// The group asked.
        group: String,
    },
    /// Outside of `group_min_session_timeout_ms ..= group_max_session_timeout_ms`.
    #[error("the session time-out {asked_ms} ms is outside of {min_ms}..{max_ms}")]
    InvalidSessionTimeout {
        /// What the member wants.
        asked_ms: u64,
        /// The shortest that is allowed.
        min_ms: u64,
        /// The longest that is allowed.
        max_ms: u64,
    },
    /// The id to join again with (KIP-394).
    #[error("join again as '{member}'")]
    MemberIdRequired {
        /// The new id.
        member: String,
    },
    /// The instance id now belongs to another member id (KIP-345).
    #[error("instance '{instance}' is now another member")]
    FencedInstance {
        /// The instance id of the request.
        instance: String,
    },
    /// Empty, or longer than Kafka's records can hold.
    #[error("'{group}' is not a group id")]
    InvalidGroupId {
        /// What was given.
        group: String,
    },
    /// The group does not exist.
    #[error("there is no group '{group}'")]
    NotFound {
        /// The group asked.
        group: String,
    },
    /// Only an empty group may be changed from outside.
    #[error("group '{group}' has members")]
    NotEmpty {
        /// The group asked.
        group: String,
    },
    /// Kafka's GROUP_MAX_SIZE_REACHED: the group, or the number of groups, is at its limit.
    #[error("group '{group}' cannot take another member: the limit is {limit}")]
    Full {
        /// The group asked.
        group: String,
        /// How many there may be.
        limit: usize,
    },
    /// Kafka's GROUP_MAX_SIZE_REACHED as well: the group is one record, which could not be written with this member.
    #[error("group '{group}' cannot take the member: what its members bring along may have {limit} bytes")]
    MembersTooLarge {
        /// The group asked.
        group: String,
        /// Bytes allowed.
        limit: usize,
    },
    /// Whoever asks holds as much of the broker's state as one may: GROUP_MAX_SIZE_REACHED too, which clients do not retry.
    #[error(transparent)]
    OverShare(#[from] OverShare),
    /// The metadata of one commit is too long.
    #[error("the metadata of a commit may have {limit} bytes")]
    MetadataTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The coordinator's records for this are more than its log takes. Nothing is gained by trying again.
    #[error("the records of this request have {size} bytes, the coordinator's log takes {limit} at once")]
    TooLarge {
        /// Bytes, at least.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The broker stops.
    #[error("the coordinator is stopping")]
    Stopping,
    /// About a topic: of a commit, or the offsets topic itself.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The group's coordinator has failed, by a bug of ours; a restart loads it again.
    #[error("the coordinator of {shard} is unavailable until the broker restarts")]
    Unavailable {
        /// Its partition of the offsets topic.
        shard: String,
    },
    /// The group's log could not be read or synced.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The group's log refused a record, for want of room for example.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A bug of ours.
    #[error("internal error: {what}")]
    Internal {
        /// What went wrong.
        what: String,
    },
}

impl From<ShardError> for GroupError {
    fn from(error: ShardError) -> GroupError {
        match error {
            ShardError::Log(error) => GroupError::Log(error),
            ShardError::Append(AppendError::Record(RecordError::TooLarge { size, limit })) => {
                GroupError::TooLarge { size, limit }
            }
            ShardError::Append(error) => GroupError::Append(error),
            ShardError::Unavailable { shard } => GroupError::Unavailable { shard },
            ShardError::Internal { what } => GroupError::Internal { what },
        }
    }
}
