//! One guest instance in its own store: started, initialised, called. After any failure it must be dropped.

use std::time::Duration;

use wasmtime::component::TypedFunc;
use wasmtime::{Store, Trap};

use crate::error::CallError;
use crate::guest::engine::Wasm;
use crate::guest::guest_log::GuestLog;
use crate::guest::module::Module;
use crate::guest::running::{Overrun, run};
use crate::guest::sandbox::{MemoryAccount, Sandbox};
use crate::limits::{CALLS_PER_INSTANCE, INIT_TIME, TEXT_BYTES_MAX, TICKS_PER_SLICE};
use crate::world::{Entry, Limits, World, WrongExport, export};

type Init = TypedFunc<(String,), (Result<(), String>,)>;

/// A started guest of one world.
pub(crate) struct Instance<W: World> {
    store: Store<Sandbox>,
    init: Init,
    exports: W::Exports,
    limits: Limits,
    calls: u32,
}

/// Why a guest does not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// An export is missing or has another type.
    WrongWorld(String),
    /// It failed while starting.
    Failed(CallError),
}

/// Why `init` did not succeed.
#[derive(Debug)]
pub(crate) enum InitError {
    /// It said no.
    Refused(String),
    /// It failed.
    Failed(CallError),
}

impl<W: World> Instance<W> {
    /// Instantiates a module; 12 to 17 µs and what the guest itself does at its start.
    pub(crate) async fn start(wasm: &Wasm, module: &Module) -> Result<Instance<W>, StartError> {
        let limits = W::limits(&wasm.config);
        let sandbox = Sandbox {
            memory: MemoryAccount::new(limits.memory_bytes),
            log: GuestLog::new(module.plugin().clone(), module.version()),
            clock: wasm.config.clock.clone(),
        };
        let mut store = Store::new(&wasm.engine, sandbox);
        store.limiter(|sandbox| &mut sandbox.memory);
        store.epoch_deadline_async_yield_and_update(TICKS_PER_SLICE);
        let instance =
            guarded(wasm, &mut store, INIT_TIME, 0, async |store| module.pre().instantiate_async(store).await)
                .await
                .map_err(StartError::Failed)?;
        let init = export(&instance, &mut store, "init")?;
        let exports = W::exports(&instance, &mut store)?;
        Ok(Instance { store, init, exports, limits, calls: 0 })
    }

    /// Gives the guest its configuration.
    pub(crate) async fn init(&mut self, wasm: &Wasm, config: &str) -> Result<(), InitError> {
        let init = &self.init;
        let config = config.to_owned();
        let call = async |store: &mut Store<Sandbox>| init.call_async(store, (config,)).await;
        match guarded(wasm, &mut self.store, INIT_TIME, 0, call).await {
            Ok((Ok(()),)) => Ok(()),
            Ok((Err(reason),)) => Err(InitError::Refused(reason)),
            Err(failed) => Err(InitError::Failed(failed)),
        }
    }

    /// Enters the guest once.
    pub(crate) async fn call<E: Entry<World = W>>(&mut self, wasm: &Wasm, entry: E) -> Result<E::Answer, CallError> {
        self.calls += 1;
        self.store.data_mut().log.set_topic(entry.topic());
        let exports = &self.exports;
        let answer_bytes = entry.answer_bytes_max();
        let call = async |store: &mut Store<Sandbox>| entry.enter(exports, store).await;
        guarded(wasm, &mut self.store, self.limits.call_time, answer_bytes, call).await?
    }

    /// Whether it has served its time: too many calls, or memory (which never shrinks) past half of the limit.
    pub(crate) fn worn(&self) -> bool {
        let memory = &self.store.data().memory;
        self.calls >= CALLS_PER_INSTANCE || memory.used() > memory.limit() / 2
    }
}

impl From<WrongExport> for StartError {
    fn from(wrong: WrongExport) -> StartError {
        StartError::WrongWorld(format!("'{}': {:#}", wrong.name, wrong.cause))
    }
}

/// Runs one entry into a guest with epochs passing, bounded in its own running time and in what it may copy out
/// (`answer_bytes` and some for texts).
async fn guarded<T, G>(
    wasm: &Wasm,
    store: &mut Store<Sandbox>,
    time: Duration,
    answer_bytes: usize,
    guest: G,
) -> Result<T, CallError>
where
    G: AsyncFnOnce(&mut Store<Sandbox>) -> wasmtime::Result<T>,
{
    store.set_epoch_deadline(TICKS_PER_SLICE);
    store.set_hostcall_fuel(TEXT_BYTES_MAX.saturating_add(answer_bytes.saturating_mul(2)));
    let ended = {
        let _ticking = wasm.ticker.ticking();
        run(guest(&mut *store), time).await
    };
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => Err(trapped(store, &cause)),
        Err(Overrun) => Err(CallError::Timeout { limit_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX) }),
    }
}

fn trapped(store: &mut Store<Sandbox>, cause: &wasmtime::Error) -> CallError {
    let memory = &mut store.data_mut().memory;
    if memory.take_refused() {
        return CallError::Memory { limit: memory.limit() };
    }
    let reason = match cause.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => cause.root_cause().to_string(),
    };
    CallError::Trap { reason }
}
