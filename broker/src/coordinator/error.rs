//! Why a coordinator's shard did not do what it was asked. Whoever runs on the runtime maps these facts to its own
//! error; nothing here knows a protocol's error codes.

use crate::log::{AppendError, LogError};
use crate::tasks::TaskFailure;

/// Why a command was not carried out, or why its answer cannot be given.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ShardError {
    /// The shard's partition could not be read at start, or has failed since: the shard is unloaded.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log refused the command's records. The shard is as it was.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The shard was unloaded by a bug of ours; a restart loads it again.
    #[error("the coordinator of {shard} is unavailable until the broker restarts")]
    Unavailable { shard: String },
    /// A bug of ours: this command, or its work, panicked.
    #[error("{what}")]
    Internal { what: String },
}

impl From<TaskFailure> for ShardError {
    fn from(failure: TaskFailure) -> ShardError {
        ShardError::Internal { what: failure.to_string() }
    }
}

/// A record that does not follow its schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record does not follow its schema: {reason}")]
pub(super) struct BadRecord {
    pub(super) reason: &'static str,
}
