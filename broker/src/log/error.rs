//! What can go wrong in a log, with the place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TopicId};
use crate::log::layout::{CURRENT_VERSION, PARTITION_METADATA};
use crate::record::RecordError;
use crate::tasks::TaskFailure;

/// A failure of the log or its files.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// A system call failed.
    #[error("{doing} {path}: {cause}")]
    Io {
        /// What was being done, as a verb ("cannot write").
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        cause: Arc<std::io::Error>,
    },
    /// A sync failed earlier: nothing of this partition is trusted until restart (rule 8).
    #[error("partition {partition} is read-only until the broker restarts: a sync failed ({cause})")]
    Poisoned {
        /// `topic-partition`.
        partition: String,
        /// The first failure.
        cause: String,
    },
    /// The broker panicked while it changed the log: what it has in memory may be half changed.
    #[error("partition {partition} is out of service until the broker restarts: a bug interrupted a change of its log")]
    Panicked {
        /// `topic-partition`.
        partition: String,
    },
    /// Damage below an offset recorded as durable (rule 10).
    #[error("{path} is damaged at byte {position}: {reason}; see 'sluice log repair'")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        position: u64,
        /// What was found.
        reason: String,
    },
    /// The partition could not be opened (rule 17), or its log was closed.
    #[error("partition {partition} is offline: {why}")]
    Offline {
        /// `topic-partition`.
        partition: String,
        /// Why.
        why: Offline,
    },
    /// A log that holds state of the broker's own cannot be replayed to its high watermark.
    #[error("partition {partition} cannot be replayed from offset {offset}: {fault}")]
    NotReplayable {
        /// `topic-partition`.
        partition: String,
        /// Everything below was replayed.
        offset: Offset,
        /// What was found there.
        fault: ReplayFault,
    },
    /// The topic was deleted (rule 16).
    #[error("partition {partition} has been deleted")]
    Deleted {
        /// `topic-partition`.
        partition: String,
    },
    /// The offset asked for is not in the log.
    #[error("offset {asked} is outside of {log_start}..{end}")]
    OutOfRange {
        /// What was asked for.
        asked: Offset,
        /// The first offset.
        log_start: Offset,
        /// The high watermark.
        end: Offset,
    },
    /// The caller's epoch is older than the partition's (rule 5).
    #[error("leader epoch {asked} is older than {current}")]
    FencedEpoch {
        /// The caller's.
        asked: LeaderEpoch,
        /// Ours.
        current: LeaderEpoch,
    },
    /// The caller's epoch is newer than the partition's (rule 5).
    #[error("leader epoch {asked} is newer than {current}")]
    UnknownEpoch {
        /// The caller's.
        asked: LeaderEpoch,
        /// Ours.
        current: LeaderEpoch,
    },
    /// A newer program has written the data folder.
    #[error(
        "{path} says version {found}, this sluice reads data folders of the versions 0 to {}: use the sluice that wrote it, \
         or a newer one",
        CURRENT_VERSION
    )]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// The folder's version.
        found: u32,
    },
    /// The file of the data folder's version is damaged.
    #[error(
        "{path} does not hold the version of the data folder: write '{}' into it if this sluice wrote the folder last",
        CURRENT_VERSION
    )]
    BadVersion {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the data directory.
    #[error("another process uses {path}: stop it, or choose another folder with --data-dir")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// A bug of ours.
    #[error("internal error: {what}")]
    Internal {
        /// What went wrong.
        what: String,
    },
}

/// Why a partition is offline.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Offline {
    /// Its directory is missing, or the file in it that says whose it is.
    #[error("{} is missing, or has no {}", dir.display(), PARTITION_METADATA)]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// The file in its directory that says whose it is cannot be read.
    #[error("{} has no readable {}", dir.display(), PARTITION_METADATA)]
    NoIdentity {
        /// The directory.
        dir: PathBuf,
    },
    /// Its directory belongs to another topic.
    #[error("{} belongs to topic id {found}, not {wanted}", dir.display())]
    OtherTopic {
        /// The directory.
        dir: PathBuf,
        /// The topic of the directory.
        found: TopicId,
        /// The topic of the partition.
        wanted: TopicId,
    },
    /// Its directory holds no segment.
    #[error("{} holds no segment", dir.display())]
    NoSegment {
        /// The directory.
        dir: PathBuf,
    },
    /// Its files could not be read.
    #[error(transparent)]
    Unreadable(Arc<LogError>),
    /// The log directory is closing, or was closed.
    #[error("the broker is shutting down")]
    Closed,
}

impl From<TaskFailure> for LogError {
    fn from(failure: TaskFailure) -> LogError {
        LogError::Internal { what: failure.to_string() }
    }
}

impl LogError {
    /// The disk is full, or a quota or a limit of size is reached: it may work when there is room again (rule 8).
    #[must_use]
    pub(crate) fn is_no_space(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, LogError::Io { cause, .. } if matches!(cause.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// A failed system call.
    pub(super) fn io(doing: &'static str, path: &Path, cause: std::io::Error) -> LogError {
        LogError::Io { doing, path: path.to_path_buf(), cause: Arc::new(cause) }
    }
}

/// What ends a replay too early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayFault {
    /// There is no batch although the log goes on.
    #[error("there is no batch, the high watermark is {hw}")]
    Empty {
        /// The high watermark.
        hw: Offset,
    },
    /// The batch, or a control record in it, is damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record that does not follow the schema of the log's owner.
    #[error("the record does not follow its schema: {what}")]
    Schema {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A transactional batch, or a marker, does not say whose transaction it belongs to.
    #[error("the batch belongs to a transaction and has no producer id")]
    NoProducer,
}

/// Why a batch was not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The batch itself is at fault.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The log is.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A gap or an old sequence outside of the five batches known (KIP-98).
    #[error("producer {producer} sent sequence {got}, {expected} was expected")]
    OutOfOrderSequence {
        /// The producer.
        producer: ProducerId,
        /// What came.
        got: Sequence,
        /// What would have been next.
        expected: Sequence,
    },
    /// An older sequence than the oldest batch that is remembered: the record is there, where is forgotten.
    #[error("producer {producer}: sequence {got} was written, its offset is no longer known")]
    DuplicateSequence {
        /// The producer.
        producer: ProducerId,
        /// What came.
        got: Sequence,
    },
    /// A producer with a newer epoch has written here.
    #[error("producer {producer} has epoch {got}, the partition knows {current}")]
    StaleProducerEpoch {
        /// The producer.
        producer: ProducerId,
        /// What came.
        got: ProducerEpoch,
        /// The newest known.
        current: ProducerEpoch,
    },
    /// The partition remembers as many producers as it may, and all of them have written lately.
    #[error(
        "producer {producer} is new to a partition that remembers {known} producers already: too many write to it at once \
         (has a client no end of producer ids?)"
    )]
    TooManyProducers {
        /// The newcomer.
        producer: ProducerId,
        /// How many are remembered.
        known: usize,
    },
    /// A client used an id of the range that internal streams have (rule 19).
    #[error("producer id {producer} is reserved for the broker")]
    ReservedProducerId {
        /// The id.
        producer: ProducerId,
    },
}

/// Why a conditional append (`Partition::append_if_end`) did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ConditionalAppendError {
    /// The log does not end where the caller said.
    #[error("the log ends at {end}")]
    WrongEnd {
        /// Where it ends.
        end: Offset,
    },
    /// The append failed for another reason.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<LogError> for ConditionalAppendError {
    fn from(error: LogError) -> ConditionalAppendError {
        ConditionalAppendError::Append(AppendError::Log(error))
    }
}

/// A refusal, and what it reveals: the caller must not hear of it before that is durable (rule 2).
#[derive(Debug)]
pub(in crate::log) struct Refused<E = AppendError> {
    pub(in crate::log) error: E,
    /// Answer only once HW has reached this.
    pub(in crate::log) reveals: Option<Offset>,
}

impl<E> Refused<E> {
    /// It says nothing about what the log contains.
    pub(in crate::log) fn reveals_nothing(error: E) -> Refused<E> {
        Refused { error, reveals: None }
    }
}

impl From<Refused> for Refused<ConditionalAppendError> {
    fn from(refused: Refused) -> Refused<ConditionalAppendError> {
        Refused { error: refused.error.into(), reveals: refused.reveals }
    }
}
