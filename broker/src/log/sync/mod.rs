//! Sync: what is appended becomes durable, and who waits for that is answered.

pub(in crate::log) mod checkpoint;
pub(in crate::log) mod commit;
pub(in crate::log) mod counts;
pub(in crate::log) mod durability;
mod epoch_files;
pub(in crate::log) mod failure;
pub(in crate::log) mod flusher;
pub(in crate::log) mod queue;
pub(in crate::log) mod registry;
