//! One guest instance in its own store: started, initialised, called. After any failure it must be dropped.

use std::time::Duration;

use wasmtime::component::TypedFunc;
use wasmtime::{Store, Trap};

use crate::border::Batch;
use crate::call::CallContext;
use crate::engine::Wasm;
use crate::error::CallError;
use crate::guest_log::GuestLog;
use crate::limits::{CALLS_PER_INSTANCE, INIT_TIME, TEXT_BYTES_MAX, TICKS_PER_SLICE};
use crate::module::Module;
use crate::running::{Overrun, run};
use crate::sandbox::{MemoryAccount, Sandbox};

type Init = TypedFunc<(String,), (Result<(), String>,)>;
type Partition = TypedFunc<(CallContext, u32, Batch), (Vec<u32>,)>;

/// A started guest.
pub(crate) struct Instance {
    store: Store<Sandbox>,
    init: Init,
    partition: Partition,
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

impl Instance {
    /// Instantiates a module; 12 to 17 µs and what the guest itself does at its start.
    pub(crate) async fn start(wasm: &Wasm, module: &Module) -> Result<Instance, StartError> {
        let sandbox = Sandbox {
            memory: MemoryAccount::new(wasm.memory_bytes),
            log: GuestLog::new(module.plugin().clone(), module.version()),
            clock: wasm.clock.clone(),
        };
        let mut store = Store::new(&wasm.engine, sandbox);
        store.limiter(|sandbox| &mut sandbox.memory);
        store.epoch_deadline_async_yield_and_update(TICKS_PER_SLICE);
        let instance =
            guarded(wasm, &mut store, INIT_TIME, 0, async |store| module.pre().instantiate_async(store).await)
                .await
                .map_err(StartError::Failed)?;
        let wrong = |name: &str, cause: wasmtime::Error| StartError::WrongWorld(format!("'{name}': {cause:#}"));
        let init = instance.get_typed_func(&mut store, "init").map_err(|cause| wrong("init", cause))?;
        let partition = instance.get_typed_func(&mut store, "partition").map_err(|cause| wrong("partition", cause))?;
        Ok(Instance { store, init, partition, calls: 0 })
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

    /// One number below `partition_count` a record.
    pub(crate) async fn partition(
        &mut self,
        wasm: &Wasm,
        ctx: &CallContext,
        partition_count: u32,
        batch: Batch,
    ) -> Result<Vec<u32>, CallError> {
        self.calls += 1;
        self.store.data_mut().log.set_topic(&ctx.topic);
        let records = batch.records();
        let partition = &self.partition;
        let params = (ctx.clone(), partition_count, batch);
        let call = async |store: &mut Store<Sandbox>| partition.call_async(store, params).await;
        let (chosen,) = guarded(wasm, &mut self.store, wasm.call_time, records * size_of::<u32>(), call).await?;
        check_answer(&chosen, records, partition_count)?;
        Ok(chosen)
    }

    /// Whether it has served its time: too many calls, or memory (which never shrinks) past half of the limit.
    pub(crate) fn worn(&self) -> bool {
        let memory = &self.store.data().memory;
        self.calls >= CALLS_PER_INSTANCE || memory.used() > memory.limit() / 2
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

fn check_answer(chosen: &[u32], records: usize, partition_count: u32) -> Result<(), CallError> {
    if chosen.len() != records {
        let reason = format!("{} partitions for {records} records", chosen.len());
        return Err(CallError::BadAnswer { reason });
    }
    match chosen.iter().position(|&partition| partition >= partition_count) {
        Some(at) => Err(CallError::BadAnswer {
            reason: format!("partition {} for record {at}, the topic has {partition_count}", chosen[at]),
        }),
        None => Ok(()),
    }
}
