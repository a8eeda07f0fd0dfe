//! When a record is due, pure: at the broker's append time plus the delay, by the wall clock. So it is never early, whatever
//! the clients' clocks say. The wall clock may jump, so it is read at least once a second: after a jump back a record waits
//! longer, after a jump forward it is due earlier.

use std::time::Duration;

use crate::ids::TimestampMs;

/// The longest sleep towards a due time.
pub(super) const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What to do about a record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Deliver it.
    Now,
    /// Sleep for this long at most, then ask again.
    In(Duration),
}

/// The first moment at which a record may be delivered. A sum beyond the number space is never reached.
pub(super) fn due_at(appended: TimestampMs, delay: Duration) -> TimestampMs {
    let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    TimestampMs(appended.0.saturating_add(delay_ms))
}

/// Asked with the wall clock of this moment.
pub(super) fn due(due_at: TimestampMs, now: TimestampMs) -> Due {
    let wait_ms = due_at.0.saturating_sub(now.0);
    match u64::try_from(wait_ms) {
        Ok(0) | Err(_) => Due::Now,
        Ok(wait_ms) => Due::In(Duration::from_millis(wait_ms).min(SLEEP_MAX)),
    }
}

/// How long to wait after the `failures`-th failure in a row: 0.1 s, doubling up to 10 s.
pub(super) fn back_off(failures: u32) -> Duration {
    Duration::from_millis(100 << failures.saturating_sub(1).min(7)).min(Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    const FIVE: Duration = Duration::from_secs(5);

    #[test]
    fn never_early_and_never_a_sleep_past_the_due_time() {
        for (now_ms, expect) in [
            (1_000, Due::In(SLEEP_MAX)),
            (4_999, Due::In(SLEEP_MAX)),
            (5_000, Due::In(Duration::from_secs(1))),
            (5_001, Due::In(Duration::from_millis(999))),
            (5_999, Due::In(Duration::from_millis(1))),
            (6_000, Due::Now),
            (6_001, Due::Now),
            (i64::MAX, Due::Now),
        ] {
            assert_eq!(due(due_at(TimestampMs(1_000), FIVE), TimestampMs(now_ms)), expect, "at {now_ms}");
        }
    }

    #[test]
    fn a_jump_back_makes_it_wait_longer_and_a_jump_forward_makes_it_due() {
        let clock = ManualClock::at(1_000);
        let at = due_at(clock.wall(), FIVE);
        clock.advance_ms(4_990);
        assert_eq!(due(at, clock.wall()), Due::In(Duration::from_millis(10)));
        clock.advance_ms(-3_600_000);
        assert_eq!(due(at, clock.wall()), Due::In(SLEEP_MAX));
        clock.advance_ms(10 * 365 * 86_400_000);
        assert_eq!(due(at, clock.wall()), Due::Now);
    }

    #[test]
    fn simulated_sleeps_end_at_the_due_time_and_not_before() {
        for delay_ms in [1, 999, 1_000, 1_001, 86_400_000] {
            let clock = ManualClock::at(77);
            let delay = Duration::from_millis(delay_ms);
            while let Due::In(sleep) = due(due_at(TimestampMs(77), delay), clock.wall()) {
                assert!(!sleep.is_zero() && sleep <= SLEEP_MAX);
                clock.advance_ms(i64::try_from(sleep.as_millis()).unwrap());
            }
            assert_eq!(clock.wall().0, 77 + i64::try_from(delay_ms).unwrap());
        }
    }

    #[test]
    fn times_beyond_the_number_space_are_never_due_and_never_a_panic() {
        assert_eq!(due_at(TimestampMs(i64::MAX - 1), FIVE), TimestampMs(i64::MAX));
        assert_eq!(due(TimestampMs(i64::MAX), TimestampMs(0)), Due::In(SLEEP_MAX));
        assert_eq!(due(TimestampMs(-1), TimestampMs(i64::MIN)), Due::In(SLEEP_MAX));
        assert_eq!(due(TimestampMs(i64::MIN), TimestampMs(i64::MAX)), Due::Now);
    }

    #[test]
    fn failures_are_retried_more_and_more_slowly_but_at_least_every_ten_seconds() {
        let waits: Vec<u128> = [1, 2, 3, 7, 8, 1_000].map(|n| back_off(n).as_millis()).into();
        assert_eq!(waits, vec![100, 200, 400, 6_400, 10_000, 10_000]);
    }
}
