//! Plugins uploaded, listed and removed, and the choice of partitions by the bound one. A new version must take the
//! configuration of every bound topic, and a plugin in use is not removed: no binding ever points to nothing.

use bytes::Bytes;
use sluice_plugins::{Bound, PluginInfo, UploadError, VersionInfo};

use super::{Engine, EngineError};
use crate::auth::{Alter, Cluster, Describe, Granted, Write};
use crate::chain::{BoundPlugin, ChainError, Target, plugin_of};
use crate::context::Context;
use crate::ids::{PartitionId, TopicRef};
use crate::record::Message;
use crate::topics::Topic;

/// Why a verb about plugins failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PluginError {
    /// The upload was refused; nothing has changed.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// No plugin of that name.
    #[error("there is no plugin '{name}'")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// Topics are bound to it.
    #[error("plugin '{name}' is in use by {topics:?}: unbind it there first")]
    InUse {
        /// The plugin.
        name: String,
        /// The topics.
        topics: Vec<String>,
    },
}

impl Engine {
    /// The next version of a plugin, durable and active when this returns. Topics bound to the name follow from their next
    /// batch on; those bound to `name@3` stay.
    ///
    /// # Errors
    /// What is wrong with the bytes, or the topics whose configuration the new version refuses.
    pub(crate) async fn upload_plugin(
        &self,
        _permit: &Granted<Alter, Cluster>,
        name: &str,
        wasm: Bytes,
    ) -> Result<VersionInfo, PluginError> {
        let bound = self.bound_to(name).filter(|(reference, _)| reference == name).map(|(_, bound)| bound);
        let bound: Vec<Bound> = bound.collect();
        Ok(self.partitioners.host().upload_for(name, &wasm, &bound).await?)
    }

    /// Every plugin, in order of names.
    #[must_use]
    pub(crate) fn plugins(&self, _permit: &Granted<Describe, Cluster>) -> Vec<PluginInfo> {
        self.partitioners.host().list()
    }

    /// One plugin.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn plugin(&self, _permit: &Granted<Describe, Cluster>, name: &str) -> Result<PluginInfo, PluginError> {
        let found = self.partitioners.host().get(name);
        found.ok_or_else(|| PluginError::NotFound { name: name.to_owned() })
    }

    /// Removes a plugin with all its versions.
    ///
    /// # Errors
    /// `NotFound`, and `InUse` while a topic is bound to it or to one of its versions.
    pub(crate) async fn delete_plugin(&self, _permit: &Granted<Alter, Cluster>, name: &str) -> Result<(), PluginError> {
        let topics: Vec<String> = self.bound_to(name).map(|(_, bound)| bound.topic).collect();
        let host = self.partitioners.host();
        if host.get(name).is_none() {
            return Err(PluginError::NotFound { name: name.to_owned() });
        }
        if !topics.is_empty() {
            return Err(PluginError::InUse { name: name.to_owned(), topics });
        }
        match host.delete(name).await.map_err(UploadError::from)? {
            true => Ok(()),
            false => Err(PluginError::NotFound { name: name.to_owned() }),
        }
    }

    /// One partition for each message, in order: the bound plugin's choice; else murmur2 of the key as in the Java client;
    /// messages without a key share one partition.
    ///
    /// # Errors
    /// An unknown topic; `Unavailable` when the bound plugin cannot be loaded now, `Failed` when it failed on these messages.
    pub(crate) async fn choose_partitions(
        &self,
        ctx: &Context,
        topic: &Granted<Write, TopicRef>,
        messages: &[Message],
    ) -> Result<Vec<PartitionId>, EngineError> {
        let topic = self.resolve(topic.resource())?;
        Ok(self.choose_for(ctx, &topic, messages).await?)
    }

    /// The bound plugin's choice, one partition for each message, in order. `None` when no plugin is bound.
    ///
    /// # Errors
    /// As `choose_partitions`.
    pub(crate) async fn bound_partitions(
        &self,
        ctx: &Context,
        topic: &Granted<Write, TopicRef>,
        messages: &[Message],
    ) -> Result<Option<Vec<PartitionId>>, EngineError> {
        let topic = self.resolve(topic.resource())?;
        if topic.configs().partitioner().is_none() {
            return Ok(None);
        }
        Ok(Some(self.choose_for(ctx, &topic, messages).await?))
    }

    async fn choose_for(
        &self,
        ctx: &Context,
        topic: &Topic,
        messages: &[Message],
    ) -> Result<Vec<PartitionId>, ChainError> {
        let configs = topic.configs();
        let bound = |reference| BoundPlugin { reference, config: configs.plugin_config(plugin_of(reference)) };
        let target = Target {
            id: topic.id(),
            name: topic.name().as_str(),
            partitions: topic.partition_count(),
            plugin: configs.partitioner().map(bound),
        };
        self.partitioners.choose(ctx, &target, messages).await
    }

    /// The topics bound to any version of a plugin, with how they name it.
    fn bound_to(&self, name: &str) -> impl Iterator<Item = (String, Bound)> {
        self.catalog.topics().into_iter().filter_map(move |topic| {
            let configs = topic.configs();
            let reference = configs.partitioner().filter(|reference| plugin_of(reference) == name)?;
            let config = configs.plugin_config(name).to_owned();
            Some((reference.to_owned(), Bound { topic: topic.name().as_str().to_owned(), config }))
        })
    }
}
