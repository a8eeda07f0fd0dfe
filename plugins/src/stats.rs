//! What is counted of one plugin, over its versions and bindings, and whether a binding of it is in quarantine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Instant;
use crate::quarantine::Quarantine;

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    calls: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    call_us: AtomicU64,
    bindings: Mutex<Vec<Weak<Mutex<Quarantine>>>>,
}

impl Stats {
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn timeouts(&self) -> u64 {
        self.timeouts.load(Ordering::Relaxed)
    }

    pub(crate) fn call_time(&self) -> Duration {
        Duration::from_micros(self.call_us.load(Ordering::Relaxed))
    }

    pub(crate) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_time(&self, took: Duration) {
        self.call_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn count_failure(&self, timed_out: bool) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.timeouts.fetch_add(u64::from(timed_out), Ordering::Relaxed);
    }

    /// Whether any binding rests.
    pub(crate) fn quarantined(&self) -> bool {
        let bindings = self.bindings.lock();
        bindings.iter().filter_map(Weak::upgrade).any(|record| record.lock().resting(Instant::now).is_some())
    }

    /// Counts one more binding among those that may rest, for as long as it lives.
    pub(crate) fn watch(&self, quarantine: &Arc<Mutex<Quarantine>>) {
        let mut bindings = self.bindings.lock();
        bindings.retain(|binding| binding.strong_count() > 0);
        bindings.push(Arc::downgrade(quarantine));
    }
}
