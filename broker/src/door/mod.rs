//! The typed API for everything that is not the Kafka port: messages, not batches. Rank 6. Gateway, delays and the command
//! line see only this; an existing Kafka cluster could offer it as well, so it stays narrow.
#![allow(missing_docs)]

pub mod append_once;
pub mod configs;
pub mod groups;
pub mod plugins;
pub mod produce;
pub mod read;
pub mod topics;

use std::sync::Arc;

use crate::engine::Engine;

pub use crate::config::{Context, Source};
pub use crate::engine::EngineError as DoorError;
pub use crate::record::{Header, Message};

/// The local door: over this broker's engine.
#[derive(Clone, Debug)]
pub struct Door {
    pub(crate) engine: Arc<Engine>,
}

impl Door {
    pub fn new(engine: Arc<Engine>) -> Door {
        Door { engine }
    }
    pub fn now(&self) -> crate::ids::TimestampMs {
        self.engine.clock().wall()
    }
    pub fn auto_create(&self) -> bool {
        self.engine.config().auto_create_topics
    }
    pub fn cluster_id(&self) -> &str {
        self.engine.catalog().cluster_id()
    }
    pub fn node_id(&self) -> i32 {
        self.engine.config().node_id
    }
    /// Readiness: `Some(why not)` when a partition is poisoned or offline.
    pub fn unready(&self) -> Option<String> {
        todo!()
    }
}
