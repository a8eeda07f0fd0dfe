//! The configs of one topic: what is set, checked against the table, and what it means for the log and the chain.
//! A value of this type is always legal. Knows nothing of other topics or of what a topic is for: what internal and
//! delay topics may not have is the catalog's to say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::bad_config::BadConfig;
use super::config_check;
pub use super::configs_table::ConfigType;
use super::configs_table::{PLUGIN_CONFIG, TABLE, family_doc, find, words};
use crate::limits;
use crate::log::{Cleanup, Compaction, FlushEvery, LogConfig};
use crate::record::{AppendRules, Compression, Levels, TimestampType};

/// What is done to one key (KIP-339).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOp {
    /// The key has this value.
    Set(String),
    /// The key has its default again.
    Delete,
    /// A list has these members as well.
    Append(String),
    /// A list has these members no more.
    Subtract(String),
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub key: String,
    /// What is done to it.
    pub op: ConfigOp,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Nobody set it.
    Default,
}

/// One row of DescribeConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Borrowed from the table, or owned where it is one of a family (`sluice.plugin.config.<name>`).
    pub key: Cow<'static, str>,
    /// The value in force; empty for a key without default that is not set.
    pub value: String,
    /// What it is when nobody sets it; empty for a key without default.
    pub default: String,
    /// Who set it.
    pub source: ConfigSource,
    /// How the value is to be read.
    pub kind: ConfigType,
    /// One or two sentences.
    pub doc: &'static str,
}

/// The keys set on one topic, checked. Keys that Kafka knows and we do not enforce yet: only their default value is accepted
/// ('not supported yet'). `sluice.plugin.config.<name>` and `sluice.plugin.failure.<name>` are families of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicConfigs {
    set: BTreeMap<String, String>,
}

impl TopicConfigs {
    /// These keys set, the last one of a key that comes twice.
    ///
    /// # Errors
    /// A key that is unknown or not in force yet, or a value it cannot have.
    pub(crate) fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<TopicConfigs, BadConfig> {
        let mut configs = TopicConfigs::default();
        for (key, value) in pairs {
            configs.set.insert(key.to_owned(), config_check::value(key, value)?);
        }
        configs.bounded()
    }

    /// These configs after the changes, in their order; all of them or an error.
    ///
    /// # Errors
    /// As `from_pairs`; also `Append` and `Subtract` on what is no list.
    pub(crate) fn changed(&self, changes: &[ConfigChange]) -> Result<TopicConfigs, BadConfig> {
        let mut next = self.clone();
        for ConfigChange { key, op } in changes {
            let value = match op {
                ConfigOp::Set(value) => config_check::value(key, value)?,
                ConfigOp::Delete => {
                    config_check::known(key)?;
                    next.set.remove(key);
                    continue;
                }
                ConfigOp::Append(more) => {
                    let mut list = next.list(key)?;
                    for word in words(more) {
                        if !list.contains(&word) {
                            list.push(word);
                        }
                    }
                    config_check::value(key, &list.join(","))?
                }
                ConfigOp::Subtract(less) => {
                    let mut list = next.list(key)?;
                    let gone = words(less);
                    list.retain(|word| !gone.contains(word));
                    config_check::value(key, &list.join(","))?
                }
            };
            next.set.insert(key.clone(), value);
        }
        next.bounded()
    }

    /// What was set, nothing of the defaults.
    #[must_use]
    pub fn set(&self) -> &BTreeMap<String, String> {
        &self.set
    }

    /// A value as text: set or default; `None` for an unknown key or a key without default that is not set.
    #[must_use]
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.set.get(key).map(String::as_str).or_else(|| find(key)?.default)
    }

    /// Every key with value, default and source, in order.
    #[must_use]
    pub fn describe(&self) -> Vec<ConfigEntry> {
        let of_table = TABLE.iter().map(|row| {
            let set = self.set.get(row.key);
            let default = row.default.unwrap_or_default();
            ConfigEntry {
                key: Cow::Borrowed(row.key),
                value: set.map_or(default, String::as_str).to_owned(),
                default: default.to_owned(),
                source: if set.is_some() { ConfigSource::Topic } else { ConfigSource::Default },
                kind: row.kind,
                doc: row.doc,
            }
        });
        let of_families = self.set.iter().filter(|(key, _)| find(key).is_none()).map(|(key, value)| ConfigEntry {
            key: Cow::Owned(key.clone()),
            value: value.clone(),
            default: String::new(),
            source: ConfigSource::Topic,
            kind: ConfigType::String,
            doc: family_doc(key),
        });
        let mut rows: Vec<ConfigEntry> = of_table.chain(of_families).collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// What these configs mean for the topic's logs.
    #[must_use]
    pub(crate) fn log_config(&self) -> LogConfig {
        LogConfig {
            segment_bytes: self.number("segment.bytes").unsigned_abs(),
            segment_ms: self.number("segment.ms"),
            index_interval_bytes: self
                .number("index.interval.bytes")
                .unsigned_abs()
                .max(limits::INDEX_INTERVAL_BYTES_MIN),
            message_bytes_max: self.message_bytes_max(),
            timestamp_type: self.timestamp_type(),
            sync: self.get("sluice.flush") != Some("os"),
            flush: FlushEvery { messages: self.number("flush.messages"), ms: self.number("flush.ms") },
            cleanup: self.cleanup(),
        }
    }

    /// The largest batch that the topic takes.
    pub(crate) fn message_bytes_max(&self) -> usize {
        usize::try_from(self.number("max.message.bytes")).unwrap_or(limits::MESSAGE_BYTES_MAX)
    }

    fn cleanup(&self) -> Cleanup {
        Cleanup {
            delete: self.has_policy("delete"),
            // -1 is: no bound.
            retention_ms: Some(self.number("retention.ms")).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(self.number("retention.bytes")).ok(),
            file_delete_delay_ms: self.number("file.delete.delay.ms").unsigned_abs(),
            compact: self.compacted().then(|| self.compaction()),
        }
    }

    fn compaction(&self) -> Compaction {
        let ratio: f64 = self.get("min.cleanable.dirty.ratio").and_then(|text| text.parse().ok()).unwrap_or_default();
        Compaction {
            // From 0 to 1, as checked when it was set.
            min_dirty_millionths: (ratio * 1_000_000.0) as u32,
            min_lag_ms: self.number("min.compaction.lag.ms"),
            max_lag_ms: self.number("max.compaction.lag.ms"),
            delete_retention_ms: self.number("delete.retention.ms"),
        }
    }

    /// What they mean for the batches that producers send.
    #[must_use]
    pub(crate) fn append_rules(&self) -> AppendRules {
        let compression = match self.get("compression.type") {
            Some("uncompressed") => Some(Compression::None),
            Some("gzip") => Some(Compression::Gzip),
            Some("snappy") => Some(Compression::Snappy),
            Some("lz4") => Some(Compression::Lz4),
            Some("zstd") => Some(Compression::Zstd),
            _ => None,
        };
        let level = |key| i32::try_from(self.number(key)).unwrap_or_default();
        AppendRules {
            validate_records: self.get("sluice.validate") == Some("records"),
            timestamp_type: self.timestamp_type(),
            before_max_ms: self.number("message.timestamp.before.max.ms"),
            after_max_ms: self.number("message.timestamp.after.max.ms"),
            compression,
            levels: Levels { gzip: level("compression.gzip.level"), zstd: level("compression.zstd.level") },
            keys: self.compacted(),
            size_max: self.log_config().message_bytes_max,
        }
    }

    fn timestamp_type(&self) -> TimestampType {
        match self.get("message.timestamp.type") {
            Some("LogAppendTime") => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }

    /// `cleanup.policy` has `compact`.
    #[must_use]
    pub(crate) fn compacted(&self) -> bool {
        self.has_policy("compact")
    }

    fn has_policy(&self, policy: &str) -> bool {
        self.get("cleanup.policy").is_some_and(|policies| policies.split(',').any(|word| word == policy))
    }

    /// `sluice.partitioner`, when bound: a plugin's name, or `name@version`.
    #[must_use]
    pub(crate) fn partitioner(&self) -> Option<&str> {
        self.get("sluice.partitioner")
    }

    /// `sluice.plugin.config.<name>`; `{}` when not set.
    #[must_use]
    pub(crate) fn plugin_config(&self, plugin: &str) -> &str {
        self.set.get(&format!("{PLUGIN_CONFIG}{plugin}")).map_or("{}", String::as_str)
    }

    fn number(&self, key: &str) -> i64 {
        let value = self.get(key).and_then(|text| text.parse().ok());
        value.expect("a number's value is checked when it is set, and each has a default in the table")
    }

    fn list(&self, key: &str) -> Result<Vec<String>, BadConfig> {
        match find(key) {
            Some(row) if row.kind == ConfigType::List => Ok(words(self.get(key).unwrap_or_default())),
            _ => {
                config_check::known(key)?;
                Err(BadConfig::NoList { key: key.to_owned() })
            }
        }
    }

    fn bounded(self) -> Result<TopicConfigs, BadConfig> {
        let bytes: usize = self.set.iter().map(|(key, value)| key.len() + value.len()).sum();
        let limit = limits::CONFIGS_BYTES_MAX;
        if bytes > limit { Err(BadConfig::TooMany { bytes, limit }) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests;
