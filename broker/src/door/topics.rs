//! Topics and their configs, as the door shows and takes them.

use std::time::Duration;

use crate::ids::{TopicId, TopicName};

pub use crate::ids::TopicRef;
pub use crate::topics::{ConfigChange, ConfigEntry, ConfigOp, ConfigSource, ConfigType};

/// One topic as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id, which no other topic of that name ever has.
    pub id: TopicId,
    /// Created by the broker for itself.
    pub internal: bool,
    /// The number of partitions; they are numbered from 0.
    pub partitions: i32,
    /// The configs that are set, without defaults.
    pub configs: Vec<(String, String)>,
    /// The largest batch that the topic takes, in bytes (`max.message.bytes`).
    pub(crate) batch_bytes_max: usize,
    /// Set on a delay topic.
    pub(crate) delay: Option<DelayInfo>,
}

/// What a delay topic does with its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DelayInfo {
    /// The topic that they are delivered to.
    pub(crate) target: TopicName,
    /// How long each record waits.
    pub(crate) delay: Duration,
}

/// A request for a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// The name, not checked yet.
    pub name: String,
    /// `None`: the broker's default; for a delay topic, the number that its target has.
    pub partitions: Option<i32>,
    /// `None`: the broker's default.
    pub replication: Option<i16>,
    /// Keys and values, not checked yet.
    pub configs: Vec<(String, Option<String>)>,
}
