//! The typed API for everything that is not the Kafka port: messages, not batches. Rank 6. Gateway, delays and the command
//! line see only this; an existing Kafka cluster could offer it as well, so it stays narrow. Decides nothing that the
//! engine decides: it turns messages into batches and back.

pub mod append_once;
pub mod configs;
pub mod error;
pub mod follow;
pub mod groups;
pub mod keyed_log;
pub mod plugins;
pub mod produce;
pub mod read;
pub mod topics;

use std::sync::Arc;

use crate::engine::Engine;

pub use crate::context::{Context, Source};
pub use crate::record::{Header, Message, RecordView};
pub use error::DoorError;

/// The local door: over this broker's engine.
#[derive(Clone, Debug)]
pub struct Door {
    pub(crate) engine: Arc<Engine>,
}

impl Door {
    /// A door to that engine; as many as needed.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Door {
        Door { engine }
    }

    /// The broker's one memory budget.
    #[must_use]
    pub fn memory(&self) -> &crate::memory::MemoryBudget {
        self.engine.memory()
    }

    /// The broker's wall time, which timestamps and due times are counted in.
    #[must_use]
    pub fn now(&self) -> crate::ids::TimestampMs {
        self.engine.clock().wall()
    }

    /// Whether producing to a topic that does not exist makes it.
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

    /// Who owns the broker's tasks.
    #[must_use]
    pub fn tasks(&self) -> &crate::tasks::Tasks {
        self.engine.tasks()
    }

    /// Readiness: `Some(why not)` when a vital task has failed or a partition is poisoned, damaged or offline; the text names it and says how many more.
    /// Costs a look at every partition.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        self.engine.unready()
    }
}
