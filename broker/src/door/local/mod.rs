//! This broker's half of the door: turns messages into batches and back, and asks the engine, which decides what is allowed.

mod append_once;
mod configs;
pub(super) mod consumer;
mod errors;
pub(super) mod follow;
mod groups;
pub(super) mod keyed_log;
mod plugins;
mod produce;
mod read;
mod take;
pub(super) mod topics;

use std::sync::Arc;

use crate::engine::Engine;
use crate::ids::TimestampMs;

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
}
