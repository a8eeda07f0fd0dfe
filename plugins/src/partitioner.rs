//! A bound partitioner: which version it uses, whether it rests, and the path of one call. Hot: two atomic loads, an
//! uncontended lock for the rest, a permit, a lock for the pool, then the guest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::border::Batch;
use crate::call::CallContext;
use crate::error::{BindError, CallError};
use crate::host::Shared;
use crate::pool::Pool;
use crate::quarantine::Quarantine;
use crate::registry::Version;

/// Counters of one plugin, over its versions and bindings.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    calls: AtomicU64,
    failures: AtomicU64,
    bindings: Mutex<Vec<Weak<Mutex<Quarantine>>>>,
}

/// Which version a binding names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    name: String,
    /// `None`: the active one.
    version: Option<u32>,
}

/// A bound partitioner with its kept instances. Cheap to call, safe to share.
pub struct Partitioner {
    shared: Arc<Shared>,
    reference: Reference,
    config: Arc<str>,
    stats: Arc<Stats>,
    quarantine: Arc<Mutex<Quarantine>>,
    current: ArcSwap<Current>,
}

/// The instances of the version in use. A call keeps to the pool that it began with, so no batch sees two versions.
struct Current {
    /// The registry's generation that `pool` was chosen under.
    generation: u64,
    pool: Arc<Pool>,
}

impl Partitioner {
    pub(crate) async fn bind(shared: Arc<Shared>, reference: &str, config: &str) -> Result<Partitioner, BindError> {
        let reference = Reference::parse(reference)?;
        let generation = shared.registry.generation();
        let (version, stats) = reference.resolve(&shared)?;
        let module = shared.module(&version).await?;
        let config: Arc<str> = config.into();
        let pool = Pool::new(module, Arc::clone(&config));
        let refuses = |reason: String| BindError::Init { name: reference.name.clone(), reason };
        {
            let permit = shared.wasm.permits.acquire().await;
            let _permit = permit.map_err(|_| refuses("the host is closing".into()))?;
            pool.put_back(pool.start(&shared.wasm).await.map_err(|cause| refuses(cause.reason()))?);
        }
        let quarantine = Arc::default();
        stats.watch(&quarantine);
        let current = ArcSwap::from_pointee(Current { generation, pool: Arc::new(pool) });
        Ok(Partitioner { shared, reference, config, stats, quarantine, current })
    }

    /// One number below `partition_count` for each record of `batch`, in order.
    ///
    /// # Errors
    /// Why the plugin gave no answer; the instance that failed is gone, and others go on.
    pub async fn partition(
        &self,
        ctx: &CallContext,
        partition_count: u32,
        batch: Batch,
    ) -> Result<Vec<u32>, CallError> {
        if batch.records() == 0 {
            return Ok(Vec::new());
        }
        if let Some(left) = self.quarantine.lock().resting(Instant::now) {
            let for_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
            return Err(CallError::Quarantined { for_ms });
        }
        let pool = self.current_pool().await?;
        self.stats.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.call(&pool, ctx, partition_count, batch).await;
        self.note(answer.as_ref().err());
        answer
    }

    async fn call(
        &self,
        pool: &Pool,
        ctx: &CallContext,
        partition_count: u32,
        batch: Batch,
    ) -> Result<Vec<u32>, CallError> {
        let wasm = &self.shared.wasm;
        let closing = |_| CallError::Unavailable { reason: "the host is closing".into() };
        let _permit = wasm.permits.acquire().await.map_err(closing)?;
        let mut instance = match pool.kept() {
            Some(instance) => instance,
            None => pool.start(wasm).await.map_err(crate::pool::NewInstanceError::of_call)?,
        };
        // On a failure, or when the caller goes away in the middle, the instance is dropped with its store.
        let chosen = instance.partition(wasm, ctx, partition_count, batch).await?;
        pool.put_back(instance);
        Ok(chosen)
    }

    /// The pool of the version that the reference means now.
    async fn current_pool(&self) -> Result<Arc<Pool>, CallError> {
        let generation = self.shared.registry.generation();
        let current = self.current.load();
        if current.generation == generation {
            return Ok(Arc::clone(&current.pool));
        }
        let current = arc_swap::Guard::into_inner(current);
        let unavailable = |cause: BindError| CallError::Unavailable { reason: cause.to_string() };
        let (version, _) = self.reference.resolve(&self.shared).map_err(unavailable)?;
        let module = self.shared.module(&version).await.map_err(unavailable)?;
        let pool = if Arc::ptr_eq(current.pool.module(), &module) {
            Arc::clone(&current.pool)
        } else {
            Arc::new(Pool::new(module, Arc::clone(&self.config)))
        };
        // A slower call may put an older generation over a newer one; the next call then chooses again.
        self.current.store(Arc::new(Current { generation, pool: Arc::clone(&pool) }));
        Ok(pool)
    }

    fn note(&self, failure: Option<&CallError>) {
        let Some(failure) = failure else {
            self.quarantine.lock().succeeded();
            return;
        };
        self.stats.failures.fetch_add(1, Ordering::Relaxed);
        let timed_out = matches!(failure, CallError::Timeout { .. });
        let rest = self.quarantine.lock().failed(timed_out, Instant::now());
        if let Some(rest) = rest {
            let (plugin, rest_ms) = (&*self.reference.name, rest.as_millis());
            tracing::warn!(plugin, rest_ms, %failure, "the plugin failed too often and rests");
        }
    }
}

impl std::fmt::Debug for Partitioner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partitioner").field("reference", &self.reference).finish_non_exhaustive()
    }
}

impl Reference {
    fn parse(text: &str) -> Result<Reference, BindError> {
        let bad = || BindError::BadReference { reference: text.to_owned() };
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => (name, Some(version.parse::<u32>().map_err(|_| bad())?)),
        };
        if name.is_empty() {
            return Err(bad());
        }
        Ok(Reference { name: name.to_owned(), version })
    }

    fn resolve(&self, shared: &Shared) -> Result<(Arc<Version>, Arc<Stats>), BindError> {
        let plugins = shared.registry.plugins();
        let plugin = plugins.get(&self.name).ok_or_else(|| BindError::NotFound { name: self.name.clone() })?;
        let number = self.version.unwrap_or(plugin.active);
        let version = plugin.versions.get(&number);
        let version = version.ok_or_else(|| BindError::NoVersion { name: self.name.clone(), version: number })?;
        Ok((Arc::clone(version), Arc::clone(&plugin.stats)))
    }
}

impl Stats {
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether any binding rests.
    pub(crate) fn quarantined(&self) -> bool {
        let bindings = self.bindings.lock();
        bindings.iter().filter_map(Weak::upgrade).any(|record| record.lock().resting(Instant::now).is_some())
    }

    fn watch(&self, quarantine: &Arc<Mutex<Quarantine>>) {
        let mut bindings = self.bindings.lock();
        bindings.retain(|binding| binding.strong_count() > 0);
        bindings.push(Arc::downgrade(quarantine));
    }
}
