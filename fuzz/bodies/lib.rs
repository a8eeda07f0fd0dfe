//! The fuzz targets' bodies, and the broker's two lowest layers with the parsers of its Kafka port. Those are compiled
//! here from the broker's own files: as a dependency they would bring a compiler for Wasm into every instrumented build.
//! A body says `sluice_broker::…`, so that the broker's own tests can run the same one over the seeds.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "whole layers are compiled for the sake of what is called")]

extern crate self as sluice_broker;

#[path = "../../broker/src/clock.rs"]
pub mod clock;
#[path = "../../broker/src/context.rs"]
pub mod context;
#[path = "../../broker/src/ids.rs"]
pub mod ids;
#[path = "../../broker/src/limits.rs"]
pub mod limits;
#[path = "../../broker/src/log/mod.rs"]
pub mod log;
#[path = "../../broker/src/memory/mod.rs"]
pub mod memory;
#[path = "../../broker/src/metrics/mod.rs"]
pub mod metrics;
#[path = "../../broker/src/record/mod.rs"]
pub mod record;
#[path = "../../broker/src/varint.rs"]
mod varint;

/// A file with a folder of its own is found by a path for the folder of both.
#[path = "../../broker/src"]
mod with_folder {
    pub mod tasks;
}
pub use with_folder::tasks;

pub mod batches;
pub mod directory;
pub mod dump;
pub mod files;
pub mod repair;
pub mod requests;
