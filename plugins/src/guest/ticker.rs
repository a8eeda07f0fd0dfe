//! Advances the engine's epoch every millisecond while a guest runs, so that it yields. One thread for the host; it sleeps
//! when nothing has run for a while, and ends with the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};
use wasmtime::Engine;

use crate::error::HostError;
use crate::limits::{IDLE_TICKS, TICK};
use crate::threads::{End, HostThread, Spawner};

/// Owns the ticking thread.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    end: End,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

/// While this lives, epochs pass.
pub(crate) struct Ticking<'a>(&'a Shared);

impl Ticker {
    pub(crate) fn start(engine: Engine, spawner: &Spawner) -> Result<Ticker, HostError> {
        let shared = Arc::new(Shared::default());
        let (woken, of_thread) = (Arc::clone(&shared), Arc::clone(&shared));
        let thread = HostThread {
            name: "plugin-ticker",
            wake: Arc::new(move || woken.wake()),
            work: Box::new(move |may_go_on| of_thread.tick(&engine, may_go_on)),
        };
        let end = spawner.spawn(thread);
        let end = end.map_err(|cause| HostError::Engine { cause: format!("no thread for the ticker: {cause}") })?;
        Ok(Ticker { shared, end })
    }

    /// An atomic add when the ticker is awake, a system call more when it has to be woken.
    pub(crate) fn ticking(&self) -> Ticking<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.shared.wake();
        }
        Ticking(&self.shared)
    }
}

impl Shared {
    fn wake(&self) {
        let _held = self.lock.lock();
        self.wake.notify_one();
    }

    fn tick(&self, engine: &Engine, may_go_on: &dyn Fn() -> bool) {
        let mut idle = 0;
        let mut held = self.lock.lock();
        while may_go_on() {
            if self.running.load(Ordering::SeqCst) > 0 {
                idle = 0;
            } else {
                idle += 1;
            }
            if idle > IDLE_TICKS {
                // The order matters: a call that does not see `asleep` has been counted before the check below.
                self.asleep.store(true, Ordering::SeqCst);
                if self.running.load(Ordering::SeqCst) == 0 && may_go_on() {
                    self.wake.wait(&mut held);
                }
                self.asleep.store(false, Ordering::SeqCst);
                idle = 0;
            } else {
                self.wake.wait_for(&mut held, TICK);
                engine.increment_epoch();
            }
        }
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        (self.end)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::engine::new_engine;

    #[test]
    fn epochs_pass_while_a_guest_runs_also_after_the_ticker_slept() {
        let engine = new_engine().unwrap();
        let ticker = Ticker::start(engine.clone(), &Spawner::default()).unwrap();
        for _ in 0..3 {
            let ticking = ticker.ticking();
            let mut store = wasmtime::Store::new(&engine, ());
            store.set_epoch_deadline(1);
            store.epoch_deadline_trap();
            // A guest that loops for ever ends only when an epoch passes.
            let looping = wasmtime::Module::new(&engine, "(module (func (export \"f\") (loop br 0)))").unwrap();
            let instance = wasmtime::Instance::new(&mut store, &looping, &[]).unwrap();
            let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
            assert!(f.call(&mut store, ()).is_err());
            drop(ticking);
            while !ticker.shared.asleep.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }
}
