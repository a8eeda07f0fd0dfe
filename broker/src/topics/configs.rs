//! STUB to be replaced. The table of topic configs: type, default, documentation, validator.
#![allow(missing_docs)]
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::TopicError;
use crate::log::LogConfig;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOp {
    Set(String),
    Delete,
    Append(String),
    Subtract(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub key: String,
    pub op: ConfigOp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Topic,
    Default,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    Boolean,
    String,
    Int,
    Long,
    Double,
    List,
}

/// One row of DescribeConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Borrowed from the table, or owned where it is one of a family (`sluice.plugin.config.<name>`).
    pub key: Cow<'static, str>,
    pub value: String,
    pub default: String,
    pub source: ConfigSource,
    pub kind: ConfigType,
    pub doc: &'static str,
}

/// The keys set on one topic, checked. Keys that Kafka knows and we do not enforce yet: only their default value is accepted
/// ('not supported yet'). `sluice.plugin.config.<name>` and `sluice.plugin.failure.<name>` are families of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicConfigs {
    set: BTreeMap<String, String>,
}

impl TopicConfigs {
    pub fn from_pairs<'a>(_pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<TopicConfigs, TopicError> {
        todo!()
    }
    pub fn changed(&self, _changes: &[ConfigChange]) -> Result<TopicConfigs, TopicError> {
        todo!()
    }
    /// What was set, nothing of the defaults.
    pub fn set(&self) -> &BTreeMap<String, String> {
        &self.set
    }
    /// A value as text: set or default; `None` for an unknown key or a key without default that is not set.
    pub fn get(&self, _key: &str) -> Option<&str> {
        todo!()
    }
    /// Every key with value, default and source, in order.
    pub fn describe(&self) -> Vec<ConfigEntry> {
        todo!()
    }
    pub fn log_config(&self) -> LogConfig {
        todo!()
    }
    /// `sluice.partitioner`, when bound: a plugin's name, or `name@version`.
    pub fn partitioner(&self) -> Option<&str> {
        todo!()
    }
    /// `sluice.plugin.config.<name>`; `{}` when not set.
    pub fn plugin_config(&self, _plugin: &str) -> &str {
        todo!()
    }
}
