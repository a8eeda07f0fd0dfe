//! Requests about configs of topics and of this broker.

mod alter_answer;
pub(in crate::kafka) mod alter_configs;
pub(in crate::kafka) mod describe_configs;
pub(in crate::kafka) mod incremental_alter_configs;
