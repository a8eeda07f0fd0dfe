//! STUB to be replaced. Topic configs and the broker's own, read and changed.
#![allow(missing_docs)]
use super::{Engine, EngineError};
use crate::config::Context;
use crate::topics::{ConfigChange, ConfigEntry};

impl Engine {
    pub fn topic_configs(&self, _ctx: &Context, _topic: &str) -> Result<Vec<ConfigEntry>, EngineError> {
        todo!()
    }
    /// A change that binds a plugin loads it first: one failure refuses the whole change.
    pub async fn alter_topic_configs(
        &self,
        _ctx: &Context,
        _topic: &str,
        _changes: &[ConfigChange],
        _validate_only: bool,
    ) -> Result<(), EngineError> {
        todo!()
    }
    /// What DescribeConfigs shows for the broker (read-only).
    pub fn broker_configs(&self) -> Vec<ConfigEntry> {
        todo!()
    }
}
