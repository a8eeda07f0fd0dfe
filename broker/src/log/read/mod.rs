//! Read: whole batches below the high watermark, found by offset or by time.

pub(in crate::log) mod batches;
pub(in crate::log) mod find_time;
pub(in crate::log) mod locate;
pub(in crate::log) mod look;
pub(in crate::log) mod open_batch;
pub(in crate::log) mod scan;
pub(in crate::log) mod spans;
pub(in crate::log) mod watch;
