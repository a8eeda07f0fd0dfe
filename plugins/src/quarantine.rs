//! When a binding that keeps failing is left alone, and for how long. Pure: time comes as an argument.

use std::time::Duration;

use crate::clock::Instant;

/// Failures in a row until it rests.
const FAILURES_MAX: u32 = 10;
/// Time-outs in a row until it rests: each has cost its whole running time.
const TIMEOUTS_MAX: u32 = 3;
/// The first rest; each next one doubles it.
const REST_FIRST: Duration = Duration::from_secs(1);
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(300);

/// The record of one binding. A success wipes it clean.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    failures: u32,
    timeouts: u32,
    /// Rests in a row; the next failure after a rest starts the next one.
    rests: u32,
    until: Option<Instant>,
}

impl Quarantine {
    /// How much longer it rests; `None` when it may be called.
    pub(crate) fn resting(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let until = self.until?;
        let left = until.saturating_duration_since(now());
        (!left.is_zero()).then_some(left)
    }

    /// A call went well.
    pub(crate) fn succeeded(&mut self) {
        if self.failures > 0 || self.until.is_some() {
            *self = Quarantine::default();
        }
    }

    /// A call failed. Answers how long it rests now, when this failure was one too many.
    pub(crate) fn failed(&mut self, timed_out: bool, now: Instant) -> Option<Duration> {
        self.failures += 1;
        self.timeouts += u32::from(timed_out);
        let again = self.until.is_some_and(|until| now >= until);
        let first = self.until.is_none() && (self.failures >= FAILURES_MAX || self.timeouts >= TIMEOUTS_MAX);
        if !again && !first {
            // A call that was under way when the rest began changes nothing.
            return None;
        }
        let rest = REST_FIRST.saturating_mul(1 << self.rests.min(16)).min(REST_MAX);
        self.rests += 1;
        self.until = Some(now + rest);
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_in_a_row_or_three_timeouts_rest() {
        let now = Instant::now();
        for (timed_out, needed) in [(false, FAILURES_MAX), (true, TIMEOUTS_MAX)] {
            let mut record = Quarantine::default();
            for _ in 1..needed {
                assert_eq!(record.failed(timed_out, now), None);
            }
            assert_eq!(record.failed(timed_out, now), Some(REST_FIRST));
            assert_eq!(record.resting(|| now), Some(REST_FIRST));
            assert_eq!(record.resting(|| now + REST_FIRST), None);
        }
    }

    #[test]
    fn rests_grow_until_a_success() {
        let mut now = Instant::now();
        let mut record = Quarantine::default();
        for _ in 0..TIMEOUTS_MAX {
            record.failed(true, now);
        }
        for expected in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            now += record.resting(|| now).unwrap();
            assert_eq!(record.failed(false, now), Some(Duration::from_secs(expected)));
        }
        record.succeeded();
        assert_eq!(record.failed(true, now), None);
        assert_eq!(record.resting(|| now), None);
    }

    #[test]
    fn failures_between_successes_do_not_add_up() {
        let now = Instant::now();
        let mut record = Quarantine::default();
        for _ in 0..5 * FAILURES_MAX {
            assert_eq!(record.failed(false, now), None);
            record.succeeded();
        }
    }
}
