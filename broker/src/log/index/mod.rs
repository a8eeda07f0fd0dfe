//! The sparse offset and time indexes of segments. Sealed segments have theirs mapped, lazily.

pub(in crate::log) mod maps;
pub(in crate::log) mod mmap;
pub(in crate::log) mod offset_index;
pub(in crate::log) mod time_index;
