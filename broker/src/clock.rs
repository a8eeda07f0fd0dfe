//! The seam through which time enters. Nothing else reads a clock or sleeps (`clippy.toml` forbids it),
//! so that timers, retention, delays and coordinators can be driven by tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

pub(crate) use tokio::time::error::Elapsed;

use crate::ids::TimestampMs;

/// A source of wall and monotonic time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since the Unix epoch; may jump both ways.
    fn wall(&self) -> TimestampMs;
    /// A clock that never goes back; for intervals and deadlines only.
    fn monotonic(&self) -> Instant;
}

/// How a clock is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn wall(&self) -> TimestampMs {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is set; for tests.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    start_wall_ms: i64,
    start: Instant,
}

impl ManualClock {
    /// A clock that shows `wall_ms` now.
    #[must_use]
    pub fn at(wall_ms: i64) -> ManualClock {
        ManualClock { wall_ms: AtomicI64::new(wall_ms), start_wall_ms: wall_ms, start: MachineClock.monotonic() }
    }

    /// Moves both times forward (the wall back as well, when `ms` is negative).
    pub fn advance_ms(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> TimestampMs {
        TimestampMs(self.wall_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Instant {
        let passed = self.wall_ms.load(Ordering::SeqCst) - self.start_wall_ms;
        self.start + Duration::from_millis(u64::try_from(passed).unwrap_or(0))
    }
}

/// The time of the runtime's timer, which tests may move.
#[must_use]
pub(crate) fn runtime_now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Gives `work` so much time on the runtime's timer, then drops it.
///
/// # Errors
/// The time is over.
pub async fn timeout<F: Future>(limit: Duration, work: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(limit, work).await
}

/// Waits on the runtime's timer. For real intervals (expiry ticks, back-off), never in place of an event.
#[allow(clippy::disallowed_methods, reason = "this is the seam")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// How long a test waits for what should come at once: far longer than a busy machine takes.
#[cfg(any(test, feature = "faulty-disk"))]
pub(crate) const TEST_WAIT_MAX: Duration = Duration::from_secs(30);

/// For tests: waits for `work`, and panics when it takes longer than `TEST_WAIT_MAX`. Without a bound a test of a broken
/// promise would hang and say nothing.
#[cfg(any(test, feature = "faulty-disk"))]
#[track_caller]
pub fn bounded_wait<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        let in_time = timeout(TEST_WAIT_MAX, work).await;
        in_time.unwrap_or_else(|_| panic!("what {caller} waits for did not come within {TEST_WAIT_MAX:?}"))
    }
}

/// For tests: waits until `holds` returns true, bounded as `bounded_wait` is.
#[cfg(any(test, feature = "faulty-disk"))]
#[track_caller]
pub fn bounded_wait_until(mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    bounded_wait(async move {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
}
