//! Every fact that the door can fail with, as status and code. No `_` arm anywhere: a new fact fails to compile here.

use http::StatusCode;
use sluice_broker::door::error::{AppendError, ChainError, DoorError, GroupError, LogError, RecordError, TopicError};
use sluice_broker::door::plugins::{PluginError, UploadError};

use super::Problem;

/// Seconds after which something that needs an operator may be better.
const OPERATOR_SECONDS: u32 = 30;
/// Seconds after which a broker that stops or starts may be there again.
const RESTART_SECONDS: u32 = 5;

impl From<DoorError> for Problem {
    fn from(error: DoorError) -> Problem {
        match error {
            // The dialect's code for a caller that lacks a permission.
            DoorError::Denied(_) => Problem::coded(StatusCode::FORBIDDEN, 40301, error.to_string()),
            DoorError::Topic(error) => error.into(),
            DoorError::Log(error) => error.into(),
            DoorError::Append(error) => error.into(),
            DoorError::Record(error) => error.into(),
            DoorError::Group(error) => error.into(),
            DoorError::Chain(error) => error.into(),
            DoorError::NoTransactions { .. } | DoorError::InvalidRequest { .. } => Problem::request(error.to_string()),
            DoorError::WrongEnd { end } => {
                Problem::new(StatusCode::PRECONDITION_FAILED, error.to_string()).with("end_offset", end.0)
            }
            DoorError::Internal { .. } => broken(error.to_string()),
            DoorError::Stopping => Problem::busy(error.to_string(), RESTART_SECONDS),
        }
    }
}

impl From<TopicError> for Problem {
    fn from(error: TopicError) -> Problem {
        let (status, code) = match error {
            TopicError::Log(error) => return error.into(),
            TopicError::Metadata { .. } | TopicError::Internal { .. } => return broken(error.to_string()),
            TopicError::NotFound { .. } | TopicError::IdNotFound { .. } => (StatusCode::NOT_FOUND, 40401),
            TopicError::NoPartition { .. } => (StatusCode::NOT_FOUND, 40402),
            TopicError::Exists { .. } => (StatusCode::CONFLICT, 409),
            TopicError::BadName(_)
            | TopicError::RefusedName { .. }
            | TopicError::BadPartitions { .. }
            | TopicError::BadReplication { .. }
            | TopicError::BadConfig { .. } => (StatusCode::BAD_REQUEST, 40001),
            TopicError::Refused { .. } => (StatusCode::FORBIDDEN, 40301),
        };
        Problem::coded(status, code, error.to_string())
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Problem {
        let text = error.to_string();
        match error {
            // No poison (log contract, rule 8): there may be room again soon.
            ref full if full.is_no_space() => Problem::busy(text, OPERATOR_SECONDS),
            LogError::Io { .. } => broken(text),
            LogError::Poisoned { .. }
            | LogError::Offline { .. }
            | LogError::Panicked { .. }
            | LogError::NotReplayable { .. } => Problem::busy(text, OPERATOR_SECONDS),
            LogError::Corrupt { .. } | LogError::InUse { .. } | LogError::Internal { .. } => broken(text),
            LogError::Deleted { .. } => Problem::coded(StatusCode::NOT_FOUND, 40401, text),
            LogError::OutOfRange { log_start, end, .. } => Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, text)
                .with("beginning_offset", log_start.0)
                .with("end_offset", end.0),
            // The gateway names no epochs; whoever sees this met a change of term.
            LogError::FencedEpoch { .. } | LogError::UnknownEpoch { .. } => Problem::busy(text, RESTART_SECONDS),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Problem {
        match error {
            AppendError::Record(error) => error.into(),
            AppendError::Log(error) => error.into(),
            AppendError::OutOfOrderSequence { .. } | AppendError::DuplicateSequence { .. } => {
                Problem::new(StatusCode::CONFLICT, error.to_string())
            }
            AppendError::StaleProducerEpoch { .. } | AppendError::ReservedProducerId { .. } => {
                Problem::coded(StatusCode::FORBIDDEN, 40301, error.to_string())
            }
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Problem {
        let text = error.to_string();
        match error {
            RecordError::TooLarge { limit, .. } => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text).with("limit", limit)
            }
            RecordError::Invalid { .. } | RecordError::Rejected { .. } => {
                Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, text)
            }
            // The gateway builds batches itself and reads what was checked: these are ours.
            RecordError::Magic { .. } | RecordError::Corrupt { .. } | RecordError::Compression { .. } => broken(text),
        }
    }
}

impl From<GroupError> for Problem {
    fn from(error: GroupError) -> Problem {
        let (status, code) = match error {
            GroupError::Topic(error) => return error.into(),
            GroupError::Log(error) => return error.into(),
            GroupError::Append(error) => return error.into(),
            GroupError::Full { .. } => return Problem::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
            GroupError::Loading => return Problem::busy(error.to_string(), 1),
            GroupError::Stopping => return Problem::busy(error.to_string(), RESTART_SECONDS),
            GroupError::Internal { .. } => return broken(error.to_string()),
            GroupError::UnknownMember { .. } => (StatusCode::NOT_FOUND, 40403),
            GroupError::IllegalGeneration { .. } | GroupError::RebalanceInProgress { .. } => {
                (StatusCode::CONFLICT, 40904)
            }
            GroupError::FencedInstance { .. } => (StatusCode::CONFLICT, 40902),
            GroupError::InconsistentProtocol { .. }
            | GroupError::MemberIdRequired { .. }
            | GroupError::NotEmpty { .. } => (StatusCode::CONFLICT, 40903),
            GroupError::InvalidSessionTimeout { .. } => (StatusCode::UNPROCESSABLE_ENTITY, 42204),
            GroupError::InvalidGroupId { .. } => (StatusCode::BAD_REQUEST, 40001),
            GroupError::NotFound { .. } => (StatusCode::NOT_FOUND, 40405),
            GroupError::MetadataTooLarge { limit } => {
                return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).with("limit", limit);
            }
        };
        Problem::coded(status, code, error.to_string())
    }
}

impl From<ChainError> for Problem {
    fn from(error: ChainError) -> Problem {
        let text = error.to_string();
        match error {
            ChainError::BadBinding { plugin, .. } => {
                Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 40002, text).with("plugin", plugin)
            }
            ChainError::Unavailable { plugin, .. } => Problem::busy(text, OPERATOR_SECONDS).with("plugin", plugin),
            ChainError::Failed { plugin, .. } => {
                Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, text).with("plugin", plugin)
            }
        }
    }
}

impl From<PluginError> for Problem {
    fn from(error: PluginError) -> Problem {
        let text = error.to_string();
        match error {
            PluginError::Upload(error) => error.into(),
            PluginError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, text),
            PluginError::InUse { topics, .. } => Problem::new(StatusCode::CONFLICT, text).with("topics", topics),
        }
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Problem {
        let text = error.to_string();
        let unusable = |kind: &str, text: String| {
            Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, text).with("reason", kind)
        };
        match error {
            UploadError::BadName { .. } => Problem::coded(StatusCode::BAD_REQUEST, 40001, text),
            UploadError::TooLarge { limit, .. } => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text).with("limit", limit)
            }
            UploadError::Malformed { .. } => unusable("malformed", text),
            UploadError::WrongWorld { .. } => unusable("wrong-world", text),
            UploadError::ForbiddenImport { .. } => unusable("forbidden-import", text),
            UploadError::Compile { .. } => unusable("compile", text),
            UploadError::Start { .. } => unusable("start", text),
            UploadError::Init { topics, .. } => unusable("init", text).with("topics", topics),
            UploadError::TooMany { limit, .. } => Problem::new(StatusCode::CONFLICT, text).with("limit", limit),
            UploadError::Busy { .. } => Problem::busy(text, 1),
            UploadError::Host(_) => broken(text),
        }
    }
}

/// 500 / 50002: not the caller's fault, and waiting does not help.
fn broken(text: String) -> Problem {
    tracing::error!("{text}");
    Problem::coded(StatusCode::INTERNAL_SERVER_ERROR, 50002, text)
}
