//! Panics on demand, for tests: which tasks are to panic, by name. Not in a product. `injecting.rs` raises them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

pub(super) type Waker = Arc<dyn Fn() + Send + Sync>;

/// Panics asked for and not yet raised.
pub(super) struct Injected {
    pub(super) asked: watch::Sender<Vec<String>>,
    /// Wakes the threads, which do not see `asked` by themselves.
    pub(super) wakers: Mutex<Vec<Waker>>,
}

impl Default for Injected {
    fn default() -> Injected {
        Injected { asked: watch::Sender::new(Vec::new()), wakers: Mutex::default() }
    }
}

impl Injected {
    /// `true` once for each time that a panic of this task was asked for.
    pub(super) fn take(&self, name: &str) -> bool {
        let mut taken = None;
        // Nobody waits for one less.
        self.asked.send_if_modified(|asked| {
            taken = asked.iter().position(|asked| is_of(name, asked)).map(|at| asked.remove(at));
            false
        });
        taken.is_some()
    }
}

/// A name may go on with what tells it from its sisters, as the address of a port.
fn is_of(name: &str, asked: &str) -> bool {
    name.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}
