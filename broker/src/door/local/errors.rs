//! The one place where this broker's inner errors become facts of the door. No `_` arm anywhere: a new inner fact fails to
//! compile here.

use sluice_plugins::UploadError;

use super::super::error::{
    DoorError, GroupFailure, PluginFailure, ProducerFailure, RecordFailure, StorageFailure, TopicFailure, Unusable,
};
use crate::chain::ChainError;
use crate::coordinator::group::GroupError;
use crate::engine::EngineError;
use crate::engine::plugins::PluginError;
use crate::log::{AppendError, LogError};
use crate::record::RecordError;
use crate::tasks::TaskFailure;
use crate::topics::{KeyedLogError, TopicError};

impl From<EngineError> for DoorError {
    fn from(error: EngineError) -> DoorError {
        match error {
            EngineError::Denied(error) => error.into(),
            EngineError::Topic(error) => error.into(),
            EngineError::Log(error) => error.into(),
            EngineError::Append(error) => error.into(),
            EngineError::Record(error) => error.into(),
            EngineError::Group(error) => error.into(),
            EngineError::Chain(error) => error.into(),
            EngineError::OverBudget(error) => DoorError::OverBudget(error),
            EngineError::OverShare(error) => DoorError::OverShare(error),
            EngineError::NoTransactions { .. } => DoorError::NotSupported { what: error.to_string() },
            EngineError::WrongEnd { end } => DoorError::WrongEnd { end },
            EngineError::InvalidRequest(invalid) => DoorError::InvalidRequest { reason: invalid.to_string() },
            EngineError::Internal { what } => DoorError::Internal { what },
            EngineError::Busy { reason } => DoorError::Busy { reason },
            EngineError::Stopping => DoorError::Stopping,
        }
    }
}

impl From<TaskFailure> for DoorError {
    fn from(failure: TaskFailure) -> DoorError {
        DoorError::Internal { what: failure.to_string() }
    }
}

impl From<TopicError> for DoorError {
    fn from(error: TopicError) -> DoorError {
        let failure = match error {
            TopicError::Log(error) => return error.into(),
            TopicError::Internal { what } => return DoorError::Internal { what },
            TopicError::Metadata(_) => return StorageFailure::Broken { reason: error.to_string() }.into(),
            TopicError::NotFound { name } => TopicFailure::NotFound { name: name.to_string() },
            TopicError::IdNotFound { id } => TopicFailure::IdNotFound { id },
            TopicError::NoPartition { topic, partition } => {
                TopicFailure::NoPartition { topic: topic.to_string(), partition }
            }
            TopicError::Exists { name } => TopicFailure::Exists { name: name.to_string() },
            TopicError::BadName(error) => error.into(),
            TopicError::RefusedName(refused) => TopicFailure::BadName { reason: refused.to_string() },
            TopicError::BadPartitions(bad) => TopicFailure::BadPartitions { reason: bad.to_string() },
            TopicError::BadReplication(bad) => TopicFailure::BadReplication { reason: bad.to_string() },
            TopicError::BadConfig(bad) => TopicFailure::BadConfig { reason: bad.to_string() },
            TopicError::Refused(refused) => TopicFailure::Forbidden { reason: refused.to_string() },
        };
        DoorError::Topic(failure)
    }
}

impl From<LogError> for DoorError {
    fn from(error: LogError) -> DoorError {
        let reason = error.to_string();
        let failure = match error {
            // Not poisoned (log contract, rule 8): there may be room again soon.
            ref full if full.is_no_space() => StorageFailure::Full { reason },
            LogError::Io { .. }
            | LogError::Corrupt { .. }
            | LogError::InUse { .. }
            | LogError::NewerVersion { .. }
            | LogError::BadVersion { .. } => StorageFailure::Broken { reason },
            LogError::Poisoned { .. }
            | LogError::Offline { .. }
            | LogError::Panicked { .. }
            | LogError::NotReplayable { .. } => StorageFailure::Offline { reason },
            LogError::FencedEpoch { asked, current } | LogError::UnknownEpoch { asked, current } => {
                StorageFailure::LeaderChanged { asked, current }
            }
            LogError::Internal { what } => return DoorError::Internal { what },
            LogError::Deleted { partition } => return TopicFailure::Deleted { partition }.into(),
            LogError::OutOfRange { asked, log_start, end } => {
                return DoorError::OffsetOutOfRange { asked, beginning: log_start, end };
            }
        };
        DoorError::Storage(failure)
    }
}

impl From<AppendError> for DoorError {
    fn from(error: AppendError) -> DoorError {
        let failure = match error {
            AppendError::Record(error) => return error.into(),
            AppendError::Log(error) => return error.into(),
            AppendError::OutOfOrderSequence { producer, got, expected } => {
                ProducerFailure::OutOfOrderSequence { producer, got, expected }
            }
            AppendError::DuplicateSequence { producer, got } => ProducerFailure::DuplicateSequence { producer, got },
            AppendError::StaleProducerEpoch { producer, got, current } => {
                ProducerFailure::StaleEpoch { producer, got, current }
            }
            AppendError::ReservedProducerId { producer } => ProducerFailure::ReservedId { producer },
            AppendError::TooManyProducers { producer, known } => ProducerFailure::TooMany { producer, known },
        };
        DoorError::Producer(failure)
    }
}

impl From<RecordError> for DoorError {
    fn from(error: RecordError) -> DoorError {
        let reason = error.to_string();
        DoorError::Record(match error {
            RecordError::TooLarge { size, limit } => RecordFailure::TooLarge { size, limit },
            RecordError::Invalid { .. } => RecordFailure::Invalid { reason },
            RecordError::Rejected { .. } => RecordFailure::Rejected { reason },
            // The door builds batches itself: these come from stored ones.
            RecordError::Unread { .. } => return StorageFailure::Broken { reason }.into(),
            RecordError::Magic { .. } | RecordError::Corrupt { .. } | RecordError::Compression { .. } => {
                RecordFailure::Unreadable { reason }
            }
        })
    }
}

impl From<GroupError> for DoorError {
    fn from(error: GroupError) -> DoorError {
        let failure = match error {
            GroupError::Topic(error) => return error.into(),
            GroupError::Log(error) => return error.into(),
            GroupError::OverShare(error) => return DoorError::OverShare(error),
            GroupError::Append(error) => return error.into(),
            GroupError::Internal { what } => return DoorError::Internal { what },
            GroupError::UnknownMember { group, member } => GroupFailure::UnknownMember { group, member },
            GroupError::IllegalGeneration { group, asked, current } => {
                GroupFailure::IllegalGeneration { group, asked, current }
            }
            GroupError::RebalanceInProgress { group } => GroupFailure::RebalanceInProgress { group },
            GroupError::InconsistentProtocol { group } => GroupFailure::InconsistentProtocol { group },
            GroupError::InvalidSessionTimeout { asked_ms, min_ms, max_ms } => {
                GroupFailure::InvalidSessionTimeout { asked_ms, min_ms, max_ms }
            }
            GroupError::MemberIdRequired { member } => GroupFailure::MemberIdRequired { member },
            GroupError::FencedInstance { instance } => GroupFailure::FencedInstance { instance },
            GroupError::InvalidGroupId { group } => GroupFailure::InvalidId { group },
            GroupError::NotFound { group } => GroupFailure::NotFound { group },
            GroupError::NotEmpty { group } => GroupFailure::NotEmpty { group },
            GroupError::Full { group, limit } => GroupFailure::Full { group, limit },
            GroupError::MembersTooLarge { group, limit } => GroupFailure::MembersTooLarge { group, limit },
            GroupError::MetadataTooLarge { limit } => GroupFailure::MetadataTooLarge { limit },
            GroupError::TooLarge { size, limit } => GroupFailure::TooLarge { size, limit },
            GroupError::Stopping => GroupFailure::Stopping,
            GroupError::Unavailable { shard } => GroupFailure::Unavailable { shard },
        };
        DoorError::Group(failure)
    }
}

impl From<ChainError> for DoorError {
    fn from(error: ChainError) -> DoorError {
        DoorError::Plugin(match error {
            ChainError::BadBinding { topic, plugin, reason } => PluginFailure::BadBinding { topic, plugin, reason },
            ChainError::Unavailable { topic, plugin, reason } => PluginFailure::Unavailable { topic, plugin, reason },
            ChainError::Failed { topic, plugin, reason } => PluginFailure::Failed { topic, plugin, reason },
        })
    }
}

impl From<PluginError> for DoorError {
    fn from(error: PluginError) -> DoorError {
        match error {
            PluginError::Upload(error) => error.into(),
            PluginError::NotFound { name } => PluginFailure::NotFound { name }.into(),
            PluginError::InUse { name, topics } => PluginFailure::InUse { name, topics }.into(),
        }
    }
}

impl From<UploadError> for DoorError {
    fn from(error: UploadError) -> DoorError {
        let reason = error.to_string();
        let why = match error {
            UploadError::Malformed { .. } => Unusable::Malformed,
            UploadError::WrongWorld { .. } => Unusable::WrongWorld,
            UploadError::ForbiddenImport { .. } => Unusable::ForbiddenImport,
            UploadError::Compile { .. } => Unusable::Compile,
            UploadError::Start { .. } => Unusable::Start,
            UploadError::BadName { .. } => return PluginFailure::BadName { reason }.into(),
            UploadError::TooLarge { size, limit } => return PluginFailure::TooLarge { size, limit }.into(),
            UploadError::Init { topics, .. } => return PluginFailure::ConfigurationRefused { topics, reason }.into(),
            UploadError::TooMany { what, limit } => return PluginFailure::TooMany { what, limit }.into(),
            UploadError::Busy { waiting } => return PluginFailure::Busy { waiting }.into(),
            UploadError::Host(_) => return PluginFailure::Host { reason }.into(),
        };
        DoorError::Plugin(PluginFailure::Unusable { why, reason })
    }
}

impl From<KeyedLogError> for DoorError {
    fn from(error: KeyedLogError) -> DoorError {
        match error {
            KeyedLogError::Topic(error) => error.into(),
            KeyedLogError::Log(error) => error.into(),
            KeyedLogError::Append(error) => error.into(),
            KeyedLogError::Record(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};
    use std::sync::Arc;

    use super::*;
    use crate::ids::Offset;

    fn io(kind: ErrorKind) -> DoorError {
        LogError::Io { doing: "cannot write", path: "/d/t-0/0.log".into(), cause: Arc::new(Error::from(kind)) }.into()
    }

    #[test]
    fn a_full_disk_is_not_a_broken_one() {
        assert!(matches!(io(ErrorKind::StorageFull), DoorError::Storage(StorageFailure::Full { .. })), "rule 8");
        assert!(matches!(io(ErrorKind::PermissionDenied), DoorError::Storage(StorageFailure::Broken { .. })));
    }

    #[test]
    fn the_same_fact_is_the_same_fact_by_whichever_way_it_comes() {
        let deleted = || LogError::Deleted { partition: "t-0".into() };
        let expect = DoorError::Topic(TopicFailure::Deleted { partition: "t-0".into() });
        assert_eq!(DoorError::from(EngineError::Log(deleted())), expect);
        assert_eq!(DoorError::from(EngineError::Append(AppendError::Log(deleted()))), expect);
        assert_eq!(DoorError::from(EngineError::Topic(TopicError::Log(deleted()))), expect);
        assert_eq!(DoorError::from(GroupError::Append(AppendError::Log(deleted()))), expect);
    }

    #[test]
    fn texts_stay_and_offsets_are_those_that_a_consumer_sees() {
        let range = LogError::OutOfRange { asked: Offset(9), log_start: Offset(2), end: Offset(5) };
        let text = range.to_string();
        let error = DoorError::from(range);
        assert_eq!(error.to_string(), text);
        assert_eq!(error, DoorError::OffsetOutOfRange { asked: Offset(9), beginning: Offset(2), end: Offset(5) });
        let invalid = RecordError::Invalid { reason: "no key".into() };
        assert_eq!(DoorError::from(invalid.clone()).to_string(), invalid.to_string());
    }
}
