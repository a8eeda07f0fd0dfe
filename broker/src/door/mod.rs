//! The typed API for everything that is not the Kafka port: messages, not batches. Rank 6. Gateway, delays and the command
//! line see only this. It is a contract that an existing Kafka cluster could offer as well, so it stays narrow: its types and
//! its error are its own, and nothing of this broker's logs, topics or engine is in them.
//!
//! ```text
//! messages reading consumer topics groups plugins error   the contract
//! local/                                                  this broker's half: messages to batches and back, over the engine
//! ```

pub mod consumer;
pub mod error;
pub mod groups;
mod local;
pub mod messages;
pub mod plugins;
pub mod reading;
pub mod topics;

pub use crate::context::Context;
pub use error::DoorError;
pub use local::Door;
pub(crate) use local::follow::{Follower, ReadEnd, Reading};
pub(crate) use local::keyed_log::KeyedLog;
pub use messages::{Header, Message};
