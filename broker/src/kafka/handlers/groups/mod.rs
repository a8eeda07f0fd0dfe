//! Requests of consumer groups: membership, offsets, and where their coordinator is.

pub(in crate::kafka) mod describe_groups;
pub(in crate::kafka) mod find_coordinator;
pub(in crate::kafka) mod heartbeat;
pub(in crate::kafka) mod join_group;
pub(in crate::kafka) mod leave_group;
pub(in crate::kafka) mod list_groups;
pub(in crate::kafka) mod offset_commit;
pub(in crate::kafka) mod offset_fetch;
pub(in crate::kafka) mod sync_group;
