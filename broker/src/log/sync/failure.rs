//! The first thing that made a partition of a data directory unusable. Readiness shows it until the next start.

use parking_lot::Mutex;

use crate::log::error::LogError;

/// Set once.
#[derive(Debug, Default)]
pub(in crate::log) struct FirstFailure(Mutex<Option<String>>);

impl FirstFailure {
    pub(in crate::log) fn note(&self, error: &LogError) {
        self.0.lock().get_or_insert_with(|| error.to_string());
    }

    pub(in crate::log) fn text(&self) -> Option<String> {
        self.0.lock().clone()
    }
}
