//! What is done to a log from time to time: retention, compaction, DeleteRecords, unlinking.

mod begin;
pub(in crate::log) mod compaction;
pub(in crate::log) mod delete_records;
pub(in crate::log) mod last_offsets;
pub(in crate::log) mod log_start;
pub(in crate::log) mod passes;
pub(in crate::log) mod policy;
pub(in crate::log) mod retention;
pub(in crate::log) mod rewrite;
pub(in crate::log) mod swap;
pub(in crate::log) mod unlinker;
