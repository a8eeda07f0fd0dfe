//! One file a command.

pub(crate) mod dump_log;
pub(crate) mod log;
pub(crate) mod serve;
