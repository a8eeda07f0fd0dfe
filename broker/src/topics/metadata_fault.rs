//! What can be wrong with the metadata log, as facts: it is missing, a record cannot be understood, or a record contradicts
//! those before it. The broker does not start then: skipping a record would serve deleted topics or lose ones that exist.

use std::path::PathBuf;

use super::bad_config::BadConfig;
use crate::ids::{LeaderEpoch, Offset, TopicId, TopicName};

/// Why the metadata log cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataFault {
    /// There are partitions and no metadata log (rule 17).
    #[error("{} holds partitions and no {log}: restore that folder, or choose another data directory", path.display())]
    Missing {
        /// The data folder.
        path: PathBuf,
        /// The missing folder in it.
        log: String,
    },
    /// A record of the log.
    #[error("offset {offset}: {fault}")]
    Record {
        /// Where it stands.
        offset: Offset,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// A topic has configs that this version does not take.
    #[error("the configs of topic '{topic}': {cause}")]
    Configs {
        /// The topic.
        topic: TopicName,
        /// What is wrong with them.
        cause: BadConfig,
    },
}

/// Why a record of the metadata log cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Not a record of any version.
    #[error("not a metadata record: {cause}")]
    NoRecord {
        /// What the parser said.
        cause: String,
    },
    /// The record of a newer version.
    #[error(
        "a '{kind}' record of version {version} was written by sluice {broker} and is not known to this one, {}: start that \
         version or a later one",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The record's type.
        kind: String,
        /// The version of its format.
        version: u32,
        /// The version of the program that wrote it.
        broker: String,
    },
    /// A known type with other fields.
    #[error("a '{kind}' record of sluice {broker} does not parse: {cause}")]
    Malformed {
        /// The record's type.
        kind: String,
        /// The version of the program that wrote it.
        broker: String,
        /// What the parser said.
        cause: String,
    },
    /// A part of a snapshot without those before it.
    #[error("part {part} of {of} of a snapshot does not follow the part before it")]
    AlonePart {
        /// Its place among the parts, from 0.
        part: u32,
        /// How many parts the snapshot has.
        of: u32,
    },
    /// A term that is not above the one before it.
    #[error("term {term} follows term {last}")]
    OldTerm {
        /// The record's term.
        term: LeaderEpoch,
        /// The term before it.
        last: LeaderEpoch,
    },
    /// Two topics of one name.
    #[error("topic '{name}' is made as {id} while {other} has that name")]
    NameTaken {
        /// The name.
        name: TopicName,
        /// The id in the record.
        id: TopicId,
        /// The id of the topic that has the name.
        other: TopicId,
    },
    /// Two topics of one id.
    #[error("topic id {id} is given twice")]
    IdTaken {
        /// The id.
        id: TopicId,
    },
    /// Fewer partitions than before.
    #[error("topic '{name}' shrinks from {from} to {to}")]
    Shrinks {
        /// The topic.
        name: TopicName,
        /// Its partitions before the record.
        from: i32,
        /// The count in the record.
        to: i32,
    },
    /// A topic that does not exist.
    #[error("a record is about topic id {id}, which does not exist")]
    NoTopic {
        /// The id in the record.
        id: TopicId,
    },
}
