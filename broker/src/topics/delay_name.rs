//! The names that make delay topics: `<target>.delay.<number><unit>` (delay contract, "Ways in" 1).
//! Read by the catalog when a topic is made and by the delay service when it delivers. Decides on text alone:
//! it never looks at what exists.

use std::time::Duration;

use crate::ids::TopicName;

/// The longest delay: ten years of 365 days.
const DELAY_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What a delay topic's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DelayName {
    /// Where its records go when they are due. May itself be a delay topic.
    pub(crate) target: TopicName,
    /// How long each record waits, from 1 ms to 10 years.
    pub(crate) delay: Duration,
}

/// Why a name that looks like a delay topic's is none: it is refused rather than taken for an ordinary one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' looks like a delay topic and is none: {reason}; write <target>.delay.<number><ms|s|m|h|d>")]
pub struct BadDelayName {
    /// The name.
    pub(crate) name: String,
    /// What is wrong with it.
    pub(crate) reason: &'static str,
}

impl DelayName {
    /// `None` for an ordinary name. A name is judged by its last two dot-separated parts: `delay`, then one that begins
    /// with a digit.
    ///
    /// # Errors
    /// `BadDelayName` for a near miss: another unit, no target, a delay outside of 1 ms to 10 years.
    pub(crate) fn parse(name: &str) -> Result<Option<DelayName>, BadDelayName> {
        let bad = |reason| BadDelayName { name: name.to_owned(), reason };
        let Some((front, last)) = name.rsplit_once('.') else { return Ok(None) };
        if !last.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let target = match front.rsplit_once('.') {
            Some((target, "delay")) => target,
            None if front == "delay" => "",
            _ => return Ok(None),
        };
        let delay = parse_delay(last).map_err(bad)?;
        let target = TopicName::new(target).map_err(|_| bad("what stands before '.delay.' is not a topic name"))?;
        Ok(Some(DelayName { target, delay }))
    }
}

/// `5s`, `250ms`, `7d`.
fn parse_delay(text: &str) -> Result<Duration, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("its unit is none of ms, s, m, h and d"),
    };
    // Only an overflow can fail here, and that is too long whatever the unit.
    let too_long = "the delay is longer than 10 years";
    let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms)).ok_or(too_long)?;
    match Duration::from_millis(ms) {
        Duration::ZERO => Err("the delay is shorter than 1 ms"),
        delay if delay > DELAY_MAX => Err(too_long),
        delay => Ok(delay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_name_says_target_and_delay() {
        for (name, target, ms) in [
            ("orders.delay.5s", "orders", 5_000),
            ("a.b.delay.1ms", "a.b", 1),
            ("a.delay.007m", "a", 420_000),
            ("a.delay.2h", "a", 7_200_000),
            ("a.delay.3650d", "a", 315_360_000_000),
            ("a.delay.5s.delay.6s", "a.delay.5s", 6_000),
            ("delay.delay.5s", "delay", 5_000),
        ] {
            let found = DelayName::parse(name).unwrap().unwrap();
            assert_eq!((found.target.as_str(), found.delay.as_millis()), (target, ms), "{name}");
        }
    }

    #[test]
    fn other_names_are_ordinary() {
        for name in
            ["orders", "orders.delay", "orders.delay.x5s", "orders.delay.5s.done", "orders.delays.5s", "a.5s", ""]
        {
            assert_eq!(DelayName::parse(name), Ok(None), "{name}");
        }
    }

    #[test]
    fn a_near_miss_is_refused_with_the_reason() {
        for (name, reason) in [
            ("orders.delay.5", "unit"),
            ("orders.delay.5S", "unit"),
            ("orders.delay.5w", "unit"),
            ("orders.delay.5s5", "unit"),
            ("orders.delay.5-s", "unit"),
            ("orders.delay.0s", "shorter than 1 ms"),
            ("orders.delay.3651d", "longer than 10 years"),
            ("orders.delay.99999999999999999999s", "longer than 10 years"),
            ("orders.delay.18446744073709551615d", "longer than 10 years"),
            ("delay.5s", "not a topic name"),
            (".delay.5s", "not a topic name"),
            ("..delay.5s", "not a topic name"),
        ] {
            let error = DelayName::parse(name).unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
    }
}
