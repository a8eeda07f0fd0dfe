//! What can be wrong with a wish about topics.

use crate::ids::{BadTopicName, TopicId, TopicName};
use crate::log::LogError;
use crate::tasks::TaskFailure;

/// Why a topic was not made, changed or found.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TopicError {
    /// No topic of that name.
    #[error("there is no topic '{name}'")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// No topic of that id.
    #[error("there is no topic with id {id}")]
    IdNotFound {
        /// The id asked for.
        id: TopicId,
    },
    /// The topic has fewer partitions.
    #[error("topic '{topic}' has no partition {partition}")]
    NoPartition {
        /// The topic.
        topic: TopicName,
        /// The number asked for.
        partition: i32,
    },
    /// The name is taken.
    #[error("topic '{name}' already exists")]
    Exists {
        /// The name.
        name: TopicName,
    },
    /// The name is not legal.
    #[error(transparent)]
    BadName(#[from] BadTopicName),
    /// A legal name that is refused all the same: a near miss of a delay topic, a clash of '.' and '_'.
    #[error("{reason}")]
    RefusedName {
        /// Why, and what to do.
        reason: String,
    },
    /// The partition count is not possible.
    #[error("{reason}")]
    BadPartitions {
        /// Why.
        reason: String,
    },
    /// More than one replica on one broker.
    #[error("{reason}")]
    BadReplication {
        /// Why, and what to do.
        reason: String,
    },
    /// A config that does not exist, has an impossible value, or is not in force yet.
    #[error("{reason}")]
    BadConfig {
        /// Which key and why.
        reason: String,
    },
    /// The request contradicts a policy (internal topics, delay topics with waiting records).
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The metadata log holds what this version cannot understand: damage, or the records of a newer version.
    #[error("the metadata log cannot be used: {reason}")]
    Metadata {
        /// Which record, who wrote it, and what to do.
        reason: String,
    },
    /// The log could not be made, read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A bug of ours.
    #[error("internal error: {what}")]
    Internal {
        /// What went wrong.
        what: String,
    },
}

impl From<TaskFailure> for TopicError {
    fn from(failure: TaskFailure) -> TopicError {
        TopicError::Internal { what: failure.to_string() }
    }
}
