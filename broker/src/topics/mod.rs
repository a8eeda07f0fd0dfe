//! What exists: topics with names, ids, partition counts and configs, and the metadata log that remembers them. Rank 3.

pub mod catalog;
pub mod configs;
pub mod error;
pub mod metadata_log;

pub use catalog::{Catalog, NewTopic, Topic};
pub use configs::{ConfigChange, ConfigEntry, ConfigOp, ConfigSource, ConfigType, TopicConfigs};
pub use error::TopicError;
