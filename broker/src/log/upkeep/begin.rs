//! The upkeep verbs of a data directory: start the threads that make passes, or, in tests, make one pass now.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::log::error::LogError;
use crate::log::recovery::log_dir::LogDir;
use crate::log::upkeep::passes::{Upkeep, UpkeepSettings};
use crate::tasks::{Pulse, Vital};

/// What a thread does until it is asked to stop.
type Work = Box<dyn FnOnce(&Upkeep, &Pulse) + Send>;

impl LogDir {
    /// Starts the threads that make the passes, until the directory is closed.
    ///
    /// # Errors
    /// `Io` when a thread cannot be started.
    pub(crate) fn begin_upkeep(&self, settings: UpkeepSettings) -> Result<(), LogError> {
        let start = |name: &'static str, run: Work| {
            let (upkeep, woken) = (Arc::clone(&self.upkeep), Arc::clone(&self.upkeep));
            let vital = Vital::new(name, CancellationToken::new());
            let thread = self.tasks.vital_thread(vital, move || woken.wake(), move |pulse| run(&upkeep, pulse));
            self.upkeep.threads.lock().push(thread?);
            Ok(())
        };
        start("log-retention", Box::new(move |upkeep, pulse| upkeep.run(settings, pulse)))
            .and_then(|()| start("log-cleaner", Box::new(Upkeep::run_cleaner)))
            .map_err(|error| LogError::io("cannot start the upkeep of", &self.path, error))
    }
}

#[cfg(test)]
impl LogDir {
    /// Compacts every log that is due, until none is. Blocking; `keys_bytes` bounds the keys held at once.
    pub(crate) fn compact(&self, keys_bytes: usize) {
        while self.upkeep.compact(keys_bytes, None) {}
    }

    /// One retention pass over every partition: removes what is below its log start, too old or too much. Blocking.
    pub(crate) fn retain(&self) {
        self.upkeep.retain();
    }
}
