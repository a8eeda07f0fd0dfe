//! What the host and its bindings share: the engine, the registry, and the way from a version to code that can run.

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::Component;

use crate::config::HostConfig;
use crate::error::{BindError, HostError, UploadError};
use crate::guest::engine::Wasm;
use crate::guest::module::Module;
use crate::limits::UPLOADS_WAITING_MAX;
use crate::registry::{Registry, Version};
use crate::threads::blocking;
use crate::upload::compile::Compiler;
use crate::upload::compiled::CodeCache;
use crate::upload::wrap::WorldOf;

/// One host's parts.
pub(crate) struct Shared {
    pub(crate) wasm: Wasm,
    pub(crate) registry: Registry,
    pub(crate) cache: CodeCache,
    compiler: Compiler,
    /// Uploads that wait or run.
    pub(crate) uploads: Semaphore,
    /// Held by the one upload or removal that changes the registry.
    pub(crate) changing: Semaphore,
}

impl Shared {
    pub(crate) fn open(config: HostConfig, world_of: WorldOf) -> Result<Shared, HostError> {
        let registry = Registry::open(&config.dir)?;
        let compiled = config.dir.join("compiled");
        let wasm = Wasm::new(config)?;
        let cache = CodeCache::open(compiled, wasm.engine.clone())?;
        let compiler = Compiler::new(wasm.engine.clone(), world_of);
        let uploads = Semaphore::new(UPLOADS_WAITING_MAX);
        Ok(Shared { wasm, registry, cache, compiler, uploads, changing: Semaphore::new(1) })
    }

    /// The compiled component: from the cache, or compiled now from what `bytes` returns.
    pub(crate) async fn component(
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
            // Also read where compiled code is cached: a version whose module is missing must not seem whole.
            let bytes = blocking(move || shared.registry.module_bytes(&key)).await.map_err(damaged)?;
            let component = self.component(&info.sha256, || Ok(bytes)).await;
            let component = component.map_err(|cause| damaged(cause.to_string()))?;
            let module = Module::link(&self.wasm, info.name.as_str().into(), info.version, &component);
            module.map(Arc::new).map_err(|cause| damaged(cause.to_string()))
        };
        version.module.get_or_try_init(load).await.cloned()
    }
}
