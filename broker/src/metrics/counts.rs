//! What is counted while the broker works: atomics, a few nanoseconds a count, read only when somebody asks. Whoever counts owns
//! them. Never locks, never allocates while counting.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// As `add`, for a length.
    pub fn add_len(&self, more: usize) {
        self.add(u64::try_from(more).unwrap_or(u64::MAX));
    }

    /// Where it stands.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// One more, until what is returned is dropped.
    pub fn up<L: AsRef<Level>>(level: L) -> Up<L> {
        level.as_ref().0.fetch_add(1, Ordering::Relaxed);
        Up(level)
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl AsRef<Level> for Level {
    fn as_ref(&self) -> &Level {
        self
    }
}

/// One of what a `Level` counts, for as long as it lives.
#[derive(Debug)]
pub struct Up<L: AsRef<Level>>(L);

impl<L: AsRef<Level>> Up<L> {
    /// What it was counted in.
    pub(crate) fn of(&self) -> &L {
        &self.0
    }
}

impl<L: AsRef<Level>> Drop for Up<L> {
    fn drop(&mut self) {
        self.0.as_ref().0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Upper bounds of durations, in µs: from a sync that a fast disk takes to a long poll.
const DURATION_BOUNDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 60_000_000,
];
/// Upper bounds of sizes of groups.
const SIZE_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096];
const MICROS_A_SECOND: f64 = 1_000_000.0;

/// How often an amount was at most each of some bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One a bound, and one for what is above all of them.
    counts: Box<[Counter]>,
    sum: Counter,
    /// What one shown unit is in counted ones.
    scale: f64,
}

/// A histogram at one moment. What is counted meanwhile may be in one of its numbers and not yet in another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Distribution {
    /// Upper bounds, the last one infinite, and how many amounts were above the bound before and at most this one.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Histogram {
    /// Durations, shown in seconds.
    #[must_use]
    pub fn of_durations() -> Histogram {
        Histogram::new(DURATION_BOUNDS, MICROS_A_SECOND)
    }

    /// Sizes of groups.
    #[must_use]
    pub(crate) fn of_sizes() -> Histogram {
        Histogram::new(SIZE_BOUNDS, 1.0)
    }

    fn new(bounds: &'static [u64], scale: f64) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Histogram { bounds, counts, sum: Counter::default(), scale }
    }

    /// Takes a duration into account.
    pub fn took(&self, time: Duration) {
        self.take(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Takes a size into account.
    pub(crate) fn sized(&self, size: usize) {
        self.take(u64::try_from(size).unwrap_or(u64::MAX));
    }

    fn take(&self, amount: u64) {
        self.counts[self.bounds.partition_point(|bound| *bound < amount)].up();
        self.sum.add(amount);
    }

    #[allow(clippy::cast_precision_loss, reason = "above 2^53 µs a digit does not count")]
    pub(super) fn distribution(&self) -> Distribution {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.scale).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.counts.iter().map(Counter::get)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Distribution { buckets, count, sum: self.sum.get() as f64 / self.scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_in_the_bucket_of_the_first_bound_that_is_not_below_it() {
        let sizes = Histogram::of_sizes();
        for size in [0, 1, 2, 3, 4, 4_096, 4_097] {
            sizes.sized(size);
        }
        let shown = sizes.distribution();
        let filled: Vec<(f64, u64)> = shown.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(1.0, 2), (2.0, 1), (4.0, 2), (4_096.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((shown.count, shown.sum), (7, 8_203.0));
    }

    #[test]
    fn durations_are_shown_in_seconds() {
        let times = Histogram::of_durations();
        times.took(Duration::from_micros(1_500));
        times.took(Duration::from_secs(61));
        let shown = times.distribution();
        let filled: Vec<(f64, u64)> = shown.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.002_5, 1), (f64::INFINITY, 1)]);
        assert!((shown.sum - 61.001_5).abs() < 1e-9);
    }

    #[test]
    fn a_level_falls_when_what_it_counts_is_dropped() {
        let level = Level::default();
        let first = Level::up(&level);
        let second = Level::up(&level);
        assert_eq!(level.get(), 2);
        drop((first, second));
        assert_eq!(level.get(), 0);
    }
}
