//! Plugins around the log. Rank 4: the only place, with `engine/plugins.rs` and `door/local/plugins.rs`, that knows the plugin host.

pub(crate) mod partition;

pub use partition::Partitioners;
pub(crate) use partition::{BoundPlugin, ChainError, Target, plugin_of};
