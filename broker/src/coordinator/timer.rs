//! The timers of all shards of a coordinator, in one place: each due timer becomes a command of its shard. Pure
//! bookkeeping and one wake-up; the runtime's task sleeps and runs what is due. Never taken on the way of a command that
//! sets no timer.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ids::PartitionId;

/// The shortest pause between two passes: a machine that sets a timer to "now" again and again costs a pass a
/// millisecond, which is the timer's own resolution, and not a core.
pub(super) const PASS_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Timers that one pass works off: each is a command, and all of a pass run on one network thread without a break. A
/// hundred thousand sessions may end at once, after a restart for example.
const DUE_PER_PASS: usize = 64;

/// When each timer is due; at most one entry for each shard and key.
#[derive(Debug)]
pub(super) struct Timer<K> {
    entries: Mutex<Entries<K>>,
    /// The earliest entry has become earlier, or who sleeps must look again.
    sooner: Notify,
}

#[derive(Debug)]
struct Entries<K> {
    due: BTreeSet<(Instant, PartitionId, K)>,
    at: HashMap<(PartitionId, K), Instant>,
}

impl<K: Clone + Ord + Hash> Timer<K> {
    pub(super) fn new() -> Timer<K> {
        let entries = Entries { due: BTreeSet::new(), at: HashMap::new() };
        Timer { entries: Mutex::new(entries), sooner: Notify::new() }
    }

    /// Sets a timer of a shard, in place of an earlier one with that key; `None` cancels it.
    pub(super) fn set(&self, shard: PartitionId, key: K, at: Option<Instant>) {
        let mut entries = self.entries.lock();
        let first = entries.first();
        let name = (shard, key);
        let before = match at {
            Some(at) => entries.at.insert(name.clone(), at),
            None => entries.at.remove(&name),
        };
        let (shard, key) = name;
        if let Some(before) = before {
            entries.due.remove(&(before, shard, key.clone()));
        }
        if let Some(at) = at {
            entries.due.insert((at, shard, key));
            if first.is_none_or(|first| at < first) {
                self.sooner.notify_one();
            }
        }
    }

    /// Takes out what is due now, the earliest first, `DUE_PER_PASS` at most. What is set while it is worked off waits for
    /// the next pass, however early it is due.
    pub(super) fn take_due(&self, now: Instant) -> Vec<(PartitionId, K)> {
        let mut entries = self.entries.lock();
        let mut taken = Vec::new();
        while taken.len() < DUE_PER_PASS && entries.first().is_some_and(|at| at <= now) {
            let Some((_, shard, key)) = entries.due.pop_first() else { break };
            let name = (shard, key);
            entries.at.remove(&name);
            taken.push(name);
        }
        taken
    }

    /// The shard is unloaded: none of its timers is due any more.
    pub(super) fn cancel_all(&self, shard: PartitionId) {
        let mut entries = self.entries.lock();
        entries.due.retain(|(_, of, _)| *of != shard);
        entries.at.retain(|(of, _), _| *of != shard);
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.entries.lock().first()
    }

    /// Ends a wait for `sooner`.
    pub(super) fn wake(&self) {
        self.sooner.notify_one();
    }

    /// Returns when a timer was set that is due before all others.
    pub(super) async fn sooner(&self) {
        self.sooner.notified().await;
    }
}

impl<K: Ord> Entries<K> {
    fn first(&self) -> Option<Instant> {
        self.due.first().map(|(at, _, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::clock::{Clock, MachineClock};

    const SHARD: PartitionId = PartitionId(3);

    fn after(start: Instant, ms: u64) -> Option<Instant> {
        Some(start + Duration::from_millis(ms))
    }

    #[test]
    fn what_is_due_is_taken_once_and_the_earliest_first() {
        let (timer, start) = (Timer::new(), MachineClock.monotonic());
        timer.set(SHARD, "b", after(start, 20));
        timer.set(SHARD, "a", after(start, 10));
        timer.set(PartitionId(4), "a", after(start, 30));
        assert_eq!(timer.first(), after(start, 10));
        assert_eq!(timer.take_due(start + Duration::from_millis(20)), [(SHARD, "a"), (SHARD, "b")]);
        assert!(timer.take_due(start + Duration::from_millis(20)).is_empty());
        assert_eq!(timer.take_due(start + Duration::from_secs(1)), [(PartitionId(4), "a")]);
    }

    #[test]
    fn a_pass_takes_a_bounded_number_and_leaves_the_rest_for_the_next() {
        let (timer, start) = (Timer::new(), MachineClock.monotonic());
        (0..DUE_PER_PASS + 1).for_each(|key| timer.set(SHARD, key, Some(start)));
        assert_eq!((timer.take_due(start).len(), timer.first()), (DUE_PER_PASS, Some(start)));
        assert_eq!(timer.take_due(start), [(SHARD, DUE_PER_PASS)]);
    }

    #[test]
    fn a_timer_that_is_set_again_replaces_the_earlier_one() {
        let (timer, start) = (Timer::new(), MachineClock.monotonic());
        timer.set(SHARD, "a", after(start, 10));
        timer.set(SHARD, "a", after(start, 50));
        assert!(timer.take_due(start + Duration::from_millis(49)).is_empty());
        timer.set(SHARD, "a", None);
        assert_eq!((timer.take_due(start + Duration::from_secs(1)).len(), timer.first()), (0, None));
    }

    #[test]
    fn an_unloaded_shard_takes_its_timers_with_it_and_no_others() {
        let (timer, start) = (Timer::new(), MachineClock.monotonic());
        timer.set(SHARD, "a", after(start, 1));
        timer.set(PartitionId(4), "a", after(start, 2));
        timer.cancel_all(SHARD);
        assert_eq!(timer.take_due(start + Duration::from_secs(1)), [(PartitionId(4), "a")]);
    }

    #[test]
    fn only_an_earlier_deadline_wakes_the_one_who_sleeps() {
        let (timer, start) = (Timer::new(), MachineClock.monotonic());
        timer.set(SHARD, "a", after(start, 10));
        assert!(timer.sooner().now_or_never().is_some());
        timer.set(SHARD, "b", after(start, 20));
        assert!(timer.sooner().now_or_never().is_none());
        timer.set(SHARD, "b", after(start, 5));
        assert!(timer.sooner().now_or_never().is_some());
    }
}
