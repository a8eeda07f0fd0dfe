//! One connection as the budget sees it: how many bytes its peer has moved, whether the broker waits for that peer now, and
//! the word to end it. Made by the two doors for each connection; the pools look at it only when somebody waits.
//! It holds no bytes and takes no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

/// The low bits of `waits` count the waits that are under way; the rest counts those that have begun.
const WAITS_BITS: u32 = 16;
const WAITS_MASK: u64 = (1 << WAITS_BITS) - 1;

/// A connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Line {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    moved: AtomicU64,
    waits: AtomicU64,
    end: CancellationToken,
    reads: AtomicBool,
}

/// Why a connection was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its peer was slow, and others waited for half a second for the memory that it held (memory_max_bytes)")]
pub struct SlowPeer {
    /// It was slow to take an answer; else to send a frame or a body.
    pub reads: bool,
}

/// While it lives, the broker waits for the peer: for the rest of a frame or body, or for an answer to be taken.
#[derive(Debug)]
pub struct AtPeer {
    line: Line,
}

/// Whether the broker waits for the peer, and since which of its waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// It waits.
    pub(crate) at_peer: bool,
    /// The number of the wait.
    pub(crate) wait: u64,
}

impl Line {
    /// The peer has sent or taken so many bytes.
    pub fn moved(&self, bytes: usize) {
        self.shared.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// From now on the broker waits for the peer, until the answer is dropped.
    #[must_use]
    pub fn at_peer(&self) -> AtPeer {
        self.shared.waits.fetch_add((1 << WAITS_BITS) + 1, Ordering::Relaxed);
        AtPeer { line: self.clone() }
    }

    /// Returns when a pool has ended the connection. Whoever owns the connection drops it then, with all it holds.
    pub async fn ended(&self) -> SlowPeer {
        self.shared.end.cancelled().await;
        SlowPeer { reads: self.shared.reads.load(Ordering::Relaxed) }
    }

    /// Whether a pool has ended it.
    #[cfg(test)]
    pub(super) fn has_ended(&self) -> bool {
        self.shared.end.is_cancelled()
    }

    pub(super) fn end(&self, slow: SlowPeer) {
        self.shared.reads.store(slow.reads, Ordering::Relaxed);
        self.shared.end.cancel();
    }

    pub(super) fn bytes_moved(&self) -> u64 {
        self.shared.moved.load(Ordering::Relaxed)
    }

    pub(super) fn phase(&self) -> Phase {
        let waits = self.shared.waits.load(Ordering::Relaxed);
        Phase { at_peer: waits & WAITS_MASK > 0, wait: waits >> WAITS_BITS }
    }

    /// Differs from that of every other line that is alive.
    pub(super) fn id(&self) -> usize {
        Arc::as_ptr(&self.shared) as usize
    }
}

impl Drop for AtPeer {
    fn drop(&mut self) {
        self.line.shared.waits.fetch_sub(1, Ordering::Relaxed);
    }
}
