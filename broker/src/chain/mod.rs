//! Plugins around the log. Rank 4: the only place, with `door/plugins.rs` and `delay/route.rs`, that knows the plugin host.

pub mod partition;

pub use partition::{BoundPlugin, ChainError, Partitioners, Target, plugin_of};
