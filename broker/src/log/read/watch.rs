//! Wakes long polls: a caller that waits for records registers a `Notify`, which is called whenever the high watermark
//! moves and when the partition is deleted or poisoned. It does not say what happened: the caller looks again.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The registered `Notify`s of one partition.
#[derive(Debug, Default)]
pub(in crate::log) struct Watchers {
    registered: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    next: u64,
    waiting: Vec<(u64, Arc<Notify>)>,
}

/// Keeps a `Notify` registered with a partition; unregisters on drop.
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct WatchGuard {
    watchers: Arc<Watchers>,
    key: u64,
}

impl Watchers {
    pub(in crate::log) fn watch(self: &Arc<Watchers>, notify: &Arc<Notify>) -> WatchGuard {
        let mut registered = self.registered.lock();
        let key = registered.next;
        registered.next += 1;
        registered.waiting.push((key, Arc::clone(notify)));
        WatchGuard { watchers: Arc::clone(self), key }
    }

    /// Leaves a permit in each `Notify`: one that is not waiting yet will not miss it.
    pub(in crate::log) fn wake(&self) {
        for (_, notify) in &self.registered.lock().waiting {
            notify.notify_one();
        }
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let mut registered = self.watchers.registered.lock();
        if let Some(at) = registered.waiting.iter().position(|(key, _)| *key == self.key) {
            registered.waiting.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost_and_a_dropped_watch_hears_nothing() {
        let watchers = Arc::new(Watchers::default());
        let notify = Arc::new(Notify::new());
        let guard = watchers.watch(&notify);
        watchers.wake();
        notify.notified().await;
        drop(guard);
        watchers.wake();
        assert!(futures::FutureExt::now_or_never(notify.notified()).is_none());
        assert!(watchers.registered.lock().waiting.is_empty());
    }
}
