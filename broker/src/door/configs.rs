//! STUB to be replaced. Topic configs, read and patched.
#![allow(missing_docs)]
use super::{Context, Door, DoorError};
pub use crate::topics::{ConfigChange, ConfigEntry, ConfigOp, ConfigSource};

impl Door {
    pub fn topic_configs(&self, _ctx: &Context, _topic: &str) -> Result<Vec<ConfigEntry>, DoorError> {
        todo!()
    }
    pub async fn alter_topic_configs(
        &self,
        _ctx: &Context,
        _topic: &str,
        _changes: &[ConfigChange],
    ) -> Result<(), DoorError> {
        todo!()
    }
}
