//! All that a plugin may ask of the broker: a line in its log, and its clock. On the author's own machine, standard error
//! and the machine's clock.

/// A line in the broker's log, with plugin, version and topic. Long lines are cut and floods dropped.
pub fn debug(text: &str) {
    imp::log(imp::Level::Debug, text);
}

/// As [`debug`], at level info.
pub fn info(text: &str) {
    imp::log(imp::Level::Info, text);
}

/// As [`debug`], at level warn.
pub fn warn(text: &str) {
    imp::log(imp::Level::Warn, text);
}

/// As [`debug`], at level error.
pub fn error(text: &str) {
    imp::log(imp::Level::Error, text);
}

/// The broker's wall clock, in ms since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    imp::now_ms()
}

#[cfg(target_arch = "wasm32")]
mod imp {
    pub(super) use crate::border::sluice::plugin::host::{Level, log, now_ms};
}

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    #[derive(Debug)]
    pub(super) enum Level {
        Debug,
        Info,
        Warn,
        Error,
    }

    pub(super) fn log(level: Level, text: &str) {
        eprintln!("{level:?}: {text}");
    }

    pub(super) fn now_ms() -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
