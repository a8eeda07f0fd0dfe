//! The WebAssembly host: takes, compiles, keeps and calls uploaded plugins. Knows batches as bytes and an index and names
//! nothing of the broker.
//!
//! ```text
//! upload ─ form ─ wrap ─ compile ─ trial ─ registry (durable)         a version, immutable
//! bind ─ registry ─ module (compiled code, imports linked) ─ pool     a binding with its configuration
//! partition ─ quarantine ─ permit ─ pool ─ instance ─ running (yields, time, memory) ─ answer checked
//! ```
//!
//! `world.rs` says what a world is, `worlds/` holds one file each; instance, pool and binding are generic over it.

mod binding;
mod clock;
mod config;
mod durable;
mod error;
mod guest;
mod host;
mod limits;
mod quarantine;
mod reference;
mod registry;
mod shared;
mod stats;
mod threads;
mod upload;
mod world;
mod worlds;

pub use clock::GuestClock;
pub use config::{HostConfig, MEMORY_BYTES_DEFAULT, PARTITIONER_TIMEOUT_MS_DEFAULT};
pub use error::{BindError, CallError, HostError, UploadError};
pub use guest::border::{Batch, BatchFull};
pub use guest::call::{CallContext, Source};
pub use host::{Host, PluginInfo};
pub use limits::UPLOAD_BYTES_MAX;
pub use reference::{BadReference, PluginRef, is_plugin_name};
pub use registry::VersionInfo;
pub use threads::{End, HostThread, Spawner};
pub use upload::trial::Bound;
pub use worlds::partitioner::Partitioner;
