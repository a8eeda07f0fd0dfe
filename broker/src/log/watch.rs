//! STUB to be replaced. Wakes long polls when HW moves.
#![allow(missing_docs)]
/// Keeps a `Notify` registered with a partition; unregisters on drop.
#[derive(Debug)]
pub struct WatchGuard;
