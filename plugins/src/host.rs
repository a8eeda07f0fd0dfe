//! The host's verbs: upload, list, delete, bind. Nothing here runs a guest for longer than its limits, and nothing that is
//! answered can be gone after a power cut.

use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore};
use wasmtime::component::Component;

use crate::compile::Compiler;
use crate::compiled::CodeCache;
use crate::config::HostConfig;
use crate::engine::Wasm;
use crate::error::{BindError, HostError, UploadError};
use crate::form;
use crate::instance::{Instance, StartError};
use crate::limits::{PLUGINS_MAX, UPLOADS_WAITING_MAX, VERSIONS_MAX};
use crate::module::Module;
use crate::partitioner::Partitioner;
use crate::pool::{NewInstanceError, Pool};
use crate::registry::{Plugin, Registry, Version, checksum};
use crate::threads::blocking;

pub use crate::registry::VersionInfo;

/// The only world that is hosted.
const WORLD: &str = "partitioner";

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
    /// Whether a binding of it rests because it failed too often.
    pub quarantined: bool,
}

/// A topic whose records the active version of a plugin partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The topic's name.
    pub topic: String,
    /// The plugin's configuration there.
    pub config: String,
}

/// The plugin host. Cheap to share.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

/// What host and bindings share.
pub(crate) struct Shared {
    pub(crate) wasm: Wasm,
    pub(crate) registry: Registry,
    compiler: Compiler,
    cache: CodeCache,
    /// Uploads that wait or run.
    uploads: Semaphore,
    /// Whose turn it is to change the registry.
    changing: Semaphore,
}

impl Host {
    /// Opens the folder of plugins. Damage to a plugin shows when it is bound.
    ///
    /// # Errors
    /// A folder or registry that cannot be read or written, an engine that does not start.
    pub fn open(config: HostConfig) -> Result<Host, HostError> {
        let registry = Registry::open(&config.dir)?;
        let wasm = Wasm::new(&config)?;
        let cache = CodeCache::open(config.dir.join("compiled"), wasm.engine.clone())?;
        let compiler = Compiler::new(wasm.engine.clone());
        let uploads = Semaphore::new(UPLOADS_WAITING_MAX);
        Ok(Host { shared: Arc::new(Shared { wasm, registry, compiler, cache, uploads, changing: Semaphore::new(1) }) })
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
        check_name(name)?;
        let shared = &self.shared;
        let _place = shared.uploads.try_acquire().map_err(|_| UploadError::Busy { waiting: UPLOADS_WAITING_MAX })?;
        let _turn = shared.changing.acquire().await.map_err(|_| closing())?;
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
        shared.try_out(&module, bound).await?;
        let size = u64::try_from(wasm.len()).unwrap_or(u64::MAX);
        let info = VersionInfo { name: name.into(), version: number, sha256, size, world: WORLD.into() };
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

    /// Forgets a plugin with all its versions; `false` when there was none. The caller has made sure that nothing is bound
    /// to it: a binding that is left refuses every call.
    ///
    /// # Errors
    /// The disk's.
    pub async fn delete(&self, name: &str) -> Result<bool, HostError> {
        let shared = Arc::clone(&self.shared);
        let Ok(_turn) = self.shared.changing.acquire().await else {
            return Err(HostError::Engine { cause: "the host is closing".into() });
        };
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

    /// Loads a plugin for one topic's use. `reference` is `name` (the active version, followed when that changes) or
    /// `name@3`. Runs `init(config)` once now, and once for each instance made later.
    ///
    /// # Errors
    /// A plugin or version that is not there, is damaged, or refuses the configuration.
    pub async fn bind(&self, reference: &str, config: &str) -> Result<Partitioner, BindError> {
        Partitioner::bind(Arc::clone(&self.shared), reference, config).await
    }
}

impl Shared {
    /// The compiled component: from the cache, or compiled now from what `bytes` gives.
    async fn component(
        self: &Arc<Shared>,
        sha256: &str,
        bytes: impl FnOnce() -> Result<Vec<u8>, UploadError>,
    ) -> Result<Component, UploadError> {
        let (shared, key) = (Arc::clone(self), sha256.to_owned());
        let cached = blocking(move || Ok::<_, UploadError>(shared.cache.load(&key))).await?;
        if let Some(component) = cached {
            return Ok(component);
        }
        let code = self.compiler.compile(bytes()?).await?;
        let (shared, key) = (Arc::clone(self), sha256.to_owned());
        Ok(blocking(move || shared.cache.keep(&key, &code)).await?)
    }

    /// The code of a version, loaded at its first use.
    pub(crate) async fn module(self: &Arc<Shared>, version: &Version) -> Result<Arc<Module>, BindError> {
        let info = &version.info;
        let damaged = |reason: String| BindError::Damaged { name: info.name.clone(), reason };
        let load = async || {
            let (shared, key) = (Arc::clone(self), info.sha256.clone());
            // Read also where compiled code is cached: a version whose module is gone must not seem whole.
            let bytes = blocking(move || shared.registry.module_bytes(&key)).await.map_err(damaged)?;
            let component = self.component(&info.sha256, || Ok(bytes)).await;
            let component = component.map_err(|cause| damaged(cause.to_string()))?;
            let module = Module::link(&self.wasm, info.name.as_str().into(), info.version, &component);
            module.map(Arc::new).map_err(|cause| damaged(cause.to_string()))
        };
        version.module.get_or_try_init(load).await.cloned()
    }

    /// Starts the module once, and once more for each configuration that it will be used with.
    async fn try_out(&self, module: &Arc<Module>, bound: &[Bound]) -> Result<(), UploadError> {
        let _permit = self.wasm.permits.acquire().await.map_err(|_| closing())?;
        Instance::start(&self.wasm, module).await.map_err(|cause| match cause {
            StartError::WrongWorld(reason) => UploadError::WrongWorld { reason },
            StartError::Failed(failed) => UploadError::Start { reason: failed.to_string() },
        })?;
        let mut tried: Vec<(&str, Option<String>)> = Vec::new();
        let mut refused: Vec<String> = Vec::new();
        let mut first = None;
        for Bound { topic, config } in bound {
            let known = tried.iter().find(|(text, _)| text == config).map(|(_, reason)| reason.clone());
            let reason = match known {
                Some(reason) => reason,
                None => {
                    let pool = Pool::new(Arc::clone(module), config.as_str().into());
                    let reason = pool.start(&self.wasm).await.err().as_ref().map(NewInstanceError::reason);
                    tried.push((config, reason.clone()));
                    reason
                }
            };
            if let Some(reason) = reason {
                refused.push(topic.clone());
                first.get_or_insert(reason);
            }
        }
        match first {
            Some(reason) => Err(UploadError::Init { topics: refused, reason }),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("registry", &self.shared.registry).finish_non_exhaustive()
    }
}

/// 1 to 64 of `a-z 0-9 - _`, the first a letter: it stands in topic configs and, with a version, before an `@`.
fn check_name(name: &str) -> Result<(), UploadError> {
    let first = name.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_'));
    if first && rest && name.len() <= 64 {
        return Ok(());
    }
    Err(UploadError::BadName { name: name.chars().take(100).collect() })
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
        quarantined: plugin.stats.quarantined(),
    }
}

fn closing() -> UploadError {
    UploadError::Host(HostError::Engine { cause: "the host is closing".into() })
}
