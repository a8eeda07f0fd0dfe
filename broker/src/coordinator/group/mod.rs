//! Classic consumer groups and their committed offsets, exactly as Kafka's coordinator behaves (`GroupMetadataManager`,
//! `ClassicGroup` and `OffsetMetadataManager` of Kafka 4). `groups` has the verbs and finds the shard. `machine` is what
//! runs there: requests in `members` and `commits`, each group's own rules in `classic`, its offsets in `offsets`. Pure
//! but for what exists (the catalog): appending, timers and waiting are the runtime's.

pub(crate) mod assign;
mod classic;
mod commits;
mod error;
mod expire;
mod groups;
mod machine;
mod members;
mod offsets;
mod payer;
mod records;
mod requests;
mod shown;
mod transactions;

pub use error::GroupError;
pub use groups::Groups;
#[cfg(test)]
pub(crate) use groups::OFFSETS_TOPIC;
pub use requests::Membership;
pub(crate) use requests::{
    CommitFrom, CommittedOffset, GroupDescription, GroupState, JoinAnswer, JoinRequest, LeavingMember,
    MemberDescription, OffsetToCommit, SyncAnswer, SyncRequest,
};
pub(crate) use requests::{GroupListing, StableOffset};

#[cfg(test)]
mod tests;
