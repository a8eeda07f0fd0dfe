//! What an operator sets of the plugin host.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::GuestClock;
use crate::threads::Spawner;

/// Memory of one instance unless the operator says otherwise, in bytes.
pub const MEMORY_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// How long one call of a partitioner may run unless the operator says otherwise, in ms.
pub const PARTITIONER_TIMEOUT_MS_DEFAULT: u64 = 10;

/// The host's settings.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Uploaded modules and compiled code; only the broker may write here (made with mode 0700).
    pub dir: PathBuf,
    /// Memory of one instance, in bytes: linear memories and tables together.
    pub memory_bytes: u64,
    /// How long one call of a partitioner may run, in time of its own on a core: waiting for a core does not count.
    pub partitioner_timeout: Duration,
    /// Guests running at once; at least 1. One core fewer than there are keeps the network served.
    pub concurrency: usize,
    /// The wall clock that guests are shown.
    pub clock: GuestClock,
    /// How the host starts its one lasting thread.
    pub spawner: Spawner,
}

impl HostConfig {
    /// The defaults, with everything kept in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> HostConfig {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        HostConfig {
            dir: dir.into(),
            memory_bytes: MEMORY_BYTES_DEFAULT,
            partitioner_timeout: Duration::from_millis(PARTITIONER_TIMEOUT_MS_DEFAULT),
            concurrency: cores.saturating_sub(1).max(1),
            clock: GuestClock::default(),
            spawner: Spawner::default(),
        }
    }
}
