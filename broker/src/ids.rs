//! The field's numbers and names as types, so that none can stand where another is meant.
//! Lowest layer: everything imports this, it imports nothing of ours. Sentinels (`-1`) exist only on
//! the wire (`kafka/`); here absence is `Option`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// A record's position in a partition, from 0.
    Offset(i64)
}
number! {
    /// A partition's number in its topic, from 0.
    PartitionId(i32)
}
number! {
    /// The broker's term as clients see it: rises with every unclean start (log contract, rule 5).
    LeaderEpoch(i32)
}
number! {
    /// An idempotent producer's identity (KIP-98).
    ProducerId(i64)
}
number! {
    /// The incarnation of a producer id (KIP-98).
    ProducerEpoch(i16)
}
number! {
    /// The number of a record among those of one producer and partition; wraps to 0 after `i32::MAX` (KIP-98).
    Sequence(i32)
}
number! {
    /// A consumer group's generation: rises with every completed join phase.
    Generation(i32)
}
number! {
    /// Milliseconds since the Unix epoch.
    TimestampMs(i64)
}

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Offset = Offset(0);

    /// This offset and `count` more; `None` past the end of the number space.
    #[must_use]
    pub(crate) fn checked_add(self, count: i64) -> Option<Offset> {
        self.0.checked_add(count).map(Offset)
    }

    /// The offset after this one. Saturates: no log reaches `i64::MAX`.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0.saturating_add(1))
    }
}

impl Sequence {
    /// The sequence `count` records on, wrapping from `i32::MAX` to 0 as Kafka's
    /// `DefaultRecordBatch.incrementSequence` does.
    #[must_use]
    pub fn advance(self, count: i32) -> Sequence {
        let sum = i64::from(self.0) + i64::from(count);
        let modulus = i64::from(i32::MAX) + 1;
        // The remainder of a non-negative sum by 2^31 fits an i32.
        Sequence(i32::try_from(sum.rem_euclid(modulus)).unwrap_or(0))
    }
}

/// A topic's identity. A topic that is recreated under the same name has another one (KIP-516).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub uuid::Uuid);

impl TopicId {
    /// A new random identity. Never one of Kafka's two reserved ids (0 and 1), nor one whose text form
    /// starts with a dash, as Kafka's `Uuid.randomUuid` guarantees.
    #[must_use]
    pub(crate) fn random() -> TopicId {
        loop {
            let id = uuid::Uuid::new_v4();
            // The first six bits are the first base64 character; 62 is the dash.
            if id.as_bytes()[0] >> 2 != 62 {
                return TopicId(id);
            }
        }
    }
}

impl fmt::Display for TopicId {
    /// Kafka's text form: unpadded URL-safe base64 of the 16 bytes (`org.apache.kafka.common.Uuid`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for chunk in self.0.as_bytes().chunks(3) {
            let mut word = 0u32;
            for (at, byte) in chunk.iter().enumerate() {
                word |= u32::from(*byte) << (16 - 8 * at);
            }
            for at in 0..=chunk.len() {
                let index = (word >> (18 - 6 * at)) & 63;
                write!(f, "{}", char::from(ALPHABET[index as usize]))?;
            }
        }
        Ok(())
    }
}

/// A legal topic name: 1 to 249 of `[a-zA-Z0-9._-]`, neither `.` nor `..` (Kafka's `Topic.validate`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// Why a text is not a topic name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not a topic name: 1 to 249 characters of a-z, A-Z, 0-9, '.', '_' and '-', and not '.' or '..'")]
pub struct BadTopicName {
    /// How what was given begins; shared, since each partition of a request repeats the error.
    pub(crate) name: Arc<str>,
}

impl TopicName {
    /// Checks and keeps a name.
    ///
    /// # Errors
    /// `BadTopicName` when Kafka would refuse it as well.
    pub fn new(name: &str) -> Result<TopicName, BadTopicName> {
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.bytes().all(legal) {
            return Err(BadTopicName { name: name.chars().take(300).collect::<String>().into() });
        }
        Ok(TopicName(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TopicName {
    type Error = BadTopicName;
    fn try_from(name: String) -> Result<TopicName, BadTopicName> {
        TopicName::new(&name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> String {
        name.0.to_string()
    }
}

/// How a request names a topic. Clones share the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// By name, as most requests do; not checked yet.
    Name(Arc<str>),
    /// By id (KIP-516): never a topic that was recreated under the same name.
    Id(TopicId),
}

impl TopicRef {
    /// The topic of that name.
    #[must_use]
    pub fn name(name: &str) -> TopicRef {
        TopicRef::Name(name.into())
    }
}

impl fmt::Display for TopicRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicRef::Name(name) => f.write_str(name),
            TopicRef::Id(id) => id.fmt(f),
        }
    }
}

/// A partition by the name of its topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: TopicName,
    /// The partition's number.
    pub partition: PartitionId,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_prints_as_kafka_prints_it() {
        let id = TopicId(uuid::Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f));
        assert_eq!(id.to_string(), "AAECAwQFBgcICQoLDA0ODw");
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(Sequence(i32::MAX).advance(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).advance(3), Sequence(1));
        assert_eq!(Sequence(5).advance(10), Sequence(15));
    }

    #[test]
    fn topic_names_follow_kafkas_rule() {
        for good in ["a", "orders.delay.5s", "A_b-c.9", &"x".repeat(249)] {
            assert!(TopicName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(TopicName::new(bad).is_err(), "{bad}");
        }
    }
}
