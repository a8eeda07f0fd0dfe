//! The WebAssembly host: takes, compiles, keeps and calls uploaded plugins. Knows batches as bytes and an index and names
//! nothing of the broker.
//!
//! ```text
//! upload ─ form ─ wrap ─ compile ─ trial ─ registry (durable)         a version, immutable
//! bind ─ registry ─ module (compiled code, imports linked) ─ pool     a partitioner with its configuration
//! partition ─ quarantine ─ permit ─ pool ─ instance ─ running (yields, time, memory) ─ answer checked
//! ```

mod border;
mod call;
mod clock;
mod compile;
mod compiled;
mod config;
mod durable;
mod engine;
mod error;
mod form;
mod guest_log;
mod host;
mod instance;
mod limits;
mod module;
mod partitioner;
mod pool;
mod quarantine;
mod registry;
mod running;
mod sandbox;
mod threads;
mod ticker;
mod wrap;

pub use border::{Batch, BatchFull};
pub use call::{CallContext, Source};
pub use clock::GuestClock;
pub use config::HostConfig;
pub use error::{BindError, CallError, HostError, UploadError};
pub use host::{Bound, Host, PluginInfo, VersionInfo};
pub use partitioner::Partitioner;
pub use threads::{End, HostThread, Spawner};
