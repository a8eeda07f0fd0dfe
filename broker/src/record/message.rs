//! A record as people think of it: what is given to the builder, and what doors hand in and out. Knows no bytes of a batch.

use bytes::Bytes;

use crate::ids::TimestampMs;

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name; names may repeat.
    pub key: String,
    /// `None` is Kafka's null.
    pub value: Option<Bytes>,
}

/// A record as people think of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What the partition is chosen by, and what compaction keeps the last record of.
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In order.
    pub headers: Vec<Header>,
    /// `None`: the time of the append.
    pub timestamp: Option<TimestampMs>,
}
