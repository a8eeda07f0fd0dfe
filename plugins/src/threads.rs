//! The host's threads and its blocking work; the only file of this crate that spawns. The one thread that lives as long as
//! the host is spawned by whoever opens the host, who notices when it ends too early.

use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

/// Asks in each round whether it may go on, and returns when it may not.
type Work = Box<dyn FnOnce(MayGoOn<'_>) + Send>;

/// Whether a thread may go on.
type MayGoOn<'a> = &'a dyn Fn() -> bool;

/// A thread that works until it is ended.
pub struct HostThread {
    /// Its name.
    pub name: &'static str,
    /// Makes the thread look whether it may go on.
    pub wake: Arc<dyn Fn() + Send + Sync>,
    /// Its work.
    pub work: Work,
}

/// Asks a thread to end, wakes it and waits for its end.
pub type End = Box<dyn Fn() + Send + Sync>;

type Spawn = dyn Fn(HostThread) -> io::Result<End> + Send + Sync;

/// How the host's thread is started.
#[derive(Clone)]
pub struct Spawner(Arc<Spawn>);

impl Spawner {
    /// A way of the caller's.
    #[must_use]
    pub fn new(spawn: impl Fn(HostThread) -> io::Result<End> + Send + Sync + 'static) -> Spawner {
        Spawner(Arc::new(spawn))
    }

    pub(crate) fn spawn(&self, thread: HostThread) -> io::Result<End> {
        (self.0)(thread)
    }
}

impl Default for Spawner {
    /// A plain thread, whose panic is logged when the host is closed.
    fn default() -> Spawner {
        Spawner::new(plain)
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}

fn plain(HostThread { name, wake, work }: HostThread) -> io::Result<End> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let running = Builder::new().name(name.into()).spawn(move || work(&|| !asked.load(Ordering::SeqCst)))?;
    let running = parking_lot::Mutex::new(Some(running));
    Ok(Box::new(move || {
        stop.store(true, Ordering::SeqCst);
        wake();
        if let Some(running) = running.lock().take()
            && running.join().is_err()
        {
            tracing::error!("the thread {name} had panicked");
        }
    }))
}

/// Runs `work` to its end on a thread of its own, and waits for it. `Ok(None)`: it panicked.
pub(crate) fn apart<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> io::Result<Option<T>> {
    std::thread::scope(|scope| Ok(Builder::new().name(name.into()).spawn_scoped(scope, work)?.join().ok()))
}

/// Disk work and compilation, off the network threads. A panic goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => resume_unwind(panicked.into_panic()),
    }
}
