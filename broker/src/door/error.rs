//! Every fact that a verb of the door can fail with. The door has errors of its own, because an existing Kafka cluster behind
//! it would fail with the same facts and with none of this broker's inner types. `gateway/src/problem` and `delay/` tell them
//! apart; `local/errors.rs` makes them from the engine's. Texts are for people: nobody matches on them.

use crate::auth::Denied;
use crate::ids::{BadTopicName, Generation, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TopicId};
use crate::memory::{OverBudget, OverShare};

/// Why a verb of the door failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// About a topic or one of its partitions.
    #[error(transparent)]
    Topic(#[from] TopicFailure),
    /// About the records themselves.
    #[error(transparent)]
    Record(#[from] RecordFailure),
    /// About the producer or stream that wrote them.
    #[error(transparent)]
    Producer(#[from] ProducerFailure),
    /// About the storage of a partition.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// About a consumer group.
    #[error(transparent)]
    Group(#[from] GroupFailure),
    /// About a plugin.
    #[error(transparent)]
    Plugin(#[from] PluginFailure),
    /// This broker has no memory for the request now, or never has.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The caller has its share of what this broker keeps in memory.
    #[error(transparent)]
    OverShare(#[from] OverShare),
    /// A read from an offset that the partition does not have.
    #[error("offset {asked} is outside of {beginning}..{end}")]
    OffsetOutOfRange {
        /// The offset of the request.
        asked: Offset,
        /// The first offset that the partition has.
        beginning: Offset,
        /// The offset after the last visible record.
        end: Offset,
    },
    /// A conditional append: the partition does not end at the expected offset.
    #[error("the partition ends at {end}")]
    WrongEnd {
        /// Where it ends.
        end: Offset,
    },
    /// The caller lacks a permission.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The request contradicts itself.
    #[error("{reason}")]
    InvalidRequest {
        /// How.
        reason: String,
    },
    /// Something that this broker does not do.
    #[error("{what}")]
    NotSupported {
        /// What, and what to do instead.
        what: String,
    },
    /// A bug of the broker, not of the caller.
    #[error("internal error: {what}")]
    Internal {
        /// What went wrong.
        what: String,
    },
    /// What the call needs is not free now. The same call may succeed soon.
    #[error("{reason}")]
    Busy {
        /// What there is too much of.
        reason: String,
    },
    /// The broker stops.
    #[error("the broker is shutting down")]
    Stopping,
}

/// Facts about a topic or one of its partitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicFailure {
    /// No topic has this name.
    #[error("there is no topic '{name}'")]
    NotFound {
        /// The name of the request.
        name: String,
    },
    /// No topic has this id.
    #[error("there is no topic with id {id}")]
    IdNotFound {
        /// The id of the request.
        id: TopicId,
    },
    /// The topic has fewer partitions.
    #[error("topic '{topic}' has no partition {partition}")]
    NoPartition {
        /// The topic's name.
        topic: String,
        /// The number of the request.
        partition: i32,
    },
    /// The topic was deleted during the call.
    #[error("partition {partition} has been deleted")]
    Deleted {
        /// `topic-partition`.
        partition: String,
    },
    /// A topic has this name already.
    #[error("topic '{name}' already exists")]
    Exists {
        /// The name of the request.
        name: String,
    },
    /// The name is not legal, or reserved, or a malformed delay topic's.
    #[error("{reason}")]
    BadName {
        /// Why, and what to do.
        reason: String,
    },
    /// The partition count is not possible.
    #[error("{reason}")]
    BadPartitions {
        /// Why.
        reason: String,
    },
    /// The replication factor is not possible.
    #[error("{reason}")]
    BadReplication {
        /// Why, and what to do.
        reason: String,
    },
    /// A config does not exist or cannot have this value.
    #[error("{reason}")]
    BadConfig {
        /// Which config, and why.
        reason: String,
    },
    /// A policy forbids the change: an internal topic, records that wait for delivery.
    #[error("{reason}")]
    Forbidden {
        /// Which policy.
        reason: String,
    },
}

/// Facts about records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFailure {
    /// Larger than the topic's `max.message.bytes`.
    #[error("the record batch has {size} bytes, the topic takes at most {limit} (max.message.bytes)")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The topic's limit in bytes.
        limit: usize,
    },
    /// The topic does not take such records: no key in a compacted topic, a time too far from now.
    #[error("{reason}")]
    Rejected {
        /// Which records, and why.
        reason: String,
    },
    /// A value that no record can have.
    #[error("{reason}")]
    Invalid {
        /// Which, and why.
        reason: String,
    },
    /// A stored batch is damaged or cannot be decompressed.
    #[error("{reason}")]
    Unreadable {
        /// What was found, and where the next batch begins when that is known.
        reason: String,
    },
}

/// Facts about a producer or a stream of deduplicated appends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerFailure {
    /// A gap in the sequences. Nothing was written.
    #[error("producer {producer} sent sequence {got}, {expected} was expected")]
    OutOfOrderSequence {
        /// The producer or stream.
        producer: ProducerId,
        /// The sequence of the request.
        got: Sequence,
        /// The next sequence.
        expected: Sequence,
    },
    /// The record was written before; its offset is no longer known.
    #[error("producer {producer}: sequence {got} was written, its offset is no longer known")]
    DuplicateSequence {
        /// The producer or stream.
        producer: ProducerId,
        /// The sequence of the request.
        got: Sequence,
    },
    /// The same producer has written with a newer epoch.
    #[error("producer {producer} has epoch {got}, the partition knows {current}")]
    StaleEpoch {
        /// The producer.
        producer: ProducerId,
        /// The epoch of the request.
        got: ProducerEpoch,
        /// The newest epoch.
        current: ProducerEpoch,
    },
    /// The partition remembers as many producers as it may.
    #[error("producer {producer} is new to a partition that remembers {known} producers already")]
    TooMany {
        /// The newcomer.
        producer: ProducerId,
        /// How many are remembered.
        known: usize,
    },
    /// Only the broker's own streams may use this id.
    #[error("producer id {producer} is reserved for the broker")]
    ReservedId {
        /// The id of the request.
        producer: ProducerId,
    },
}

/// Facts about the storage of a partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageFailure {
    /// The disk is full. The same request may succeed later.
    #[error("{reason}")]
    Full {
        /// Which file, and the system's answer.
        reason: String,
    },
    /// The partition cannot be used until an operator acts: a sync failed, or its directory is missing.
    #[error("{reason}")]
    Offline {
        /// Which partition, and why.
        reason: String,
    },
    /// A file is damaged, or a system call failed.
    #[error("{reason}")]
    Broken {
        /// Which file, and what was found.
        reason: String,
    },
    /// The partition's leader changed.
    #[error("leader epoch {asked} is not the current one, {current}")]
    LeaderChanged {
        /// The epoch of the request.
        asked: LeaderEpoch,
        /// The partition's epoch.
        current: LeaderEpoch,
    },
}

/// Facts about a consumer group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupFailure {
    /// Not a member of the group (any more).
    #[error("member '{member}' is not in group '{group}'")]
    UnknownMember {
        /// The group.
        group: String,
        /// The member id of the request.
        member: String,
    },
    /// The group is at another generation than the member.
    #[error("group '{group}' is at generation {current}, the request names {asked}")]
    IllegalGeneration {
        /// The group.
        group: String,
        /// The generation of the request.
        asked: Generation,
        /// The group's generation.
        current: Generation,
    },
    /// A commit of a partition that the session does not hold.
    #[error("partition {partition} of topic '{topic}' is not assigned to this consumer")]
    NotAssigned {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
    },
    /// The group has committed nothing for a partition, and the consumer did not say where to begin then.
    #[error("the group has committed no offset for partition {partition} of topic '{topic}'")]
    NothingCommitted {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
    },
    /// The group is rebalancing.
    #[error("group '{group}' is rebalancing: join again")]
    RebalanceInProgress {
        /// The group.
        group: String,
    },
    /// The member shares no protocol with the others.
    #[error("no protocol that all members of group '{group}' support, or another protocol type")]
    InconsistentProtocol {
        /// The group.
        group: String,
    },
    /// The session timeout is out of bounds.
    #[error("the session time-out {asked_ms} ms is outside of {min_ms}..{max_ms}")]
    InvalidSessionTimeout {
        /// The timeout of the request.
        asked_ms: u64,
        /// The shortest that is allowed.
        min_ms: u64,
        /// The longest that is allowed.
        max_ms: u64,
    },
    /// Join again with this member id (KIP-394).
    #[error("join again as '{member}'")]
    MemberIdRequired {
        /// The new id.
        member: String,
    },
    /// The instance id belongs to another member now (KIP-345).
    #[error("instance '{instance}' is now another member")]
    FencedInstance {
        /// The instance id of the request.
        instance: String,
    },
    /// Not a legal group id.
    #[error("'{group}' is not a group id")]
    InvalidId {
        /// The id of the request.
        group: String,
    },
    /// No group has this id.
    #[error("there is no group '{group}'")]
    NotFound {
        /// The id of the request.
        group: String,
    },
    /// The group has members: only they may commit.
    #[error("group '{group}' has members")]
    NotEmpty {
        /// The group.
        group: String,
    },
    /// The group, or the number of groups, is at its limit.
    #[error("group '{group}' cannot take another member: the limit is {limit}")]
    Full {
        /// The group.
        group: String,
        /// The limit.
        limit: usize,
    },
    /// What the group's members bring along is at its limit.
    #[error("group '{group}' cannot take the member: what its members bring along may have {limit} bytes")]
    MembersTooLarge {
        /// The group.
        group: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The metadata of a commit is too long.
    #[error("the metadata of a commit may have {limit} bytes")]
    MetadataTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The request has more than the coordinator's log takes at once.
    #[error("the records of this request have {size} bytes, the coordinator's log takes {limit} at once")]
    TooLarge {
        /// Bytes, at least.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The group's coordinator has failed, by a bug of ours; a restart loads it again.
    #[error("the coordinator of {shard} is unavailable until the broker restarts")]
    Unavailable {
        /// Its partition of the offsets topic.
        shard: String,
    },
    /// The coordinator is stopping.
    #[error("the coordinator is stopping")]
    Stopping,
}

/// Facts about a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginFailure {
    /// No plugin has this name.
    #[error("there is no plugin '{name}'")]
    NotFound {
        /// The name of the request.
        name: String,
    },
    /// Topics are bound to the plugin.
    #[error("plugin '{name}' is in use by {topics:?}: unbind it there first")]
    InUse {
        /// The plugin.
        name: String,
        /// The topics.
        topics: Vec<String>,
    },
    /// Not a legal plugin name.
    #[error("{reason}")]
    BadName {
        /// The rule for names.
        reason: String,
    },
    /// The upload is larger than a plugin may be.
    #[error("{size} bytes are more than the {limit} that a plugin may have")]
    TooLarge {
        /// Bytes of the upload.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The upload is not a plugin of this broker.
    #[error("{reason}")]
    Unusable {
        /// What kind of fault it has.
        why: Unusable,
        /// What was found.
        reason: String,
    },
    /// The new version refuses the configuration of topics that are bound to the plugin.
    #[error("{reason}")]
    ConfigurationRefused {
        /// The topics.
        topics: Vec<String>,
        /// What the plugin said about the first of them.
        reason: String,
    },
    /// There are as many plugins or versions as the broker keeps.
    #[error("there are {limit} {what} already, which is the most that are kept")]
    TooMany {
        /// Plugins or versions.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Too many other uploads wait. The same request may succeed soon.
    #[error("{waiting} uploads wait already; try again")]
    Busy {
        /// The number of waiting uploads.
        waiting: usize,
    },
    /// The plugin host failed.
    #[error("{reason}")]
    Host {
        /// What it was doing, and the system's answer.
        reason: String,
    },
    /// A config change would bind a plugin that does not accept it. Nothing has changed.
    #[error("topic '{topic}' cannot be bound to partitioner '{plugin}': {reason}")]
    BadBinding {
        /// The topic.
        topic: String,
        /// The plugin, as the binding names it.
        plugin: String,
        /// What the host or the plugin said.
        reason: String,
    },
    /// The bound plugin cannot be loaded: the topic refuses records until an operator acts.
    #[error("topic '{topic}' is bound to partitioner '{plugin}': {reason}")]
    Unavailable {
        /// The topic.
        topic: String,
        /// The plugin, as the binding names it.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// The plugin failed on these records.
    #[error("partitioner '{plugin}' of topic '{topic}' failed: {reason}")]
    Failed {
        /// The topic.
        topic: String,
        /// The plugin, as the binding names it.
        plugin: String,
        /// How: a trap, the time limit, the memory limit, a wrong answer.
        reason: String,
    },
}

/// Why an uploaded file is not a plugin of this broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Not a valid WebAssembly component or module.
    Malformed,
    /// It exports no world of this broker.
    WrongWorld,
    /// It imports more than log and clock.
    ForbiddenImport,
    /// The compiler refuses it: too large or too complex.
    Compile,
    /// It traps, or takes too much, before its first call.
    Start,
}

impl From<BadTopicName> for TopicFailure {
    fn from(error: BadTopicName) -> TopicFailure {
        TopicFailure::BadName { reason: error.to_string() }
    }
}

impl From<BadTopicName> for DoorError {
    fn from(error: BadTopicName) -> DoorError {
        DoorError::Topic(error.into())
    }
}
