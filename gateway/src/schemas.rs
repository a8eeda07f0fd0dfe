//! What stands in bodies of requests and answers, as OpenAPI shows it. Produce requests and fetched records are read and
//! written by `formats/` without these; the rest is serialised from here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A v2 produce request. The content type says how keys and values stand: any JSON, base64 strings, or text.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ProduceRequest {
    /// At least one, at most 100,000.
    pub records: Vec<ProduceRecord>,
}

/// One record to write.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ProduceRecord {
    /// Missing or null: no key.
    pub key: Option<Value>,
    /// Missing or null: a tombstone.
    pub value: Option<Value>,
    /// Unless given, the bound partitioner chooses, or the key as in the Java client.
    pub partition: Option<i32>,
    /// In this order; may repeat.
    pub headers: Option<Vec<RecordHeader>>,
    /// Milliseconds since the epoch; now unless given.
    pub timestamp: Option<i64>,
}

/// A record's header.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RecordHeader {
    /// Its name.
    pub key: String,
    /// Base64, or null.
    pub value: Option<String>,
}

/// Where records went, in the order of the request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProduceAnswer {
    /// One entry a record.
    pub offsets: Vec<ProducedPlace>,
    /// Always null: there is no schema registry.
    pub key_schema_id: Option<i32>,
    /// Always null: there is no schema registry.
    pub value_schema_id: Option<i32>,
    /// Only when no record was written: the code of the first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
    /// Only when no record was written: its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where one record went, or why it did not.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProducedPlace {
    /// Null where it was not written.
    pub partition: Option<i32>,
    /// Null where it was not written.
    pub offset: Option<i64>,
    /// Only where it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
    /// Only where it was not written: the kind of failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Only where it was not written: what happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A record read. `Accept` says how key and value stand: JSON, base64 or text.
#[derive(Debug, Deserialize, ToSchema)]
pub struct FetchedRecord {
    /// The topic's name.
    pub topic: String,
    /// Null without a key, and where it is not of the format: then `key_base64` has it.
    pub key: Option<Value>,
    /// Null for a tombstone, and where it is not of the format: then `value_base64` has it and `error` says so.
    pub value: Option<Value>,
    /// The partition's number.
    pub partition: i32,
    /// The record's position.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// In the order they were written.
    pub headers: Vec<RecordHeader>,
    /// Only where the key is not of the format.
    pub key_base64: Option<String>,
    /// Only where the value is not of the format.
    pub value_base64: Option<String>,
    /// Only where the value is not of the format: `not JSON` or `not UTF-8`; and where the record cannot be read: why.
    pub error: Option<String>,
    /// Only where the record, or what is left of its batch, cannot be read: the offset behind it. There is no `timestamp` then.
    pub next_offset: Option<i64>,
}

/// The ends of a partition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PartitionOffsets {
    /// The first offset that is there.
    pub beginning_offset: i64,
    /// The offset that the next visible record gets (the high watermark).
    pub end_offset: i64,
    /// Up to where readers of committed records see.
    pub last_stable_offset: i64,
    /// Only with `timestamp`: the first record at or after it; null when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_for_timestamp: Option<Option<i64>>,
}

/// A topic.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id, which a topic of the same name made later does not share.
    pub id: String,
    /// Made by the broker for itself.
    pub internal: bool,
    /// The configs that are set.
    #[schema(value_type = Object)]
    pub configs: Map<String, Value>,
    /// One entry a partition.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// The broker that has it.
    pub leader: i32,
    /// Its copies.
    pub replicas: Vec<Replica>,
}

/// A copy of a partition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Replica {
    /// The broker that has it.
    pub broker: i32,
    /// Whether it is the one that is written and read.
    pub leader: bool,
    /// Whether it has everything.
    pub in_sync: bool,
}

/// A topic to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
// The name in the published OpenAPI document.
#[schema(as = TopicWish)]
pub struct TopicRequest {
    /// Its name; `name` is understood as well.
    #[serde(alias = "name")]
    pub topic_name: String,
    /// The broker's default unless given; `partitions` is understood as well.
    #[serde(default, alias = "partitions")]
    pub partitions_count: Option<i32>,
    /// 1 unless given.
    #[serde(default)]
    pub replication_factor: Option<i16>,
    /// Topic configs; `configs` is understood as well.
    #[serde(default, alias = "configs")]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

/// A topic's configs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TopicConfigsAnswer {
    /// What is set, by name: what a `PATCH` may be given back.
    #[schema(value_type = Object)]
    pub configs: Map<String, Value>,
    /// Every config in force.
    pub all: Vec<ConfigDescription>,
}

/// One config in force.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ConfigDescription {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it is when it is not set.
    pub default: String,
    /// `topic` or `default`.
    pub source: String,
    /// `boolean`, `string`, `int`, `long`, `double` or `list`.
    pub r#type: String,
    /// What it does.
    pub documentation: String,
}

/// The brokers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Brokers {
    /// Their ids.
    pub brokers: Vec<i32>,
}

/// Committed offsets of a group.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupOffsets {
    /// One entry a partition.
    pub offsets: Vec<GroupOffset>,
}

/// A committed offset.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset that the group reads next.
    pub next_offset: i64,
    /// The committer's own text.
    #[serde(default)]
    pub metadata: Option<String>,
}

/// A version of a plugin.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginVersion {
    /// The plugin's name.
    pub name: String,
    /// From 1; a binding to `name@version` stays with it.
    pub version: u32,
    /// Of the bytes that were uploaded, in hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// What it is for: `partitioner`.
    pub world: String,
}

/// A plugin.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginDescription {
    /// Its name.
    pub name: String,
    /// The version that bindings without a version use.
    pub active: u32,
    /// All versions.
    pub versions: Vec<PluginVersion>,
    /// Calls since the start.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// It failed too often and rests.
    pub quarantined: bool,
}

/// How the broker is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `unready`.
    pub status: String,
    /// Only when unready: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What went wrong (RFC 9457). Requests with a v2 media type get `error_code` and `message` alone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    /// `about:blank`.
    pub r#type: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong with this request.
    pub detail: String,
    /// The request's path.
    pub instance: String,
    /// Five digits where the v2 dialect has them, else the status.
    pub error_code: u32,
    /// The same as `detail`.
    pub message: String,
}
