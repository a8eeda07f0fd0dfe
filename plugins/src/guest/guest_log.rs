//! A guest's log lines into `tracing`, with plugin, version and topic; cut, escaped and bounded in rate, so that a guest
//! can neither flood nor forge the broker's log.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{ComponentType, Lift};

use crate::clock::Instant;
use crate::limits::LOG_LINE_BYTES_MAX;

/// Lines that an instance may write at once.
const BURST: u32 = 20;
/// One more line may be written each such interval.
const REFILL: Duration = Duration::from_millis(100);

/// How serious a guest says a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "guests make them")]
pub(crate) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// The log of one instance.
pub(crate) struct GuestLog {
    plugin: Arc<str>,
    version: u32,
    /// The topic of the running call; none during `init`.
    topic: Option<Arc<str>>,
    allowed: u32,
    refilled: Option<Instant>,
    dropped: u64,
}

impl GuestLog {
    pub(crate) fn new(plugin: Arc<str>, version: u32) -> GuestLog {
        GuestLog { plugin, version, topic: None, allowed: BURST, refilled: None, dropped: 0 }
    }

    /// Lines from now on are about this topic.
    pub(crate) fn set_topic(&mut self, topic: &Arc<str>) {
        if self.topic.as_deref() != Some(topic) {
            self.topic = Some(Arc::clone(topic));
        }
    }

    pub(crate) fn line(&mut self, level: Level, text: &str) {
        self.line_at(Instant::now(), level, text);
    }

    fn line_at(&mut self, now: Instant, level: Level, text: &str) {
        self.refill(now);
        if self.allowed == 0 {
            self.dropped += 1;
            return;
        }
        self.allowed -= 1;
        let dropped = std::mem::take(&mut self.dropped);
        let (plugin, version, topic) = (&*self.plugin, self.version, self.topic.as_deref().unwrap_or(""));
        let text = printable(text);
        match level {
            Level::Debug => tracing::debug!(target: "sluice::guest", plugin, version, topic, dropped, "{text}"),
            Level::Info => tracing::info!(target: "sluice::guest", plugin, version, topic, dropped, "{text}"),
            Level::Warn => tracing::warn!(target: "sluice::guest", plugin, version, topic, dropped, "{text}"),
            Level::Error => tracing::error!(target: "sluice::guest", plugin, version, topic, dropped, "{text}"),
        }
    }

    fn refill(&mut self, now: Instant) {
        let since = self.refilled.get_or_insert(now);
        let intervals = now.duration_since(*since).as_millis() / REFILL.as_millis();
        let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
        if intervals > 0 {
            *since = now;
            self.allowed = self.allowed.saturating_add(intervals).min(BURST);
        }
    }
}

/// Cut at a character, control characters escaped: no line breaks, no terminal codes.
fn printable(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(LOG_LINE_BYTES_MAX)];
    let mut out = String::with_capacity(cut.len());
    for c in cut.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if cut.len() < text.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_break_out_or_grow_without_bound() {
        assert_eq!(printable("a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(printable(&"é".repeat(LOG_LINE_BYTES_MAX)).chars().count(), LOG_LINE_BYTES_MAX / 2 + 1);
    }

    #[test]
    fn a_flood_is_counted_and_dropped_until_time_passes() {
        let mut log = GuestLog::new("p".into(), 1);
        let now = Instant::now();
        for _ in 0..BURST + 5 {
            log.line_at(now, Level::Debug, "x");
        }
        assert_eq!((log.allowed, log.dropped), (0, 5));
        log.line_at(now + REFILL * 2, Level::Debug, "x");
        assert_eq!((log.allowed, log.dropped), (1, 0));
    }
}
