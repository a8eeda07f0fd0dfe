//! A plugin bound to one topic: which version it uses, whether it rests, and the path of one call. Hot: two atomic loads,
//! an uncontended lock for the quarantine, a permit, a lock for the pool, an allocation, then the guest.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::clock::Instant;
use crate::error::{BindError, CallError};
use crate::guest::pool::Pool;
use crate::quarantine::Quarantine;
use crate::reference::PluginRef;
use crate::registry::Version;
use crate::shared::Shared;
use crate::stats::Stats;
use crate::world::{Entry, World};

/// A binding with its kept instances.
pub(crate) struct Binding<W: World> {
    shared: Arc<Shared>,
    reference: PluginRef,
    config: Arc<str>,
    stats: Arc<Stats>,
    quarantine: Arc<Mutex<Quarantine>>,
    current: ArcSwap<Current<W>>,
}

/// The instances of the version in use. A call keeps to the pool that it began with, so no batch sees two versions.
struct Current<W: World> {
    /// The registry's generation that `pool` was chosen under.
    generation: u64,
    pool: Arc<Pool<W>>,
}

impl<W: World> Binding<W> {
    /// Loads the plugin and runs `init(config)` once.
    pub(crate) async fn new(shared: Arc<Shared>, reference: &PluginRef, config: &str) -> Result<Binding<W>, BindError> {
        let generation = shared.registry.generation();
        let (version, stats) = resolve::<W>(reference, &shared)?;
        let module = shared.module(&version).await?;
        let config: Arc<str> = config.into();
        let pool = Pool::new(module, Arc::clone(&config));
        {
            let _permit = shared.wasm.permits.acquire().await.map_err(|_| BindError::Closing)?;
            let started = pool.start(&shared.wasm).await;
            let name = || reference.name().to_owned();
            pool.put_back(started.map_err(|cause| BindError::Init { name: name(), reason: cause.reason() })?);
        }
        let quarantine = Arc::default();
        stats.watch(&quarantine);
        let current = ArcSwap::from_pointee(Current { generation, pool: Arc::new(pool) });
        Ok(Binding { shared, reference: reference.clone(), config, stats, quarantine, current })
    }

    /// Calls the guest once.
    ///
    /// # Errors
    /// Why it returned no answer; the instance that failed is dropped, and others go on.
    pub(crate) async fn call<E: Entry<World = W>>(&self, entry: E) -> Result<E::Answer, CallError> {
        if let Some(left) = self.quarantine.lock().resting(Instant::now) {
            let for_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
            return Err(CallError::Quarantined { for_ms });
        }
        let pool = self.current_pool().await?;
        self.stats.count_call();
        let began = Instant::now();
        let answer = self.call_instance(&pool, entry).await;
        self.stats.count_time(Instant::now().saturating_duration_since(began));
        self.note(answer.as_ref().err());
        answer
    }

    async fn call_instance<E: Entry<World = W>>(&self, pool: &Pool<W>, entry: E) -> Result<E::Answer, CallError> {
        let wasm = &self.shared.wasm;
        let closing = |_| CallError::Unavailable { cause: BindError::Closing };
        let _permit = wasm.permits.acquire().await.map_err(closing)?;
        let mut instance = match pool.kept() {
            Some(instance) => instance,
            None => pool.start(wasm).await.map_err(|cause| cause.of_call(self.reference.name()))?,
        };
        // On a failure, or when the caller is dropped in the middle, the instance is dropped with its store.
        let answer = instance.call(wasm, entry).await?;
        pool.put_back(instance);
        Ok(answer)
    }

    /// The pool of the version that the reference means now.
    async fn current_pool(&self) -> Result<Arc<Pool<W>>, CallError> {
        let generation = self.shared.registry.generation();
        let current = self.current.load();
        if current.generation == generation {
            return Ok(Arc::clone(&current.pool));
        }
        let current = arc_swap::Guard::into_inner(current);
        let unavailable = |cause| CallError::Unavailable { cause };
        let (version, _) = resolve::<W>(&self.reference, &self.shared).map_err(unavailable)?;
        let module = self.shared.module(&version).await.map_err(unavailable)?;
        let pool = if Arc::ptr_eq(current.pool.module(), &module) {
            Arc::clone(&current.pool)
        } else {
            Arc::new(Pool::new(module, Arc::clone(&self.config)))
        };
        // A slower call may store an older generation after a newer one; the next call then chooses again.
        self.current.store(Arc::new(Current { generation, pool: Arc::clone(&pool) }));
        Ok(pool)
    }

    fn note(&self, failure: Option<&CallError>) {
        let Some(failure) = failure else {
            self.quarantine.lock().succeeded();
            return;
        };
        let timed_out = matches!(failure, CallError::Timeout { .. });
        self.stats.count_failure(timed_out);
        let rest = self.quarantine.lock().failed(timed_out, Instant::now());
        if let Some(rest) = rest {
            let (plugin, rest_ms) = (self.reference.name(), rest.as_millis());
            tracing::warn!(plugin, rest_ms, %failure, "the plugin failed too often and rests");
        }
    }
}

impl<W: World> std::fmt::Debug for Binding<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(W::NAME).field("reference", &self.reference).finish_non_exhaustive()
    }
}

/// The version that a reference means now; it must be of the world `W`.
fn resolve<W: World>(reference: &PluginRef, shared: &Shared) -> Result<(Arc<Version>, Arc<Stats>), BindError> {
    let name = || reference.name().to_owned();
    let plugins = shared.registry.plugins();
    let plugin = plugins.get(reference.name()).ok_or_else(|| BindError::NotFound { name: name() })?;
    let number = reference.version().unwrap_or(plugin.active);
    let version = plugin.versions.get(&number);
    let version = version.ok_or_else(|| BindError::NoVersion { name: name(), version: number })?;
    if version.info.world != W::NAME {
        return Err(BindError::OtherWorld { name: name(), has: version.info.world.clone(), wanted: W::NAME });
    }
    Ok((Arc::clone(version), Arc::clone(&plugin.stats)))
}
