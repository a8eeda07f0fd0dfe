//! One guest while it runs: its engine and imports, its store, its limits, and what crosses the border. Knows no plugin's
//! name or version beyond what log lines need.

pub(crate) mod border;
pub(crate) mod call;
pub(crate) mod engine;
pub(crate) mod guest_log;
pub(crate) mod instance;
pub(crate) mod module;
pub(crate) mod pool;
pub(crate) mod running;
pub(crate) mod sandbox;
pub(crate) mod ticker;
