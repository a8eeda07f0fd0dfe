//! What can be wrong with a request about topics.

use std::sync::Arc;

use super::bad_config::BadConfig;
use super::delay_name::BadDelayName;
use super::metadata_fault::MetadataFault;
use crate::ids::{BadTopicName, TopicId, TopicName};
use crate::log::{DeleteRecordsError, LogError};
use crate::record::RecordError;
use crate::tasks::TaskFailure;

/// Why a topic was not made, changed or found.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TopicError {
    /// No topic of that name.
    #[error("there is no topic '{name}'")]
    NotFound {
        /// The name asked for; shared, since each partition of a request repeats the error.
        name: Arc<str>,
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
    /// A legal name that is refused all the same.
    #[error(transparent)]
    RefusedName(#[from] RefusedName),
    /// The partition count is not possible.
    #[error(transparent)]
    BadPartitions(#[from] BadPartitions),
    /// More than one replica on one broker, or fewer.
    #[error(transparent)]
    BadReplication(#[from] BadReplication),
    /// A config that does not exist, has an impossible value, or is not in force yet.
    #[error(transparent)]
    BadConfig(#[from] BadConfig),
    /// What was asked for contradicts a policy.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The metadata log holds what this version cannot understand: damage, or the records of a newer version.
    #[error("the metadata log cannot be used: {0}")]
    Metadata(#[from] MetadataFault),
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

/// Why a legal name is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RefusedName {
    /// Only the broker makes topics of that name.
    #[error("'{name}' is a name of the broker's own topics")]
    OwnName {
        /// The name.
        name: TopicName,
    },
    /// Only the broker writes to the topic.
    #[error("'{name}' is internal: only the broker writes there")]
    Internal {
        /// The name.
        name: TopicName,
    },
    /// Nobody but the broker deletes records of the topic.
    #[error("records of '{name}' cannot be deleted: it is the broker's own")]
    OwnRecords {
        /// The name.
        name: TopicName,
    },
    /// Nearly a delay topic's name.
    #[error(transparent)]
    Delay(#[from] BadDelayName),
    /// A delay topic that would deliver to one of the broker's own.
    #[error("'{name}' would deliver to '{target}', which only the broker writes")]
    OwnTarget {
        /// The delay topic.
        name: String,
        /// Its target.
        target: TopicName,
    },
    /// A delay topic whose target is missing and may not be made.
    #[error("'{name}' delivers to '{target}', which does not exist: create that first")]
    NoTarget {
        /// The delay topic.
        name: String,
        /// Its target.
        target: TopicName,
    },
}

/// Why a partition count is not possible.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BadPartitions {
    /// Too few or too many.
    #[error("a topic has from 1 to {max} partitions, not {asked}")]
    OutOfBounds {
        /// What was asked for.
        asked: i32,
        /// The most.
        max: i32,
    },
    /// The topic has as many already.
    #[error("topic '{topic}' has {current} partitions: it can get more, not {asked}")]
    NotMore {
        /// The topic.
        topic: TopicName,
        /// What it has.
        current: i32,
        /// What was asked for.
        asked: i32,
    },
}

/// Why a replication factor is not possible.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BadReplication {
    /// One broker holds one replica.
    #[error(
        "replication factor {asked}: this broker is one node and keeps one replica; ask for 1 or -1, or give the topic the \
         config sluice.replication.accept=true where the number cannot be changed"
    )]
    OneNode {
        /// What was asked for.
        asked: i16,
    },
    /// No number of replicas.
    #[error("a replication factor is 1 or more, not {asked}")]
    NotPositive {
        /// What was asked for.
        asked: i16,
    },
}

/// Which policy a request contradicts.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// The topic is the broker's own.
    #[error("'{topic}' is the broker's own")]
    OwnTopic {
        /// The topic.
        topic: TopicName,
    },
    /// Every id of the number space was given to some producer.
    #[error("all producer ids have been given out")]
    NoProducerIds,
    /// The metadata log cannot hold the change.
    #[error("the change cannot be recorded: {cause}")]
    TooLarge {
        /// Why.
        cause: RecordError,
    },
    /// Records that may not be deleted.
    #[error(transparent)]
    Records(DeleteRecordsError),
    /// More files than the system lets this process have open.
    #[error(
        "{partitions} new partitions need {needed} open files; {open} of {limit} are open and {kept} are kept for connections \
         and segments, so {left} are left: raise the limit (ulimit -n, LimitNOFILE=), or ask for fewer"
    )]
    TooManyFiles {
        /// How many partitions were asked for, with those of a delay topic's target.
        partitions: usize,
        /// What they would hold open.
        needed: u64,
        /// What is open now.
        open: u64,
        /// The most.
        limit: u64,
        /// What is not given to partitions.
        kept: u64,
        /// What is left for them.
        left: u64,
    },
}
