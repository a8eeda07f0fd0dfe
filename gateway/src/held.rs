//! Bytes of an answer that count against the gateway's bound until the peer has taken them or is gone.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

struct Answer {
    bytes: Vec<u8>,
    _permits: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The same bytes with their permits, given back when the last reference is dropped: hyper keeps one until it has written
/// them. `None` when too much is held already.
pub(crate) fn hold(held: &Arc<Semaphore>, bytes: Vec<u8>) -> Option<Bytes> {
    let permits = Arc::clone(held).try_acquire_many_owned(u32::try_from(bytes.len()).ok()?).ok()?;
    Some(Bytes::from_owner(Answer { bytes, _permits: permits }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back_with_the_last_reference() {
        let held = Arc::new(Semaphore::new(10));
        let bytes = hold(&held, vec![0; 8]).expect("fits");
        let slice = bytes.slice(1..2);
        drop(bytes);
        assert!(hold(&held, vec![0; 8]).is_none());
        drop(slice);
        assert!(hold(&held, vec![0; 8]).is_some());
    }
}
