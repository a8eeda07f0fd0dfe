//! Wakes long polls: a caller that waits for records registers with a partition and is called whenever the high watermark
//! moves and when the partition is deleted or poisoned. It does not say what happened: the caller looks again. A caller that
//! waits for many partitions hears which of them it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Who waits for one partition.
#[derive(Debug, Default)]
pub(in crate::log) struct Watchers {
    registered: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    next: u64,
    waiting: BTreeMap<u64, Watcher>,
}

#[derive(Debug)]
pub(in crate::log) enum Watcher {
    One(Arc<Notify>),
    /// One of several partitions, by its number among them.
    OneOf(Arc<Moved>, usize),
}

/// Keeps a watcher registered with a partition; unregisters on drop.
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub(crate) struct WatchGuard {
    watchers: Arc<Watchers>,
    key: u64,
}

/// Which of several partitions have moved, for one who waits for any of them. Each is in it once, however often it moves.
#[derive(Debug)]
pub(crate) struct Moved {
    state: Mutex<MovedState>,
    news: Notify,
}

#[derive(Debug)]
struct MovedState {
    noted: Vec<bool>,
    list: Vec<usize>,
}

impl Moved {
    /// Of so many partitions; none has moved yet.
    pub(crate) fn of(count: usize) -> Arc<Moved> {
        let state = MovedState { noted: vec![false; count], list: Vec::new() };
        Arc::new(Moved { state: Mutex::new(state), news: Notify::new() })
    }

    fn note(&self, which: usize) {
        {
            let mut state = self.state.lock();
            if state.noted.get_mut(which).is_none_or(|noted| std::mem::replace(noted, true)) {
                return;
            }
            state.list.push(which);
        }
        self.news.notify_one();
    }

    /// Waits until at least one has moved and returns those that have, since the last call.
    pub(crate) async fn next(&self) -> Vec<usize> {
        loop {
            let moved = {
                let mut state = self.state.lock();
                let moved = std::mem::take(&mut state.list);
                moved.iter().for_each(|which| state.noted[*which] = false);
                moved
            };
            if !moved.is_empty() {
                return moved;
            }
            self.news.notified().await;
        }
    }
}

impl Watchers {
    pub(in crate::log) fn watch(self: &Arc<Watchers>, watcher: Watcher) -> WatchGuard {
        let mut registered = self.registered.lock();
        let key = registered.next;
        registered.next += 1;
        registered.waiting.insert(key, watcher);
        WatchGuard { watchers: Arc::clone(self), key }
    }

    /// Leaves a permit: one that is not waiting yet will not miss it.
    pub(in crate::log) fn wake(&self) {
        for watcher in self.registered.lock().waiting.values() {
            match watcher {
                Watcher::One(notify) => notify.notify_one(),
                Watcher::OneOf(moved, which) => moved.note(*which),
            }
        }
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.watchers.registered.lock().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost_and_a_dropped_watch_hears_nothing() {
        let watchers = Arc::new(Watchers::default());
        let notify = Arc::new(Notify::new());
        let guard = watchers.watch(Watcher::One(Arc::clone(&notify)));
        watchers.wake();
        notify.notified().await;
        drop(guard);
        watchers.wake();
        assert!(notify.notified().now_or_never().is_none());
        assert!(watchers.registered.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn one_who_waits_for_many_hears_once_of_each_that_moved() {
        let partitions: Vec<_> = (0..4).map(|_| Arc::new(Watchers::default())).collect();
        let moved = Moved::of(4);
        let watch =
            |(which, partition): (usize, &Arc<Watchers>)| partition.watch(Watcher::OneOf(Arc::clone(&moved), which));
        let guards: Vec<_> = partitions.iter().enumerate().map(watch).collect();
        assert!(moved.next().now_or_never().is_none());
        for which in [2, 0, 2, 2] {
            partitions[which].wake();
        }
        assert_eq!(moved.next().now_or_never(), Some(vec![2, 0]));
        assert!(moved.next().now_or_never().is_none());
        partitions[2].wake();
        assert_eq!(moved.next().now_or_never(), Some(vec![2]));
        drop(guards);
        partitions[1].wake();
        assert!(moved.next().now_or_never().is_none());
    }
}
