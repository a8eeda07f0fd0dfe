//! This broker's half of the door: turns messages into batches and back, and asks the engine, which decides what is allowed.

mod append_once;
mod configs;
mod errors;
pub(super) mod follow;
mod groups;
pub(super) mod keyed_log;
mod plugins;
mod produce;
mod read;
pub(super) mod topics;

use std::sync::Arc;

use crate::engine::Engine;
use crate::ids::TimestampMs;
use crate::memory::MemoryBudget;
use crate::tasks::Tasks;

/// The door to this broker. Clones share it.
#[derive(Clone, Debug)]
pub struct Door {
    engine: Arc<Engine>,
}

impl Door {
    /// A door to that engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Door {
        Door { engine }
    }

    /// The broker's wall time, which timestamps and due times are counted in.
    #[must_use]
    pub fn now(&self) -> TimestampMs {
        self.engine.clock().wall()
    }

    /// The broker's one memory budget.
    #[must_use]
    pub fn memory(&self) -> &MemoryBudget {
        self.engine.memory()
    }

    /// Whether producing to a missing topic creates it.
    #[must_use]
    pub fn auto_create(&self) -> bool {
        self.engine.config().auto_create_topics
    }

    /// Kafka's cluster id: 22 characters.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        self.engine.cluster_id()
    }

    /// This broker's number.
    #[must_use]
    pub fn node_id(&self) -> i32 {
        self.engine.config().node_id
    }

    /// The owner of the broker's tasks.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        self.engine.tasks()
    }

    /// Readiness: `Some(why not)` when a vital task has failed, or a partition is poisoned, damaged or offline; the text names
    /// the first one and says how many more there are. Costs a look at every partition.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        self.engine.unready()
    }
}
