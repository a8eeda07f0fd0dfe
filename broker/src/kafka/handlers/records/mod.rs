//! Requests about records and their offsets, and the identity of their producers.

pub(in crate::kafka) mod delete_records;
pub(in crate::kafka) mod fetch;
pub(in crate::kafka) mod init_producer_id;
pub(in crate::kafka) mod list_offsets;
pub(in crate::kafka) mod offset_for_leader_epoch;
pub(in crate::kafka) mod produce;
