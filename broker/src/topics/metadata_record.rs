//! The records of the metadata log: JSON texts, one fact each, that carry their format's version and the broker that
//! wrote them. Only encodes and decodes; what the facts add up to is `metadata_state.rs`. A record that this version
//! does not know is an error, never skipped: skipping it would serve topics that are gone or lose ones that exist.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::metadata_fault::RecordFault;
use crate::ids::{LeaderEpoch, TopicId, TopicName};

/// The format of every record below. It rises when the meaning of a known record changes.
const VERSION: u32 = 1;

/// The records that this version knows.
const KINDS: [&str; 9] =
    ["cluster", "term", "topic", "partitions", "configs", "topic-deleted", "producer-ids", "stream-ids", "snapshot"];

/// One change of what exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum MetadataRecord {
    /// The first record of every log: the cluster's identity.
    Cluster { id: String },
    /// The broker's term (log contract, rule 5).
    Term { term: LeaderEpoch },
    /// A topic was made. Its partitions' directories were durable before this was.
    Topic {
        id: TopicId,
        name: TopicName,
        partitions: i32,
        configs: BTreeMap<String, String>,
        internal: bool,
        /// Its name was read as a delay topic's when it was made: a setting may change, the topic's nature does not.
        delay: bool,
    },
    /// A topic has more partitions now.
    Partitions { topic: TopicId, count: i32 },
    /// All that is set on a topic now.
    Configs { topic: TopicId, configs: BTreeMap<String, String> },
    /// A topic is gone; its directories may still have to go (log contract, rule 16).
    TopicDeleted { topic: TopicId },
    /// Producer ids below this may have been given out (rule 6).
    ProducerIds { next: i64 },
    /// The same for the broker's own streams (rule 19).
    StreamIds { next: i64 },
    /// A part of everything that is remembered, written anew. When all parts, from 0 on, have come one after another, they
    /// stand for all records before the first of them; parts that something else interrupts stand for nothing.
    Snapshot { part: u32, of: u32, records: Vec<MetadataRecord> },
}

/// A record as it is written.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    record: &'a MetadataRecord,
    version: u32,
    broker: &'static str,
}

/// What every record of every version has.
#[derive(Deserialize)]
struct Stamp {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
    broker: String,
}

impl MetadataRecord {
    /// The record as text.
    pub(super) fn encode(&self) -> Bytes {
        let written = Written { record: self, version: VERSION, broker: env!("CARGO_PKG_VERSION") };
        // Maps have text keys and there are no floats: nothing here can fail to become JSON.
        serde_json::to_vec(&written).expect("a metadata record is always representable as JSON").into()
    }

    /// The record that a text holds, or why it cannot be understood.
    pub(super) fn decode(text: &[u8]) -> Result<MetadataRecord, RecordFault> {
        let no_record = |cause: serde_json::Error| RecordFault::NoRecord { cause: cause.to_string() };
        let Stamp { kind, version, broker } = serde_json::from_slice(text).map_err(no_record)?;
        if version > VERSION || !KINDS.contains(&kind.as_str()) {
            return Err(RecordFault::Newer { kind, version, broker });
        }
        serde_json::from_slice(text).map_err(|cause| RecordFault::Malformed { kind, broker, cause: cause.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<MetadataRecord> {
        let topic = TopicId::random();
        let name = TopicName::new("orders.delay.5s").unwrap();
        let configs = BTreeMap::from([("segment.ms".to_owned(), "1000".to_owned())]);
        vec![
            MetadataRecord::Cluster { id: "abc".into() },
            MetadataRecord::Term { term: LeaderEpoch(3) },
            MetadataRecord::Topic {
                id: topic,
                name,
                partitions: 3,
                configs: configs.clone(),
                internal: false,
                delay: true,
            },
            MetadataRecord::Partitions { topic, count: 6 },
            MetadataRecord::Configs { topic, configs },
            MetadataRecord::TopicDeleted { topic },
            MetadataRecord::ProducerIds { next: 2_000 },
            MetadataRecord::StreamIds { next: i64::MAX },
            MetadataRecord::Snapshot {
                part: 1,
                of: 2,
                records: vec![MetadataRecord::TopicDeleted { topic }, MetadataRecord::Term { term: LeaderEpoch(3) }],
            },
        ]
    }

    #[test]
    fn every_record_reads_back_as_it_was_written() {
        let records = one_of_each();
        assert_eq!(records.len(), KINDS.len());
        for record in records {
            assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn a_record_of_a_newer_version_is_refused_and_says_who_wrote_it() {
        for text in [
            r#"{"type":"acl","version":1,"broker":"9.1.0","who":"x"}"#,
            r#"{"type":"term","version":2,"broker":"9.1.0","term":1}"#,
        ] {
            let error = MetadataRecord::decode(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("written by sluice 9.1.0"), "{error}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in ["", "{}", "null", "[1]", r#"{"type":"term","version":1,"broker":"0.1.0"}"#] {
            assert!(MetadataRecord::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
