//! How long the polls of tasks take. A poll that takes long keeps a thread from every other connection on it: nothing that waits
//! for a disk, or walks over all of something, may be in one. Counted for each kind of task in every build; costs two looks at
//! the clock and two atomic adds a poll.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, MachineClock};
use crate::metrics::{Counter, Page};

/// A poll that takes longer is slow.
pub(crate) const SLOW_POLL: Duration = Duration::from_millis(5);

/// The polls of one kind of task.
#[derive(Debug, Default)]
pub(super) struct PollCounts {
    polls: Counter,
    slow: Counter,
    busy_us: Counter,
    longest_us: AtomicU64,
}

impl PollCounts {
    fn note(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.polls.up();
        self.busy_us.add(took_us);
        if took > SLOW_POLL {
            self.slow.up();
            self.longest_us.fetch_max(took_us, Ordering::Relaxed);
        }
    }
}

/// The polls of all tasks of one broker, by kind.
#[derive(Debug, Default)]
pub(super) struct Polls {
    kinds: Mutex<BTreeMap<Arc<str>, Arc<PollCounts>>>,
}

impl Polls {
    /// The counts of a task's kind, which is its name up to the first space: names may end in an address or a topic.
    pub(super) fn of(&self, name: &str) -> Arc<PollCounts> {
        let kind = name.split(' ').next().unwrap_or(name);
        let mut kinds = self.kinds.lock();
        match kinds.get(kind) {
            Some(counts) => Arc::clone(counts),
            None => Arc::clone(kinds.entry(kind.into()).or_default()),
        }
    }

    pub(super) fn show(&self, page: &mut Page<'_>) {
        let kinds: Vec<(Arc<str>, Arc<PollCounts>)> =
            self.kinds.lock().iter().map(|(kind, counts)| (Arc::clone(kind), Arc::clone(counts))).collect();
        page.counters("sluice_task_polls", "Polls of tasks, by kind of task.", |rows| {
            kinds.iter().for_each(|(kind, counts)| rows.count(&[("task", kind)], counts.polls.get()));
        });
        page.counters("sluice_task_slow_polls", "Polls that took more than 5 ms.", |rows| {
            kinds.iter().for_each(|(kind, counts)| rows.count(&[("task", kind)], counts.slow.get()));
        });
        page.counters("sluice_task_poll_seconds", "Time that polls took.", |rows| {
            kinds.iter().for_each(|(kind, counts)| rows.count_of(&[("task", kind)], seconds(counts.busy_us.get())));
        });
        page.gauges("sluice_task_longest_poll_seconds", "The longest slow poll since the start; 0 for none.", |rows| {
            let longest = |counts: &PollCounts| seconds(counts.longest_us.load(Ordering::Relaxed));
            kinds.iter().for_each(|(kind, counts)| rows.value(&[("task", kind)], longest(counts)));
        });
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// The same work, each poll of which is counted.
pub(super) async fn counted<F: Future>(counts: Arc<PollCounts>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(move |cx| {
        let began = MachineClock.monotonic();
        let polled = work.as_mut().poll(cx);
        counts.note(MachineClock.monotonic().saturating_duration_since(began));
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn polls_are_counted_by_kind_and_the_slow_ones_by_themselves() {
        let polls = Polls::default();
        let counts = polls.of("kafka-port localhost:9092");
        let twice = async {
            tokio::task::yield_now().await;
            let began = MachineClock.monotonic();
            while began.elapsed() <= SLOW_POLL {
                std::hint::spin_loop();
            }
            7
        };
        assert_eq!(counted(Arc::clone(&counts), twice).await, 7);
        let same = polls.of("kafka-port 10.0.0.1:9092");
        assert_eq!(same.polls.get(), 2);
        // The first one is slow only where the machine is.
        assert!((1..=2).contains(&same.slow.get()));
        assert!(same.longest_us.load(Ordering::Relaxed) >= 5_000 && same.busy_us.get() >= 5_000);
        assert_eq!(polls.of("http-connection").polls.get(), 0);
    }
}
