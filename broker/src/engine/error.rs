//! Every fact that a verb of the engine can fail with. `kafka/errors.rs` and `gateway/src/problem.rs` map it, exhaustively.

use crate::auth::Denied;
use crate::chain::ChainError;
use crate::coordinator::group::GroupError;
use crate::ids::{Offset, PartitionId, TopicName};
use crate::log::{AppendError, ConditionalAppendError, LogError};
use crate::memory::{OverBudget, OverShare};
use crate::record::RecordError;
use crate::tasks::TaskFailure;
use crate::topics::TopicError;

/// Why a verb failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The caller may not do that.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// About what exists.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// About a log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// About an append.
    #[error(transparent)]
    Append(AppendError),
    /// About the bytes of records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// About a group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// About a plugin.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The door's WORK has no room for the request.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The caller has its share of what stays.
    #[error(transparent)]
    OverShare(#[from] OverShare),
    /// Transactions are not there yet.
    #[error("{what}: transactions are not supported yet; leave transactional.id unset (idempotence works without)")]
    NoTransactions {
        /// What was refused.
        what: &'static str,
    },
    /// A conditional append: the partition does not end where the caller said. Returned only once `end` is durable (rule 2).
    #[error("the partition ends at {end}")]
    WrongEnd {
        /// Where it ends.
        end: Offset,
    },
    /// The request contradicts itself.
    #[error(transparent)]
    InvalidRequest(#[from] InvalidRequest),
    /// What the request needs is not free now: the same request may succeed soon.
    #[error("{reason}")]
    Busy {
        /// What there is too much of.
        reason: String,
    },
    /// The broker stops.
    #[error("the broker is shutting down")]
    Stopping,
    /// A bug of ours.
    #[error("internal error: {what}")]
    Internal {
        /// What went wrong.
        what: String,
    },
}

/// How a request contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// A produce request names a partition and has no records for it.
    #[error("the produce request has no records for {topic}-{partition}")]
    NoRecords {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
    },
    /// A deduplicated append of nothing.
    #[error("an append needs at least one message")]
    NoMessages,
    /// A topic has neither a name nor an id.
    #[error("a topic without a name")]
    NoTopicName,
}

impl EngineError {
    /// To be tried again soon.
    #[must_use]
    pub(crate) fn busy(reason: impl Into<String>) -> EngineError {
        EngineError::Busy { reason: reason.into() }
    }

    /// A bug of ours.
    #[must_use]
    pub(crate) fn internal(what: &str) -> EngineError {
        EngineError::Internal { what: what.to_owned() }
    }
}

impl From<TaskFailure> for EngineError {
    fn from(failure: TaskFailure) -> EngineError {
        EngineError::Internal { what: failure.to_string() }
    }
}

impl From<AppendError> for EngineError {
    fn from(error: AppendError) -> EngineError {
        match error {
            // One fact, one variant, whichever verb met it.
            AppendError::Log(error) => EngineError::Log(error),
            error => EngineError::Append(error),
        }
    }
}

impl From<ConditionalAppendError> for EngineError {
    fn from(error: ConditionalAppendError) -> EngineError {
        match error {
            ConditionalAppendError::WrongEnd { end } => EngineError::WrongEnd { end },
            ConditionalAppendError::Append(error) => error.into(),
        }
    }
}
