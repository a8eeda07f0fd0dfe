//! What exists: topics with names, ids, partition counts and configs, and the metadata log that remembers them. Rank 3.

mod bad_config;
pub mod catalog;
mod change;
mod config_check;
pub mod configs;
mod configs_table;
mod create;
pub mod delay_name;
pub mod error;
pub mod keyed_log;
mod metadata_fault;
mod metadata_log;
mod metadata_record;
mod metadata_snapshot;
mod metadata_state;
mod partition_logs;
pub mod topic;

pub use bad_config::{BadConfig, Expected};
pub use catalog::Catalog;
pub use configs::{ConfigChange, ConfigEntry, ConfigOp, ConfigSource, ConfigType, TopicConfigs};
pub use delay_name::DelayName;
pub use error::{BadPartitions, BadReplication, Refused, RefusedName, TopicError};
pub use keyed_log::{KeyedLog, KeyedLogError};
pub use metadata_fault::{MetadataFault, RecordFault};
pub use topic::{NewTopic, Topic};
