//! How wasmtime is set up: what WebAssembly may contain, and the two functions that guests may call.

use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Config, Engine, StoreContextMut};

use crate::config::HostConfig;
use crate::error::HostError;
use crate::guest::guest_log::Level;
use crate::guest::sandbox::Sandbox;
use crate::guest::ticker::Ticker;

/// The interface that carries `log` and `now-ms`.
pub(crate) const HOST_INTERFACE: &str = "sluice:plugin/host@0.1.0";

/// What every guest of this host shares.
pub(crate) struct Wasm {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Sandbox>,
    pub(crate) ticker: Ticker,
    /// One a guest that may run at the same time.
    pub(crate) permits: Semaphore,
    pub(crate) config: HostConfig,
}

impl Wasm {
    pub(crate) fn new(config: HostConfig) -> Result<Wasm, HostError> {
        let engine = new_engine()?;
        Ok(Wasm {
            linker: new_linker(&engine)?,
            ticker: Ticker::start(engine.clone(), &config.spawner)?,
            permits: Semaphore::new(config.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            config,
            engine,
        })
    }
}

/// The engine with epochs on and everything off that no tool chain of ours needs.
pub(crate) fn new_engine() -> Result<Engine, HostError> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Relaxed SIMD differs between machines: the same record could go elsewhere after a move.
    config.wasm_relaxed_simd(false);
    config.wasm_multi_memory(false);
    config.wasm_memory64(false);
    Engine::new(&config).map_err(|cause| HostError::Engine { cause: format!("{cause:#}") })
}

/// The linker with all that guests get: `log` and `now-ms`.
fn new_linker(engine: &Engine) -> Result<Linker<Sandbox>, HostError> {
    let failed = |cause: wasmtime::Error| HostError::Engine { cause: format!("{cause:#}") };
    let mut linker = Linker::new(engine);
    let mut host = linker.instance(HOST_INTERFACE).map_err(failed)?;
    host.func_wrap("log", |mut store: StoreContextMut<'_, Sandbox>, (level, text): (Level, String)| {
        store.data_mut().log.line(level, &text);
        Ok(())
    })
    .map_err(failed)?;
    host.func_wrap("now-ms", |store: StoreContextMut<'_, Sandbox>, (): ()| Ok((store.data().clock.now_ms(),)))
        .map_err(failed)?;
    Ok(linker)
}
