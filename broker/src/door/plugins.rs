//! Plugins uploaded, listed, removed, and asked for partitions. A thin step to the engine.

use bytes::Bytes;

use super::{Context, Door, DoorError, Message};
use crate::ids::{PartitionId, TopicId};

pub use crate::engine::plugins::PluginError;
pub use crate::record::{partition_for_key, size_bound};
pub use sluice_plugins::{PluginInfo, UploadError, VersionInfo};

impl Door {
    /// The next version of a plugin, durable and active when this returns. Topics bound to the name use it from their next
    /// batch on; those bound to `name@3` stay.
    ///
    /// # Errors
    /// What is wrong with the bytes, or the topics whose configuration the new version refuses.
    pub async fn upload_plugin(&self, ctx: &Context, name: &str, wasm: Bytes) -> Result<VersionInfo, PluginError> {
        self.engine.upload_plugin(ctx, name, wasm).await
    }

    /// Every plugin, in order of names.
    #[must_use]
    pub fn plugins(&self, ctx: &Context) -> Vec<PluginInfo> {
        self.engine.plugins(ctx)
    }

    /// One plugin.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn plugin(&self, ctx: &Context, name: &str) -> Result<PluginInfo, PluginError> {
        self.engine.plugin(ctx, name)
    }

    /// Removes a plugin with all its versions.
    ///
    /// # Errors
    /// `NotFound`, and `InUse` while a topic is bound to it or to one of its versions.
    pub async fn delete_plugin(&self, ctx: &Context, name: &str) -> Result<(), PluginError> {
        self.engine.delete_plugin(ctx, name).await
    }

    /// The bound plugin's choice, one partition for each message, in order; `None` when no plugin is bound to the topic. For
    /// a service that appends to a chosen partition itself.
    ///
    /// # Errors
    /// An unknown topic; `Unavailable` when the plugin cannot be loaded now, `Failed` when it failed on these messages.
    pub async fn bound_partitions(
        &self,
        ctx: &Context,
        topic: TopicId,
        messages: &[Message],
    ) -> Result<Option<Vec<PartitionId>>, DoorError> {
        self.engine.bound_partitions(ctx, topic, messages).await
    }
}
