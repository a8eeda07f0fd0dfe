//! The broker: one log, one door for everything that is not the Kafka port, and the Kafka port.
//!
//! Layers, a file imports its own rank's folder and lower ranks (`tests/tidy` holds the table):
//! ```text
//! 8 node          assembly: opens, wires, spawns, drains
//! 7 delay         an ordinary client of the door
//! 6 kafka · door  the Kafka port over the engine · the typed API for everything else
//! 5 engine        raw verbs
//! 4 coordinator · chain
//! 3 topics        what exists
//! 2 log           one partition
//! 1 record        record batch v2
//! 0 ids config connections context auth limits clock memory metrics refusals tasks varint
//! ```

pub mod auth;
pub mod chain;
pub mod clock;
pub mod config;
pub mod connections;
pub mod context;
pub mod coordinator;
pub mod delay;
pub mod door;
pub mod engine;
pub mod ids;
pub mod kafka;
pub mod limits;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod node;
pub mod node_facts;
pub mod record;
pub mod refusals;
pub mod tasks;
pub mod topics;
mod varint;
