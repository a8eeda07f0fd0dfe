//! Append: from a checked batch to bytes in the active segment. Nothing here waits for a sync.

pub(in crate::log) mod append;
pub(in crate::log) mod epochs;
pub(crate) mod producer_snapshot;
pub(in crate::log) mod producers;
mod roll;
pub(in crate::log) mod segment;
