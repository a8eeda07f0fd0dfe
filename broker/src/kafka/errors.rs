//! Every fact that a verb of the engine can fail with, as a Kafka error code; exhaustive, and the only place that chooses codes
//! for them. The text goes where a response has a field for it. Which code a client retries on is decided in the client, so a
//! code here is chosen by what librdkafka and the Java client do with it.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::protocol::StrBytes;

use crate::auth::{Denied, ResourceKind};
use crate::coordinator::group::GroupError;
use crate::engine::EngineError;
use crate::ids::TopicRef;
use crate::log::{AppendError, LogError};
use crate::record::{RecordError, Rejection};
use crate::topics::TopicError;

/// The code of an error about a topic that the request named in this way: a deleted one is unknown by its name or by its id.
pub(super) fn code_of_topic(named: &TopicRef, error: &EngineError) -> i16 {
    let deleted = matches!(error, EngineError::Log(LogError::Deleted { .. }))
        || matches!(error, EngineError::Append(AppendError::Log(LogError::Deleted { .. })));
    match named {
        TopicRef::Id(_) if deleted => Code::UnknownTopicId.code(),
        _ => code(error),
    }
}

/// The code of an error of the engine.
pub(super) fn code(error: &EngineError) -> i16 {
    of_engine(error).code()
}

/// The code of a missing permission.
pub(super) fn code_of_denied(denied: &Denied) -> i16 {
    of_denied(denied).code()
}

/// The code of an error of a group.
pub(super) fn code_of_group(error: &GroupError) -> i16 {
    of_group(error).code()
}

/// The code of an error of a group in an answer to OffsetCommit of this version.
pub(super) fn code_of_commit(version: i16, error: &GroupError) -> i16 {
    match error {
        // Kafka's `validateOffsetCommit`: before version 9 clients do not know GROUP_ID_NOT_FOUND here.
        GroupError::NotFound { .. } if version < 9 => Code::IllegalGeneration.code(),
        // The code that clients know for it (Kafka's `mapOffsetCommitError`).
        GroupError::TooLarge { .. } => Code::InvalidCommitOffsetSize.code(),
        _ => code_of_group(error),
    }
}

/// The error's text, for responses that have a place for it.
pub(super) fn text(error: &dyn std::error::Error) -> StrBytes {
    told(error.to_string())
}

/// A text for people: what a request says may be in it, at any length.
pub(super) fn told(mut text: String) -> StrBytes {
    // A Kafka string has 32,767 bytes at most; nobody reads a thousand.
    if text.len() > 1_000 {
        let end = (0..=1_000).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    StrBytes::from_string(text)
}

fn of_engine(error: &EngineError) -> Code {
    match error {
        EngineError::Denied(denied) => of_denied(denied),
        EngineError::Topic(error) => of_topic(error),
        EngineError::Log(error) => of_log(error),
        EngineError::Append(error) => of_append(error),
        EngineError::Record(error) => of_record(error),
        EngineError::Group(error) => of_group(error),
        // On this port plugins are met by config changes that bind them.
        EngineError::Chain(_) => Code::InvalidConfig,
        // Java's clients and librdkafka try again after a while.
        EngineError::OverBudget(over) if !over.forever() => Code::RequestTimedOut,
        EngineError::OverBudget(_) | EngineError::OverShare(_) => Code::PolicyViolation,
        // The one code that is fatal at once in Java's TransactionManager and in librdkafka alike; librdkafka retries others.
        EngineError::NoTransactions { .. } => Code::TransactionalIdAuthorizationFailed,
        EngineError::InvalidRequest(_) => Code::InvalidRequest,
        // No request of this port is conditional.
        EngineError::WrongEnd { .. } | EngineError::Internal { .. } => Code::UnknownServerError,
        // Clients refresh their metadata and try again, until the broker is back.
        // Sent again by every client.
        EngineError::Busy { .. } => Code::RequestTimedOut,
        EngineError::Stopping => Code::NotLeaderOrFollower,
    }
}

fn of_denied(denied: &Denied) -> Code {
    match denied.kind {
        ResourceKind::Topic => Code::TopicAuthorizationFailed,
        ResourceKind::Group => Code::GroupAuthorizationFailed,
        ResourceKind::Cluster => Code::ClusterAuthorizationFailed,
    }
}

fn of_topic(error: &TopicError) -> Code {
    match error {
        TopicError::NotFound { .. } | TopicError::NoPartition { .. } => Code::UnknownTopicOrPartition,
        TopicError::IdNotFound { .. } => Code::UnknownTopicId,
        TopicError::Exists { .. } => Code::TopicAlreadyExists,
        TopicError::BadName(_) | TopicError::RefusedName(_) => Code::InvalidTopicException,
        TopicError::BadPartitions(_) => Code::InvalidPartitions,
        TopicError::BadReplication(_) => Code::InvalidReplicationFactor,
        TopicError::BadConfig(_) => Code::InvalidConfig,
        TopicError::Refused(_) => Code::PolicyViolation,
        TopicError::Metadata(_) => Code::KafkaStorageError,
        TopicError::Log(error) => of_log(error),
        TopicError::Internal { .. } => Code::UnknownServerError,
    }
}

fn of_log(error: &LogError) -> Code {
    match error {
        LogError::Io { .. }
        | LogError::Poisoned { .. }
        | LogError::Offline { .. }
        | LogError::Panicked { .. }
        | LogError::NotReplayable { .. } => Code::KafkaStorageError,
        // A consumer stops and says so; on a storage error it would try again forever and say nothing.
        LogError::Corrupt { .. } => Code::CorruptMessage,
        LogError::Deleted { .. } => Code::UnknownTopicOrPartition,
        LogError::OutOfRange { .. } => Code::OffsetOutOfRange,
        LogError::FencedEpoch { .. } => Code::FencedLeaderEpoch,
        LogError::UnknownEpoch { .. } => Code::UnknownLeaderEpoch,
        LogError::InUse { .. }
        | LogError::NewerVersion { .. }
        | LogError::BadVersion { .. }
        | LogError::Internal { .. } => Code::UnknownServerError,
    }
}

fn of_append(error: &AppendError) -> Code {
    match error {
        AppendError::Record(error) => of_record(error),
        AppendError::Log(error) => of_log(error),
        AppendError::OutOfOrderSequence { .. } => Code::OutOfOrderSequenceNumber,
        AppendError::DuplicateSequence { .. } => Code::DuplicateSequenceNumber,
        AppendError::StaleProducerEpoch { .. } => Code::InvalidProducerEpoch,
        AppendError::ReservedProducerId { .. } => Code::InvalidRecord,
        // Not retriable: it would fill the connection's queue for a quarter of an hour.
        AppendError::TooManyProducers { .. } => Code::PolicyViolation,
    }
}

fn of_record(error: &RecordError) -> Code {
    match error {
        // CORRUPT_MESSAGE is sent again by clients: right for a CRC, wrong for what cannot get better.
        RecordError::Corrupt { .. } => Code::CorruptMessage,
        RecordError::Unread { .. } => Code::KafkaStorageError,
        RecordError::Magic { .. } | RecordError::Invalid { .. } | RecordError::Compression { .. } => {
            Code::InvalidRecord
        }
        RecordError::TooLarge { .. } => Code::MessageTooLarge,
        RecordError::Rejected { why: Rejection::Timestamp { .. }, .. } => Code::InvalidTimestamp,
        RecordError::Rejected { why: Rejection::NoKey, .. } => Code::InvalidRecord,
    }
}

fn of_group(error: &GroupError) -> Code {
    match error {
        GroupError::UnknownMember { .. } => Code::UnknownMemberId,
        GroupError::IllegalGeneration { .. } => Code::IllegalGeneration,
        GroupError::RebalanceInProgress { .. } => Code::RebalanceInProgress,
        GroupError::InconsistentProtocol { .. } => Code::InconsistentGroupProtocol,
        GroupError::InvalidSessionTimeout { .. } => Code::InvalidSessionTimeout,
        GroupError::MemberIdRequired { .. } => Code::MemberIdRequired,
        GroupError::FencedInstance { .. } => Code::FencedInstanceId,
        GroupError::InvalidGroupId { .. } => Code::InvalidGroupId,
        GroupError::NotFound { .. } => Code::GroupIdNotFound,
        GroupError::NotEmpty { .. } => Code::NonEmptyGroup,
        GroupError::Full { .. } | GroupError::MembersTooLarge { .. } | GroupError::OverShare(_) => {
            Code::GroupMaxSizeReached
        }
        GroupError::MetadataTooLarge { .. } => Code::OffsetMetadataTooLarge,
        // As Kafka's coordinator for an append that failed: clients look it up again and retry.
        GroupError::Stopping | GroupError::Log(_) | GroupError::Append(_) | GroupError::Unavailable { .. } => {
            Code::CoordinatorNotAvailable
        }
        GroupError::Topic(TopicError::Log(_)) => Code::CoordinatorNotAvailable,
        GroupError::Topic(error) => of_topic(error),
        // As Kafka's `appendGroupMetadataErrorToResponseError` for MESSAGE_TOO_LARGE: clients must not try again.
        GroupError::TooLarge { .. } | GroupError::Internal { .. } => Code::UnknownServerError,
    }
}
