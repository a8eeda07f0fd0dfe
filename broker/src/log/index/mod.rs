//! The sparse offset and time indexes of segments. Those of sealed segments are read where they are.

pub(in crate::log) mod files;
pub(in crate::log) mod offset_index;
pub(in crate::log) mod time_index;
