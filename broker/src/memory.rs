//! The broker's one memory budget (`memory_max_bytes`): permits, one a byte, for what strangers make the broker hold:
//! frames before their bodies are read, copied answers until they are sent, bodies of the gateway. Rank 0; knows nobody.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The smallest budget with which every request of a default client can be served.
pub const MEMORY_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// A share of the budget; given back when dropped.
pub type Share = OwnedSemaphorePermit;

/// The budget. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    free: Arc<Semaphore>,
    max: usize,
}

struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl MemoryBudget {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> MemoryBudget {
        let max = usize::try_from(bytes.max(1)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        MemoryBudget { free: Arc::new(Semaphore::new(max)), max }
    }

    /// All of it.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// What nobody holds now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// So many bytes as soon as they are free, first come first served; more than there are is the whole budget.
    pub async fn take(&self, bytes: usize) -> Option<Share> {
        let permits = u32::try_from(bytes.min(self.max)).ok()?;
        Arc::clone(&self.free).acquire_many_owned(permits).await.ok()
    }

    /// So many bytes if they are free now.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        Arc::clone(&self.free).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }
}

/// The same bytes with their share, which is given back when the last reference to them is dropped.
#[must_use]
pub fn hold(bytes: Bytes, share: Share) -> Bytes {
    Bytes::from_owner(Held { bytes, _share: share })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_comes_back_with_the_last_reference() {
        let budget = MemoryBudget::new(10);
        let held = hold(Bytes::from_static(&[1; 8]), budget.try_take(8).unwrap());
        let slice = held.slice(2..3);
        drop(held);
        assert!(budget.try_take(3).is_none());
        assert_eq!(budget.free(), 2);
        drop(slice);
        assert_eq!(budget.free(), 10);
        assert!(budget.take(1_000).await.is_some(), "more than there is: all of it");
    }
}
