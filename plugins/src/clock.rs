//! The seam through which time enters this crate: the wall clock that guests are shown, and the running time of a thread.
//! Timers and rests use tokio's clock, which tests can pause.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub(crate) use tokio::time::Instant;

/// Where a guest's `now-ms` comes from.
#[derive(Clone)]
pub struct GuestClock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl GuestClock {
    /// A clock that asks `now_ms` for the ms since the Unix epoch.
    pub fn new(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> GuestClock {
        GuestClock(Arc::new(now_ms))
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.0)()
    }
}

impl Default for GuestClock {
    /// The machine's clock.
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn default() -> GuestClock {
        GuestClock::new(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }
}

impl fmt::Debug for GuestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuestClock")
    }
}

/// How long this thread has been on a core. Costs a system call (about 0.2 µs).
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}
