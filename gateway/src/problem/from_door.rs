//! Every fact that the door can fail with, as status and code. No `_` arm anywhere: a new fact fails to compile here.

use http::StatusCode;
use sluice_broker::door::error::{
    DoorError, GroupFailure, PluginFailure, ProducerFailure, RecordFailure, StorageFailure, TopicFailure, Unusable,
};

use sluice_broker::refusals::RefusalClass;

use super::Problem;

/// Seconds after which a fault that needs an operator may be repaired.
const OPERATOR_SECONDS: u32 = 30;
/// Seconds after which a broker that stops or starts may serve again.
const RESTART_SECONDS: u32 = 5;

impl From<DoorError> for Problem {
    fn from(error: DoorError) -> Problem {
        let text = error.to_string();
        match error {
            DoorError::Topic(failure) => topic(&failure, text),
            DoorError::Record(failure) => record(&failure, text),
            DoorError::Producer(failure) => producer(&failure, text),
            DoorError::Storage(failure) => storage(&failure, text),
            DoorError::Group(failure) => group(&failure, text),
            DoorError::Plugin(failure) => plugin(failure, text),
            DoorError::OverBudget(over) => over.into(),
            DoorError::OverShare(_) => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, text).refused(RefusalClass::MemoryState)
            }
            DoorError::OffsetOutOfRange { beginning, end, .. } => Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, text)
                .with("beginning_offset", beginning.0)
                .with("end_offset", end.0),
            DoorError::WrongEnd { end } => {
                Problem::new(StatusCode::PRECONDITION_FAILED, text).with("end_offset", end.0)
            }
            // The dialect's code for a caller that lacks a permission.
            DoorError::Denied { .. } => Problem::coded(StatusCode::FORBIDDEN, 40301, text),
            DoorError::NotSupported { .. } | DoorError::InvalidRequest { .. } => Problem::request(text),
            DoorError::Internal { .. } => broken(text),
            DoorError::Busy { .. } => Problem::busy(text, 1).refused(RefusalClass::MemoryWork),
            DoorError::Stopping => Problem::busy(text, RESTART_SECONDS),
        }
    }
}

fn topic(failure: &TopicFailure, text: String) -> Problem {
    let (status, code) = match failure {
        TopicFailure::NotFound { .. } | TopicFailure::IdNotFound { .. } | TopicFailure::Deleted { .. } => {
            (StatusCode::NOT_FOUND, 40401)
        }
        TopicFailure::NoPartition { .. } => (StatusCode::NOT_FOUND, 40402),
        TopicFailure::Exists { .. } => (StatusCode::CONFLICT, 409),
        TopicFailure::BadName { .. }
        | TopicFailure::BadPartitions { .. }
        | TopicFailure::BadReplication { .. }
        | TopicFailure::BadConfig { .. } => (StatusCode::BAD_REQUEST, 40001),
        TopicFailure::Forbidden { .. } => (StatusCode::FORBIDDEN, 40301),
    };
    Problem::coded(status, code, text)
}

fn record(failure: &RecordFailure, text: String) -> Problem {
    match failure {
        RecordFailure::TooLarge { limit, .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text).with("limit", *limit).refused(RefusalClass::TooLarge)
        }
        RecordFailure::Invalid { .. } | RecordFailure::Rejected { .. } => {
            Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, text)
        }
        RecordFailure::Unreadable { .. } => broken(text),
    }
}

fn producer(failure: &ProducerFailure, text: String) -> Problem {
    match failure {
        ProducerFailure::OutOfOrderSequence { .. } | ProducerFailure::DuplicateSequence { .. } => {
            Problem::new(StatusCode::CONFLICT, text)
        }
        ProducerFailure::StaleEpoch { .. } | ProducerFailure::ReservedId { .. } | ProducerFailure::TooMany { .. } => {
            Problem::coded(StatusCode::FORBIDDEN, 40301, text)
        }
    }
}

fn storage(failure: &StorageFailure, text: String) -> Problem {
    match failure {
        StorageFailure::Full { .. } | StorageFailure::Offline { .. } => Problem::busy(text, OPERATOR_SECONDS),
        StorageFailure::Broken { .. } => broken(text),
        // The gateway names no epochs, so a repetition meets the new leader.
        StorageFailure::LeaderChanged { .. } => Problem::busy(text, RESTART_SECONDS),
    }
}

fn group(failure: &GroupFailure, text: String) -> Problem {
    let (status, code) = match failure {
        GroupFailure::Full { .. } | GroupFailure::MembersTooLarge { .. } => {
            return Problem::new(StatusCode::TOO_MANY_REQUESTS, text).refused(RefusalClass::Groups);
        }
        GroupFailure::Stopping => return Problem::busy(text, RESTART_SECONDS),
        GroupFailure::Unavailable { .. } => return broken(text),
        GroupFailure::MetadataTooLarge { limit } | GroupFailure::TooLarge { limit, .. } => {
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text).with("limit", *limit);
            return problem.refused(RefusalClass::TooLarge);
        }
        GroupFailure::UnknownMember { .. } => (StatusCode::NOT_FOUND, 40403),
        GroupFailure::IllegalGeneration { .. }
        | GroupFailure::RebalanceInProgress { .. }
        | GroupFailure::NotAssigned { .. } => (StatusCode::CONFLICT, 40904),
        GroupFailure::FencedInstance { .. } => (StatusCode::CONFLICT, 40902),
        GroupFailure::InconsistentProtocol { .. }
        | GroupFailure::MemberIdRequired { .. }
        | GroupFailure::NotEmpty { .. }
        | GroupFailure::NothingCommitted { .. } => (StatusCode::CONFLICT, 40903),
        GroupFailure::InvalidSessionTimeout { .. } => (StatusCode::UNPROCESSABLE_ENTITY, 42204),
        GroupFailure::InvalidId { .. } => (StatusCode::BAD_REQUEST, 40001),
        GroupFailure::NotFound { .. } => (StatusCode::NOT_FOUND, 40405),
    };
    Problem::coded(status, code, text)
}

fn plugin(failure: PluginFailure, text: String) -> Problem {
    let unprocessable = |code, text| Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, code, text);
    match failure {
        PluginFailure::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, text),
        PluginFailure::InUse { topics, .. } => Problem::new(StatusCode::CONFLICT, text).with("topics", topics),
        PluginFailure::BadName { .. } => Problem::coded(StatusCode::BAD_REQUEST, 40001, text),
        PluginFailure::TooLarge { limit, .. } => {
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text).with("limit", limit);
            problem.refused(RefusalClass::TooLarge)
        }
        PluginFailure::Unusable { why, .. } => unprocessable(42206, text).with("reason", word(why)),
        PluginFailure::ConfigurationRefused { topics, .. } => {
            unprocessable(42206, text).with("reason", "init").with("topics", topics)
        }
        PluginFailure::TooMany { limit, .. } => Problem::new(StatusCode::CONFLICT, text).with("limit", limit),
        PluginFailure::Busy { .. } => Problem::busy(text, 1),
        PluginFailure::Host { .. } => broken(text),
        PluginFailure::BadBinding { plugin, .. } => unprocessable(40002, text).with("plugin", plugin),
        PluginFailure::Unavailable { plugin, .. } => Problem::busy(text, OPERATOR_SECONDS).with("plugin", plugin),
        PluginFailure::Failed { plugin, .. } => unprocessable(42206, text).with("plugin", plugin),
    }
}

fn word(why: Unusable) -> &'static str {
    match why {
        Unusable::Malformed => "malformed",
        Unusable::WrongWorld => "wrong-world",
        Unusable::ForbiddenImport => "forbidden-import",
        Unusable::Compile => "compile",
        Unusable::Start => "start",
    }
}

/// 500 / 50002: not the caller's fault, and a repetition does not help.
fn broken(text: String) -> Problem {
    tracing::error!("{text}");
    Problem::coded(StatusCode::INTERNAL_SERVER_ERROR, 50002, text)
}
