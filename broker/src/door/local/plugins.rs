//! Plugins uploaded, listed, removed, and asked for partitions. A thin step to the engine.

use bytes::Bytes;

use super::super::error::DoorError;
use super::super::messages::Message;
use super::super::plugins::{PluginInfo, PluginVersionInfo};
use super::Door;
use crate::auth::Cluster;
use crate::context::Context;
use crate::ids::{PartitionId, TopicId, TopicRef};

impl Door {
    /// The next version of a plugin, durable and active when this returns. Topics bound to the name use it from their next
    /// batch on; those bound to `name@3` stay.
    ///
    /// # Errors
    /// What is wrong with the bytes, or the topics whose configuration the new version refuses.
    pub async fn upload_plugin(&self, ctx: &Context, name: &str, wasm: Bytes) -> Result<PluginVersionInfo, DoorError> {
        Ok(version(self.engine.upload_plugin(&self.engine.auth().ask(ctx, Cluster)?, name, wasm).await?))
    }

    /// Every plugin, in order of names.
    ///
    /// # Errors
    /// `Denied`.
    pub fn plugins(&self, ctx: &Context) -> Result<Vec<PluginInfo>, DoorError> {
        let all = self.engine.plugins(&self.engine.auth().ask(ctx, Cluster)?);
        Ok(all.into_iter().map(info).collect())
    }

    /// One plugin.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn plugin(&self, ctx: &Context, name: &str) -> Result<PluginInfo, DoorError> {
        Ok(info(self.engine.plugin(&self.engine.auth().ask(ctx, Cluster)?, name)?))
    }

    /// Removes a plugin with all its versions.
    ///
    /// # Errors
    /// `NotFound`, and `InUse` while a topic is bound to it or to one of its versions.
    pub async fn delete_plugin(&self, ctx: &Context, name: &str) -> Result<(), DoorError> {
        Ok(self.engine.delete_plugin(&self.engine.auth().ask(ctx, Cluster)?, name).await?)
    }

    /// The bound plugin's choice, one partition for each message, in order; `None` when no plugin is bound to the topic. For
    /// a service that appends to a chosen partition itself.
    ///
    /// # Errors
    /// An unknown topic; `Unavailable` when the plugin cannot be loaded now, `Failed` when it failed on these messages.
    pub(crate) async fn bound_partitions(
        &self,
        ctx: &Context,
        topic: TopicId,
        messages: &[Message],
    ) -> Result<Option<Vec<PartitionId>>, DoorError> {
        let topic = self.engine.auth().ask(ctx, TopicRef::Id(topic))?;
        Ok(self.engine.bound_partitions(ctx, &topic, messages).await?)
    }
}

fn info(plugin: sluice_plugins::PluginInfo) -> PluginInfo {
    PluginInfo {
        name: plugin.name,
        active: plugin.active,
        versions: plugin.versions.into_iter().map(version).collect(),
        calls: plugin.calls,
        failures: plugin.failures,
        quarantined: plugin.quarantined,
    }
}

fn version(version: sluice_plugins::VersionInfo) -> PluginVersionInfo {
    PluginVersionInfo {
        name: version.name,
        version: version.version,
        sha256: version.sha256,
        bytes: version.size,
        world: version.world,
    }
}
