//! Compiles one module at a time, on a thread of its own at low priority, with the form checked before.

use tokio::sync::Semaphore;
use wasmtime::Engine;

use crate::error::{HostError, UploadError};
use crate::threads;
use crate::upload::form::{self, Form};
use crate::upload::wrap::{self, WorldOf};

/// How much a compilation stands back behind the broker's own threads.
const NICE: i32 = 10;

/// Whose turn it is to compile.
pub(crate) struct Compiler {
    engine: Engine,
    turn: Semaphore,
    world_of: WorldOf,
}

impl Compiler {
    pub(crate) fn new(engine: Engine, world_of: WorldOf) -> Compiler {
        Compiler { engine, turn: Semaphore::new(1), world_of }
    }

    /// The compiled code of a component or of a core module, which is wrapped first.
    pub(crate) async fn compile(&self, wasm: Vec<u8>) -> Result<Vec<u8>, UploadError> {
        let _turn = self.turn.acquire().await.map_err(|_| HostError::Closing)?;
        let (engine, world_of) = (self.engine.clone(), self.world_of);
        threads::blocking(move || on_low_priority(move || code_of(&engine, &wasm, world_of))).await
    }
}

/// Checks, wraps and compiles.
fn code_of(engine: &Engine, wasm: &[u8], world_of: WorldOf) -> Result<Vec<u8>, UploadError> {
    let compiled = match form::check(wasm)? {
        Form::Component => engine.precompile_component(wasm),
        Form::Module => {
            validate(engine, wasm)?;
            engine.precompile_component(&wrap::wrap(wasm, world_of)?)
        }
    };
    compiled.map_err(|cause| UploadError::Malformed { reason: format!("{cause:#}") })
}

/// The wrapper trusts that a module is valid.
fn validate(engine: &Engine, wasm: &[u8]) -> Result<(), UploadError> {
    wasmtime::Module::validate(engine, wasm).map_err(|cause| UploadError::Malformed { reason: format!("{cause:#}") })
}

/// Runs `work` on a thread that stands back; on Linux priorities are a thread's own.
fn on_low_priority<T: Send>(work: impl FnOnce() -> Result<T, UploadError> + Send) -> Result<T, UploadError> {
    let done = threads::apart("plugin-compile", || {
        if let Err(cause) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%cause, "compiling at normal priority");
        }
        work()
    });
    let compiled = done.map_err(|cause| stopped(&cause.to_string()))?;
    compiled.unwrap_or_else(|| Err(UploadError::Compile { reason: "the compiler does not survive it".into() }))
}

fn stopped(cause: &str) -> UploadError {
    UploadError::Host(HostError::Engine { cause: format!("compiling stopped: {cause}") })
}
