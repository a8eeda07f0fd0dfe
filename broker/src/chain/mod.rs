//! Plugins around the log. Rank 4: the only place, with `engine/plugins.rs` and `door/local/plugins.rs`, that knows the plugin host.

pub mod partition;

pub use partition::{BoundPlugin, ChainError, Partitioners, Target, plugin_of};
