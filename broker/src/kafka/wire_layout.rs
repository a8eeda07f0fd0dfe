//! What each request looks like on the wire, as far as `bounds.rs` has to know: one shape an API, all versions in it.
//! Source: Kafka's message definitions (`clients/src/main/resources/common/message/*Request.json`). A test walks requests that
//! the codec has encoded, in every version, and must end at their last byte.

use kafka_protocol::messages::ApiKey;

use self::Part::{Blob, Fixed, List, Maybe, Nested, Numbers, Text, Texts, Topic, Topics};

/// What a field looks like on the wire, as far as lengths go. Text, blobs and lists are compact in flexible versions.
#[derive(Debug)]
pub(super) enum Part {
    /// This many bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// A topic's name, null or not: a string with a bound of its own.
    Topic,
    /// Bytes, null or not.
    Blob,
    /// Structs.
    List(&'static Shape),
    /// Numbers of this many bytes each.
    Numbers(usize),
    /// Strings.
    Texts,
    /// Names of topics.
    Topics,
    /// One byte (1: there, else not), then perhaps a struct.
    Maybe(&'static Shape),
    /// A struct.
    Nested(&'static Shape),
}

/// A field and the versions that have it.
#[derive(Debug)]
pub(super) struct Field {
    /// First version.
    pub(crate) from: i16,
    /// Last version.
    pub(crate) to: i16,
    /// What it looks like.
    pub(crate) part: Part,
}

/// A struct: its fields in order, then, in flexible versions, the tagged fields that the codec knows (tag, first version, part).
#[derive(Debug)]
pub(super) struct Shape {
    /// In order.
    pub(crate) fields: &'static [Field],
    /// The codec decodes these by their type, whatever size they claim, so the walk has to as well.
    pub(crate) tags: &'static [(u32, i16, Part)],
}

/// The request of an API; `None` for one that is not offered.
pub(super) fn of(key: ApiKey) -> Option<&'static Shape> {
    Some(match key {
        ApiKey::Produce => &PRODUCE,
        ApiKey::Fetch => &FETCH,
        ApiKey::ListOffsets => &LIST_OFFSETS,
        ApiKey::Metadata => &METADATA,
        ApiKey::OffsetCommit => &OFFSET_COMMIT,
        ApiKey::OffsetFetch => &OFFSET_FETCH,
        ApiKey::FindCoordinator => &FIND_COORDINATOR,
        ApiKey::JoinGroup => &JOIN_GROUP,
        ApiKey::Heartbeat => &HEARTBEAT,
        ApiKey::LeaveGroup => &LEAVE_GROUP,
        ApiKey::SyncGroup => &SYNC_GROUP,
        ApiKey::DescribeGroups => &DESCRIBE_GROUPS,
        ApiKey::ListGroups => &LIST_GROUPS,
        ApiKey::ApiVersions => &API_VERSIONS,
        ApiKey::CreateTopics => &CREATE_TOPICS,
        ApiKey::DeleteTopics => &DELETE_TOPICS,
        ApiKey::DeleteRecords => &DELETE_RECORDS,
        ApiKey::InitProducerId => &INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => &OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => &DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => &ALTER_CONFIGS,
        ApiKey::CreatePartitions => &CREATE_PARTITIONS,
        ApiKey::IncrementalAlterConfigs => &INCREMENTAL_ALTER_CONFIGS,
        ApiKey::DescribeCluster => &DESCRIBE_CLUSTER,
        ApiKey::DescribeTopicPartitions => &DESCRIBE_TOPIC_PARTITIONS,
        _ => return None,
    })
}

const fn all(part: Part) -> Field {
    between(0, i16::MAX, part)
}

const fn since(from: i16, part: Part) -> Field {
    between(from, i16::MAX, part)
}

const fn until(to: i16, part: Part) -> Field {
    between(0, to, part)
}

const fn between(from: i16, to: i16, part: Part) -> Field {
    Field { from, to, part }
}

const fn plain(fields: &'static [Field]) -> Shape {
    Shape { fields, tags: &[] }
}

static PRODUCE: Shape = plain(&[all(Text), all(Fixed(2 + 4)), all(List(&PRODUCE_TOPIC))]);
static PRODUCE_TOPIC: Shape = plain(&[until(12, Topic), since(13, Fixed(16)), all(List(&PRODUCE_PARTITION))]);
static PRODUCE_PARTITION: Shape = plain(&[all(Fixed(4)), all(Blob)]);

static FETCH: Shape = Shape {
    fields: &[
        until(14, Fixed(4)),
        // max wait, min bytes, max bytes, isolation level
        all(Fixed(4 + 4 + 4 + 1)),
        // session id and epoch
        since(7, Fixed(4 + 4)),
        all(List(&FETCH_TOPIC)),
        since(7, List(&FORGOTTEN_TOPIC)),
        since(11, Text),
    ],
    tags: &[(0, 12, Text), (1, 15, Nested(&REPLICA_STATE))],
};
static REPLICA_STATE: Shape = plain(&[all(Fixed(4 + 8))]);
static FETCH_TOPIC: Shape = plain(&[until(12, Topic), since(13, Fixed(16)), all(List(&FETCH_PARTITION))]);
static FETCH_PARTITION: Shape = Shape {
    fields: &[all(Fixed(4)), since(9, Fixed(4)), all(Fixed(8)), since(12, Fixed(4)), since(5, Fixed(8)), all(Fixed(4))],
    tags: &[(0, 17, Fixed(16)), (1, 18, Fixed(8))],
};
static FORGOTTEN_TOPIC: Shape = plain(&[until(12, Topic), since(13, Fixed(16)), all(Numbers(4))]);

static LIST_OFFSETS: Shape =
    plain(&[all(Fixed(4)), since(2, Fixed(1)), all(List(&LIST_OFFSETS_TOPIC)), since(10, Fixed(4))]);
static LIST_OFFSETS_TOPIC: Shape = plain(&[all(Topic), all(List(&LIST_OFFSETS_PARTITION))]);
static LIST_OFFSETS_PARTITION: Shape = plain(&[all(Fixed(4)), since(4, Fixed(4)), all(Fixed(8))]);

static METADATA: Shape =
    plain(&[all(List(&METADATA_TOPIC)), since(4, Fixed(1)), between(8, 10, Fixed(1)), since(8, Fixed(1))]);
static METADATA_TOPIC: Shape = plain(&[since(10, Fixed(16)), all(Topic)]);

static OFFSET_COMMIT: Shape =
    plain(&[all(Text), all(Fixed(4)), all(Text), since(7, Text), until(4, Fixed(8)), all(List(&OFFSET_COMMIT_TOPIC))]);
static OFFSET_COMMIT_TOPIC: Shape = plain(&[all(Topic), all(List(&OFFSET_COMMIT_PARTITION))]);
static OFFSET_COMMIT_PARTITION: Shape = plain(&[all(Fixed(4 + 8)), since(6, Fixed(4)), all(Text)]);

static OFFSET_FETCH: Shape = plain(&[
    until(7, Text),
    until(7, List(&OFFSET_FETCH_TOPIC)),
    since(8, List(&OFFSET_FETCH_GROUP)),
    since(7, Fixed(1)),
]);
static OFFSET_FETCH_GROUP: Shape =
    plain(&[all(Text), since(9, Text), since(9, Fixed(4)), all(List(&OFFSET_FETCH_TOPIC))]);
static OFFSET_FETCH_TOPIC: Shape = plain(&[all(Topic), all(Numbers(4))]);

static FIND_COORDINATOR: Shape = plain(&[until(3, Text), since(1, Fixed(1)), since(4, Texts)]);

static JOIN_GROUP: Shape = plain(&[
    all(Text),
    all(Fixed(4)),
    since(1, Fixed(4)),
    all(Text),
    since(5, Text),
    all(Text),
    all(List(&JOIN_GROUP_PROTOCOL)),
    since(8, Text),
]);
static JOIN_GROUP_PROTOCOL: Shape = plain(&[all(Text), all(Blob)]);

static HEARTBEAT: Shape = plain(&[all(Text), all(Fixed(4)), all(Text), since(3, Text)]);

static LEAVE_GROUP: Shape = plain(&[all(Text), until(2, Text), since(3, List(&LEAVING_MEMBER))]);
static LEAVING_MEMBER: Shape = plain(&[all(Text), all(Text), since(5, Text)]);

static SYNC_GROUP: Shape = plain(&[
    all(Text),
    all(Fixed(4)),
    all(Text),
    since(3, Text),
    since(5, Text),
    since(5, Text),
    all(List(&SYNC_GROUP_ASSIGNMENT)),
]);
static SYNC_GROUP_ASSIGNMENT: Shape = plain(&[all(Text), all(Blob)]);

static DESCRIBE_GROUPS: Shape = plain(&[all(Texts), since(3, Fixed(1))]);

static LIST_GROUPS: Shape = plain(&[since(4, Texts), since(5, Texts)]);

static API_VERSIONS: Shape = plain(&[since(3, Text), since(3, Text)]);

static CREATE_TOPICS: Shape = plain(&[all(List(&CREATE_TOPIC)), all(Fixed(4 + 1))]);
static CREATE_TOPIC: Shape =
    plain(&[all(Topic), all(Fixed(4 + 2)), all(List(&CREATE_TOPIC_ASSIGNMENT)), all(List(&CREATE_TOPIC_CONFIG))]);
static CREATE_TOPIC_ASSIGNMENT: Shape = plain(&[all(Fixed(4)), all(Numbers(4))]);
static CREATE_TOPIC_CONFIG: Shape = plain(&[all(Text), all(Text)]);

static DELETE_TOPICS: Shape = plain(&[since(6, List(&DELETE_TOPIC)), until(5, Topics), all(Fixed(4))]);
static DELETE_TOPIC: Shape = plain(&[all(Topic), all(Fixed(16))]);

static DELETE_RECORDS: Shape = plain(&[all(List(&DELETE_RECORDS_TOPIC)), all(Fixed(4))]);
static DELETE_RECORDS_TOPIC: Shape = plain(&[all(Topic), all(List(&DELETE_RECORDS_PARTITION))]);
static DELETE_RECORDS_PARTITION: Shape = plain(&[all(Fixed(4 + 8))]);

static INIT_PRODUCER_ID: Shape = plain(&[all(Text), all(Fixed(4)), since(3, Fixed(8 + 2))]);

static OFFSET_FOR_LEADER_EPOCH: Shape = plain(&[since(3, Fixed(4)), all(List(&OFFSET_FOR_LEADER_TOPIC))]);
static OFFSET_FOR_LEADER_TOPIC: Shape = plain(&[all(Topic), all(List(&OFFSET_FOR_LEADER_PARTITION))]);
static OFFSET_FOR_LEADER_PARTITION: Shape = plain(&[all(Fixed(4 + 4 + 4))]);

static DESCRIBE_CONFIGS: Shape = plain(&[all(List(&DESCRIBE_CONFIGS_RESOURCE)), all(Fixed(1)), since(3, Fixed(1))]);
static DESCRIBE_CONFIGS_RESOURCE: Shape = plain(&[all(Fixed(1)), all(Text), all(Texts)]);

static ALTER_CONFIGS: Shape = plain(&[all(List(&ALTER_CONFIGS_RESOURCE)), all(Fixed(1))]);
static ALTER_CONFIGS_RESOURCE: Shape = plain(&[all(Fixed(1)), all(Text), all(List(&ALTER_CONFIGS_ENTRY))]);
static ALTER_CONFIGS_ENTRY: Shape = plain(&[all(Text), all(Text)]);

static CREATE_PARTITIONS: Shape = plain(&[all(List(&CREATE_PARTITIONS_TOPIC)), all(Fixed(4 + 1))]);
static CREATE_PARTITIONS_TOPIC: Shape = plain(&[all(Topic), all(Fixed(4)), all(List(&CREATE_PARTITIONS_ASSIGNMENT))]);
static CREATE_PARTITIONS_ASSIGNMENT: Shape = plain(&[all(Numbers(4))]);

static INCREMENTAL_ALTER_CONFIGS: Shape = plain(&[all(List(&INCREMENTAL_RESOURCE)), all(Fixed(1))]);
static INCREMENTAL_RESOURCE: Shape = plain(&[all(Fixed(1)), all(Text), all(List(&INCREMENTAL_ENTRY))]);
static INCREMENTAL_ENTRY: Shape = plain(&[all(Text), all(Fixed(1)), all(Text)]);

static DESCRIBE_CLUSTER: Shape = plain(&[all(Fixed(1)), since(1, Fixed(1)), since(2, Fixed(1))]);

static DESCRIBE_TOPIC_PARTITIONS: Shape =
    plain(&[all(List(&DESCRIBE_TOPIC)), all(Fixed(4)), all(Maybe(&TOPIC_CURSOR))]);
static DESCRIBE_TOPIC: Shape = plain(&[all(Topic)]);
static TOPIC_CURSOR: Shape = plain(&[all(Topic), all(Fixed(4))]);
