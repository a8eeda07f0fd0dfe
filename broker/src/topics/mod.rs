//! What exists: topics with names, ids, partition counts and configs, and the metadata log that remembers them. Rank 3.

mod bad_config;
pub(crate) mod catalog;
mod change;
mod config_check;
pub(crate) mod configs;
mod configs_table;
mod create;
pub(crate) mod delay_name;
pub(crate) mod error;
pub(crate) mod keyed_log;
mod metadata_fault;
mod metadata_log;
mod metadata_record;
mod metadata_snapshot;
mod metadata_state;
mod partition_logs;
pub(crate) mod topic;

pub(crate) use bad_config::BadConfig;
pub use catalog::Catalog;
pub use configs::{ConfigChange, ConfigEntry, ConfigOp, ConfigSource, ConfigType, TopicConfigs};
pub(crate) use delay_name::DelayName;
pub use error::TopicError;
pub(crate) use error::{Refused, RefusedName};
pub(crate) use keyed_log::{KeyedLog, KeyedLogError};
pub use topic::{NewTopic, Topic};
