//! The queue between appends and the flusher: what is dirty now, and what is dirty when a timer ends. Bounded: an entry is
//! in it once at most. Knows nothing of what it queues, and does no I/O.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::log::sync::commit::GroupCommit;

/// Where appends hand their partition over. Bounded: a partition is in it once at most.
#[derive(Debug)]
pub(in crate::log) struct FlushQueue<P> {
    pub(super) state: Mutex<State<P>>,
    pub(super) wake: Condvar,
}

#[derive(Debug)]
pub(super) struct State<P> {
    /// Partitions whose `flush.ms` runs, by its end and a running number.
    pub(super) timed: BTreeMap<(Instant, u64), Weak<P>>,
    next_timed: u64,
    pub(super) commit: GroupCommit<Arc<P>>,
    /// The thread has ended or must end now: nothing is synced any more.
    pub(super) abandoned: bool,
}

impl<P> FlushQueue<P> {
    pub(in crate::log) fn new() -> FlushQueue<P> {
        FlushQueue { state: Mutex::new(State::new()), wake: Condvar::new() }
    }

    pub(in crate::log) fn push(&self, partition: Arc<P>) {
        {
            let mut state = self.state.lock();
            if state.abandoned {
                return;
            }
            state.commit.dirty(partition);
        }
        self.wake.notify_one();
    }

    /// Queues the partition when `at` is reached.
    pub(in crate::log) fn push_at(&self, at: Instant, partition: Weak<P>) {
        {
            let mut state = self.state.lock();
            let number = state.next_timed;
            state.next_timed += 1;
            state.timed.insert((at, number), partition);
        }
        self.wake.notify_one();
    }

    /// Makes the thread look at the queue again.
    pub(super) fn wake(&self) {
        // Under the lock: the thread either waits already, or has yet to look.
        let _state = self.state.lock();
        self.wake.notify_all();
    }

    /// Nothing is synced any more.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock();
        state.abandoned = true;
        state.commit = GroupCommit::new();
    }

    /// How many partitions wait for the next group commit.
    pub(in crate::log) fn waiting(&self) -> usize {
        self.state.lock().commit.waiting()
    }

    /// The number of timers.
    #[cfg(test)]
    pub(in crate::log) fn timed(&self) -> usize {
        self.state.lock().timed.len()
    }
}

impl<P> State<P> {
    fn new() -> State<P> {
        State { timed: BTreeMap::new(), next_timed: 0, commit: GroupCommit::new(), abandoned: false }
    }

    /// Those whose time is up.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Weak<P>> {
        let mut due = Vec::new();
        while let Some(first) = self.timed.first_entry().filter(|first| first.key().0 <= now) {
            due.push(first.remove());
        }
        due
    }
}
