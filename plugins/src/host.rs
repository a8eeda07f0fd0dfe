//! The host's verbs: upload, list, delete, bind. No verb runs a guest for longer than its limits; what a verb reports as
//! done survives a power cut.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::binding::Binding;
use crate::config::HostConfig;
use crate::error::{BindError, HostError, UploadError};
use crate::guest::module::Module;
use crate::limits::{PLUGINS_MAX, UPLOADS_WAITING_MAX, VERSIONS_MAX};
use crate::reference::{PluginRef, is_plugin_name};
use crate::registry::{Plugin, Version, VersionInfo, checksum};
use crate::shared::Shared;
use crate::threads::blocking;
use crate::upload::form;
use crate::upload::trial::Bound;
use crate::world::World;
use crate::worlds;
use crate::worlds::partitioner::Partitioner;

/// A plugin as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    /// Its name.
    pub name: String,
    /// The version that bindings without a number use.
    pub active: u32,
    /// All versions, oldest first.
    pub versions: Vec<VersionInfo>,
    /// Calls since the broker's start.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that took too long; they are failures as well.
    pub timeouts: u64,
    /// How long calls took, waiting for an instance included.
    pub call_time: Duration,
    /// Whether a binding of it rests because it failed too often.
    pub quarantined: bool,
}

/// The plugin host. Cheap to share.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

impl Host {
    /// Opens the folder of plugins. Damage to a plugin shows when it is bound.
    ///
    /// # Errors
    /// A folder or registry that cannot be read or written, an engine that does not start.
    pub fn open(config: HostConfig) -> Result<Host, HostError> {
        Ok(Host { shared: Arc::new(Shared::open(config, worlds::of_core_exports)?) })
    }

    /// Takes a component, or a core module that is wrapped, as the next version of `name` and makes it the active one.
    /// Durable before it returns. The bytes of the active version again are that version.
    ///
    /// # Errors
    /// Everything that is wrong with the bytes; nothing has changed then.
    pub async fn upload(&self, name: &str, wasm: &[u8]) -> Result<VersionInfo, UploadError> {
        self.upload_for(name, wasm, &[]).await
    }

    /// As `upload`, for a plugin that topics are bound to without a version: each one's configuration is tried first.
    ///
    /// # Errors
    /// As `upload`, and `Init` with the topics whose configuration is refused.
    pub async fn upload_for(&self, name: &str, wasm: &[u8], bound: &[Bound]) -> Result<VersionInfo, UploadError> {
        if !is_plugin_name(name) {
            return Err(UploadError::BadName { name: name.chars().take(100).collect() });
        }
        let shared = &self.shared;
        let _place = shared.uploads.try_acquire().map_err(|_| UploadError::Busy { waiting: UPLOADS_WAITING_MAX })?;
        let _turn = shared.changing.acquire().await.map_err(|_| HostError::Closing)?;
        let wasm: Arc<[u8]> = wasm.into();
        let bytes = Arc::clone(&wasm);
        let sha256 = blocking(move || form::check(&bytes).map(|_| checksum(&bytes))).await?;
        let number = shared.registry.next_version(name);
        if let Some(plugin) = shared.registry.plugins().get(name) {
            if let Some(active) = plugin.versions.get(&plugin.active)
                && active.info.sha256 == sha256
            {
                return Ok(active.info.clone());
            }
            room(plugin.versions.len(), VERSIONS_MAX, "versions")?;
        } else {
            room(shared.registry.plugins().len(), PLUGINS_MAX, "plugins")?;
        }
        let component = shared.component(&sha256, || Ok(wasm.to_vec())).await?;
        let module = Arc::new(Module::link(&shared.wasm, name.into(), number, &component)?);
        let world = worlds::of_component(&component)?;
        world.try_out(&shared.wasm, &module, bound).await?;
        let size = u64::try_from(wasm.len()).unwrap_or(u64::MAX);
        let info = VersionInfo { name: name.into(), version: number, sha256, size, world: world.name.into() };
        let version = Version { info, module: OnceCell::new_with(Some(module)) };
        let shared = Arc::clone(shared);
        Ok(blocking(move || shared.registry.add(version, &wasm)).await?)
    }

    /// Every plugin, in order of names.
    #[must_use]
    pub fn list(&self) -> Vec<PluginInfo> {
        self.shared.registry.plugins().iter().map(|(name, plugin)| info(name, plugin)).collect()
    }

    /// One plugin.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<PluginInfo> {
        self.shared.registry.plugins().get(name).map(|plugin| info(name, plugin))
    }

    /// Removes a plugin with all its versions; `false` when there was none. The caller has made sure that nothing is bound
    /// to it: a binding that is left refuses every call.
    ///
    /// # Errors
    /// The disk's.
    pub async fn delete(&self, name: &str) -> Result<bool, HostError> {
        let shared = Arc::clone(&self.shared);
        let _turn = self.shared.changing.acquire().await.map_err(|_| HostError::Closing)?;
        let name = name.to_owned();
        blocking(move || {
            let Some(orphans) = shared.registry.remove(&name)? else { return Ok(false) };
            for sha256 in orphans {
                shared.cache.remove(&sha256)?;
            }
            Ok(true)
        })
        .await
    }

    /// Loads a partitioner for one topic's use. A reference without a version means the active one, and follows when that
    /// changes. Runs `init(config)` once now, and once for each instance made later.
    ///
    /// # Errors
    /// A plugin or version that does not exist, is of another world, is damaged, or refuses the configuration.
    pub async fn bind(&self, reference: &PluginRef, config: &str) -> Result<Partitioner, BindError> {
        Ok(Partitioner::new(self.bind_to(reference, config).await?))
    }

    pub(crate) async fn bind_to<W: World>(&self, reference: &PluginRef, config: &str) -> Result<Binding<W>, BindError> {
        Binding::new(Arc::clone(&self.shared), reference, config).await
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("registry", &self.shared.registry).finish_non_exhaustive()
    }
}

fn room(have: usize, limit: usize, what: &'static str) -> Result<(), UploadError> {
    if have >= limit { Err(UploadError::TooMany { what, limit }) } else { Ok(()) }
}

fn info(name: &str, plugin: &Plugin) -> PluginInfo {
    PluginInfo {
        name: name.to_owned(),
        active: plugin.active,
        versions: plugin.versions.values().map(|version| version.info.clone()).collect(),
        calls: plugin.stats.calls(),
        failures: plugin.stats.failures(),
        timeouts: plugin.stats.timeouts(),
        call_time: plugin.stats.call_time(),
        quarantined: plugin.stats.quarantined(),
    }
}
