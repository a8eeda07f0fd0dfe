//! The one way to spawn, for tasks of the runtime and for threads. A *vital* task is one that the broker cannot serve
//! without: when it panics, or ends before it was asked to stop, it poisons what it served, readiness names it, and the
//! process ends. A *request* task serves one stranger: when it panics, its connection closes, and nothing else happens. A
//! service that reads a stranger's records is one of those too: a record that makes it panic must not end the process, which
//! would read it again after every restart.
//! Rank 0. Every spawned task has an owner here that notices its end; nothing else in the broker spawns.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::{Page, Section};

use polls::{PollCounts, Polls};

#[cfg(any(test, feature = "injected-panics"))]
mod injected;
#[cfg(any(test, feature = "injected-panics"))]
mod injecting;
mod polls;
#[cfg(test)]
mod tests;
mod threads;

pub(crate) use threads::may_block;

/// A task that did not end as it should: a bug of ours, never the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{task} {end}")]
pub struct TaskFailure {
    /// The task's name.
    pub task: Arc<str>,
    /// How it ended.
    pub end: AbnormalEnd,
}

/// How a task ended that should not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbnormalEnd {
    /// It panicked with this message.
    Panicked(String),
    /// It returned before it was asked to stop.
    Returned,
    /// The runtime ended before it.
    Cancelled,
}

impl fmt::Display for AbnormalEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AbnormalEnd::Panicked(message) => write!(f, "panicked: {message}"),
            AbnormalEnd::Returned => f.write_str("ended before it was asked to stop"),
            AbnormalEnd::Cancelled => f.write_str("was cancelled"),
        }
    }
}

/// The owner of every task of one broker. Clones share it. It holds nothing for a task that has ended.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    shared: Arc<Shared>,
}

struct Shared {
    /// The first vital task that failed.
    failure: watch::Sender<Option<TaskFailure>>,
    request_panics: AtomicU64,
    polls: Polls,
    /// Services for one topic or the like that a panic has ended.
    out_of_service: Mutex<Vec<TaskFailure>>,
    last_resort: Mutex<LastResort>,
    #[cfg(any(test, feature = "injected-panics"))]
    injected: injected::Injected,
}

type Resort = Box<dyn FnOnce(&TaskFailure) + Send>;

/// What happens when the orderly end after a failure takes too long.
#[derive(Default)]
enum LastResort {
    #[default]
    Unset,
    Set(Duration, Resort),
    Begun,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            failure: watch::Sender::new(None),
            request_panics: AtomicU64::new(0),
            polls: Polls::default(),
            out_of_service: Mutex::default(),
            last_resort: Mutex::default(),
            #[cfg(any(test, feature = "injected-panics"))]
            injected: injected::Injected::default(),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("failure", &*self.failure.borrow()).finish_non_exhaustive()
    }
}

/// What a vital task is called, when it may end, and what becomes unusable without it.
pub struct Vital {
    name: Arc<str>,
    stop: CancellationToken,
    poison: Resort,
}

impl Vital {
    /// A task that may end once `stop` is cancelled, not before.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, stop: CancellationToken) -> Vital {
        Vital { name: name.into(), stop, poison: Box::new(|_| {}) }
    }

    /// What is done at once when it fails: whatever it served refuses further work, and whoever waits is answered.
    #[must_use]
    pub(crate) fn poisons(mut self, poison: impl FnOnce(&TaskFailure) + Send + 'static) -> Vital {
        self.poison = Box::new(poison);
        self
    }
}

/// A vital task of the runtime.
#[derive(Debug)]
pub struct VitalTask {
    ended: CancellationToken,
}

impl VitalTask {
    /// Waits for its end, however it ends.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// A vital thread. Dropping it leaves the thread alone.
pub(crate) struct VitalThread {
    stop: CancellationToken,
    wake: Arc<dyn Fn() + Send + Sync>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl VitalThread {
    /// From now on it may end: for an owner that has its own way to ask for it.
    pub(crate) fn may_end(&self) {
        self.stop.cancel();
    }

    /// Lets the thread end, wakes it, and waits for its end. A second call does nothing.
    pub(crate) fn end(&self) {
        self.stop.cancel();
        (self.wake)();
        if let Some(thread) = self.thread.lock().take() {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for VitalThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VitalThread").field("stop", &self.stop).finish_non_exhaustive()
    }
}

/// What a vital thread calls in each round, so that tests can make it panic there. Costs nothing in a product.
pub(crate) struct Pulse {
    #[cfg(any(test, feature = "injected-panics"))]
    injected: Option<(Arc<Shared>, Arc<str>)>,
}

impl Pulse {
    /// One round more.
    pub(crate) fn beat(&self) {
        #[cfg(any(test, feature = "injected-panics"))]
        if let Some((shared, name)) = &self.injected
            && shared.injected.take(name)
        {
            panic!("injected");
        }
    }
}

impl Tasks {
    /// An owner without tasks.
    #[must_use]
    pub(crate) fn new() -> Tasks {
        Tasks::default()
    }

    /// Spawns a vital task on the runtime.
    pub fn vital(&self, vital: Vital, work: impl Future<Output = ()> + Send + 'static) -> VitalTask {
        let (shared, ended) = (Arc::clone(&self.shared), CancellationToken::new());
        let done = ended.clone().drop_guard();
        let work = self.injectable(&vital.name, work);
        let work = polls::counted(shared.polls.of(&vital.name), AssertUnwindSafe(work).catch_unwind());
        tokio::spawn(async move {
            let _done = done;
            let outcome = work.await;
            shared.vital_ended(vital, outcome);
        });
        VitalTask { ended }
    }

    /// Spawns a vital thread. `wake` makes it look at what it was asked; it calls `Pulse::beat` in each round.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn vital_thread(
        &self,
        vital: Vital,
        wake: impl Fn() + Send + Sync + 'static,
        work: impl FnOnce(&Pulse) + Send + 'static,
    ) -> io::Result<VitalThread> {
        let (stop, shared) = (vital.stop.clone(), Arc::clone(&self.shared));
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(wake);
        let pulse = self.pulse(&vital.name, &wake);
        let builder = std::thread::Builder::new().name(vital.name.to_string());
        let thread = builder.spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| threads::blocking_allowed(|| work(&pulse))));
            shared.vital_ended(vital, outcome);
        })?;
        Ok(VitalThread { stop, wake, thread: Mutex::new(Some(thread)) })
    }

    /// The tasks of strangers that one acceptor or service owns; `name` is what one of them is called in the log.
    #[must_use]
    pub fn requests(&self, name: &'static str) -> Requests {
        let polls = self.shared.polls.of(name);
        Requests { name: name.into(), tasks: self.clone(), polls, set: JoinSet::new() }
    }

    /// Changes that run to their end also when whoever asked for them has gone.
    #[must_use]
    pub fn changes(&self, name: &'static str) -> Changes {
        let polls = self.shared.polls.of(name);
        Changes { name: name.into(), tasks: self.clone(), polls, tracker: TaskTracker::new() }
    }

    /// Runs one of several services that a stranger's records could make panic: the panic is logged and counted, and goes no
    /// further.
    ///
    /// # Errors
    /// `work` panicked. Until the caller knows that it is no longer needed, it belongs in `set_out_of_service`.
    pub(crate) async fn caught<T: Send>(
        &self,
        name: impl Into<Arc<str>>,
        work: impl Future<Output = T> + Send,
    ) -> Result<T, TaskFailure> {
        let name = name.into();
        let work = AssertUnwindSafe(self.injectable(&name, work)).catch_unwind();
        let outcome = polls::counted(self.shared.polls.of(&name), work).await;
        outcome.map_err(|panic| self.shared.request_panicked(&name, &*panic))
    }

    /// All services that have panicked and are still needed, for readiness.
    pub(crate) fn set_out_of_service(&self, failures: Vec<TaskFailure>) {
        *self.shared.out_of_service.lock() = failures;
    }

    /// The first service that has panicked and is still needed, and how many there are.
    #[must_use]
    pub(crate) fn out_of_service(&self) -> Option<(TaskFailure, usize)> {
        let failures = self.shared.out_of_service.lock();
        failures.first().map(|first| (first.clone(), failures.len()))
    }

    /// The first vital task that failed, for readiness.
    #[must_use]
    pub fn failure(&self) -> Option<TaskFailure> {
        self.shared.failure.borrow().clone()
    }

    /// Waits until a vital task fails.
    pub async fn failed(&self) -> TaskFailure {
        let mut failure = self.shared.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone());
        match failed {
            Some(failure) => failure,
            // The sender lives as long as `self`.
            None => std::future::pending().await,
        }
    }

    /// Request tasks that have panicked.
    #[must_use]
    pub fn request_panics(&self) -> u64 {
        self.shared.request_panics.load(Ordering::Relaxed)
    }

    /// Does `resort` on a thread of its own, when the process still runs so long after a vital task has failed. For the
    /// one who owns the process, who ends it there.
    pub fn last_resort(&self, after: Duration, resort: impl FnOnce(&TaskFailure) + Send + 'static) {
        *self.shared.last_resort.lock() = LastResort::Set(after, Box::new(resort));
        if let Some(failure) = self.failure() {
            self.shared.begin_last_resort(&failure);
        }
    }

    /// As the end of a vital task.
    #[cfg(test)]
    pub(crate) fn report(&self, failure: TaskFailure) {
        self.shared.fail(failure);
    }
}

impl Section for Tasks {
    fn show(&self, page: &mut Page<'_>) {
        self.shared.polls.show(page);
        page.counters("sluice_request_panics", "Requests that a bug has ended.", |rows| {
            rows.count(&[], self.request_panics());
        });
        page.gauges("sluice_services_out_of_service", "Services that a bug has ended until the next start.", |rows| {
            let count = self.out_of_service().map_or(0, |(_, count)| count);
            rows.number(&[], i64::try_from(count).unwrap_or(i64::MAX));
        });
    }
}

impl Shared {
    fn vital_ended(&self, vital: Vital, outcome: Result<(), Box<dyn Any + Send>>) {
        let end = match outcome {
            Ok(()) if vital.stop.is_cancelled() => return,
            Ok(()) => AbnormalEnd::Returned,
            Err(panic) => AbnormalEnd::Panicked(message(&*panic)),
        };
        let failure = TaskFailure { task: vital.name, end };
        self.fail(failure.clone());
        if catch_unwind(AssertUnwindSafe(|| (vital.poison)(&failure))).is_err() {
            tracing::error!("what {} served could not be poisoned", failure.task);
        }
    }

    fn fail(&self, failure: TaskFailure) {
        tracing::error!("a vital task failed, the broker stops: {failure}");
        self.begin_last_resort(&failure);
        self.failure.send_if_modified(|first| {
            let new = first.is_none();
            first.get_or_insert(failure);
            new
        });
    }

    fn begin_last_resort(&self, failure: &TaskFailure) {
        let mut slot = self.last_resort.lock();
        let (after, resort) = match std::mem::replace(&mut *slot, LastResort::Begun) {
            LastResort::Set(after, resort) => (after, resort),
            // Unset stays unset: one that is set after the failure begins then.
            other => return *slot = other,
        };
        drop(slot);
        let waiting = Arc::new(Mutex::new(Some(resort)));
        let (of_thread, of_failure) = (Arc::clone(&waiting), failure.clone());
        let builder = std::thread::Builder::new().name("last-resort".to_owned());
        let thread = builder.spawn(move || {
            let mut resort = of_thread.lock();
            // Nobody notifies it: this is a wait for the time alone.
            Condvar::new().wait_for(&mut resort, after);
            if let Some(resort) = resort.take() {
                resort(&of_failure);
            }
        });
        if thread.is_err()
            && let Some(resort) = waiting.lock().take()
        {
            resort(failure);
        }
    }

    fn request_panicked(&self, task: &Arc<str>, panic: &(dyn Any + Send)) -> TaskFailure {
        self.request_panics.fetch_add(1, Ordering::Relaxed);
        let failure = TaskFailure { task: Arc::clone(task), end: AbnormalEnd::Panicked(message(panic)) };
        tracing::error!("{failure}; what it served ends, others go on");
        failure
    }
}

/// Tasks of one owner that serve strangers. Dropping it ends them where they stand.
#[derive(Debug)]
pub struct Requests {
    name: Arc<str>,
    tasks: Tasks,
    polls: Arc<PollCounts>,
    set: JoinSet<()>,
}

impl Requests {
    /// Spawns one. A panic in it drops what it holds, is logged and counted.
    pub fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let (shared, name) = (Arc::clone(&self.tasks.shared), Arc::clone(&self.name));
        let work = self.tasks.injectable(&name, work);
        let work = polls::counted(Arc::clone(&self.polls), AssertUnwindSafe(work).catch_unwind());
        self.set.spawn(async move {
            if let Err(panic) = work.await {
                shared.request_panicked(&name, &*panic);
            }
        });
    }

    /// Waits for the end of one of them; `None` when there is none.
    pub async fn next_ended(&mut self) -> Option<()> {
        self.set.join_next().await.map(drop)
    }

    /// Waits for the end of all of them.
    pub async fn all_ended(&mut self) {
        while self.next_ended().await.is_some() {}
    }

    /// Ends those that still run where they stand; returns how many they were.
    pub(crate) async fn cut_off(&mut self) -> usize {
        let count = self.set.len();
        self.set.shutdown().await;
        count
    }
}

/// Tasks that are parts of one other task: a panic in one of them is the owner's. Dropping it ends them where they stand.
#[derive(Debug)]
pub(crate) struct Parts<T> {
    set: JoinSet<T>,
}

impl<T: Send + 'static> Default for Parts<T> {
    fn default() -> Parts<T> {
        Parts { set: JoinSet::new() }
    }
}

impl<T: Send + 'static> Parts<T> {
    /// Spawns one.
    pub(crate) fn spawn(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.set.spawn(work);
    }

    /// Waits for the end of one of them and returns its outcome; `None` when there is none.
    ///
    /// # Panics
    /// When the part has panicked, with its message.
    pub(crate) async fn next_ended(&mut self) -> Option<T> {
        match self.set.join_next().await?.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(outcome) => Some(outcome),
            Err(Ok(panic)) => resume_unwind(panic),
            // Only the end of the runtime cancels them.
            Err(Err(_)) => None,
        }
    }
}

/// Work that must not stop halfway because the one who asked for it has gone.
#[derive(Debug)]
pub struct Changes {
    name: Arc<str>,
    tasks: Tasks,
    polls: Arc<PollCounts>,
    tracker: TaskTracker,
}

impl Changes {
    /// Runs `work` to its end, whether or not the caller stays for its outcome.
    ///
    /// # Errors
    /// `work` panicked: a bug.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, TaskFailure> {
        let (shared, name) = (Arc::clone(&self.tasks.shared), Arc::clone(&self.name));
        let work = self.tasks.injectable(&name, work);
        let work = polls::counted(Arc::clone(&self.polls), AssertUnwindSafe(work).catch_unwind());
        let running = self.tracker.spawn(async move {
            let outcome = work.await;
            outcome.map_err(|panic| shared.request_panicked(&name, &*panic))
        });
        running.await.unwrap_or_else(|_| Err(cancelled(&self.name)))
    }

    /// As `run`, for work whose outcome nobody waits for.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (shared, name) = (Arc::clone(&self.tasks.shared), Arc::clone(&self.name));
        let work = self.tasks.injectable(&name, work);
        let work = polls::counted(Arc::clone(&self.polls), AssertUnwindSafe(work).catch_unwind());
        self.tracker.spawn(async move {
            if let Err(panic) = work.await {
                shared.request_panicked(&name, &*panic);
            }
        });
    }

    /// Waits until none is under way, from now on.
    pub async fn closed(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Runs what blocks (a sync, a cold read, a recovery) away from the network threads.
///
/// # Errors
/// `work` panicked: a bug. The panic goes no further.
pub(crate) async fn blocking<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TaskFailure> {
    let work = move || catch_unwind(AssertUnwindSafe(|| threads::blocking_allowed(work)));
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(panic)) => {
            let failure = TaskFailure { task: name.into(), end: AbnormalEnd::Panicked(message(&*panic)) };
            tracing::error!("{failure}");
            Err(failure)
        }
        Err(_) => Err(cancelled(&name.into())),
    }
}

/// Begins `work` at once on a thread that may wait and compute; nobody waits for it here, so it says itself how it ended. A
/// panic is logged and goes no further.
pub(crate) fn detached(name: &'static str, work: impl FnOnce() + Send + 'static) {
    drop(tokio::task::spawn_blocking(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| threads::blocking_allowed(work))) {
            let end = AbnormalEnd::Panicked(message(&*panic));
            tracing::error!("{}", TaskFailure { task: name.into(), end });
        }
    }));
}

/// Runs each piece of work on a thread of its own and `meanwhile` on this one; returns when all have ended. A panic in one
/// is the caller's.
pub(crate) fn on_threads<W: FnOnce() + Send>(works: impl IntoIterator<Item = W>, meanwhile: impl FnOnce()) {
    std::thread::scope(|scope| {
        works.into_iter().for_each(|work| drop(scope.spawn(|| threads::blocking_allowed(work))));
        meanwhile();
    });
}

fn cancelled(name: &Arc<str>) -> TaskFailure {
    TaskFailure { task: Arc::clone(name), end: AbnormalEnd::Cancelled }
}

/// The text that a panic was raised with.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(not(any(test, feature = "injected-panics")))]
impl Tasks {
    fn injectable<F: Future>(&self, _name: &Arc<str>, work: F) -> F {
        work
    }

    fn pulse(&self, _name: &Arc<str>, _wake: &Arc<dyn Fn() + Send + Sync>) -> Pulse {
        Pulse {}
    }
}
