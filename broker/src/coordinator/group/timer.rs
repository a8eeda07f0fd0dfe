//! One task for every group's deadlines and for offset retention: it sleeps until the earliest, never polls a group that
//! has nothing due, and ends when the coordinator stops. Groups are ticked by `runtime`.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::runtime::Groups;
use crate::clock;

/// When each group wants to be woken; at most one entry a group.
#[derive(Debug, Default)]
pub(super) struct Timer {
    due: Mutex<BTreeSet<(Instant, Arc<str>)>>,
    /// The earliest entry has become earlier.
    sooner: Arc<Notify>,
}

impl Timer {
    /// Moves a group's entry from `before` to `at`.
    pub(super) fn schedule(&self, group: &Arc<str>, before: Option<Instant>, at: Option<Instant>) {
        let mut due = self.due.lock();
        let first = due.first().map(|(at, _)| *at);
        if let Some(before) = before {
            due.remove(&(before, Arc::clone(group)));
        }
        if let Some(at) = at {
            due.insert((at, Arc::clone(group)));
            if first.is_none_or(|first| at < first) {
                self.sooner.notify_one();
            }
        }
    }

    /// Takes out one group that is due.
    pub(super) fn pop_due(&self, now: Instant) -> Option<Arc<str>> {
        let mut due = self.due.lock();
        if due.first()?.0 > now {
            return None;
        }
        due.pop_first().map(|(_, group)| group)
    }

    fn first(&self) -> Option<Instant> {
        self.due.lock().first().map(|(at, _)| *at)
    }
}

/// The task. Holds the groups only while it works, so that dropping them ends it.
pub(super) async fn run(groups: Weak<Groups>, stop: CancellationToken) {
    loop {
        let (sooner, wait) = {
            let Some(groups) = groups.upgrade() else { return };
            groups.run_due();
            let retention = groups.next_retention();
            let next = groups.timer.first().map_or(retention, |first| first.min(retention));
            (Arc::clone(&groups.timer.sooner), next.saturating_duration_since(groups.now().mono))
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sooner.notified() => {}
            () = clock::sleep(wait) => {}
        }
    }
}
