//! Classic consumer groups and their committed offsets, exactly as Kafka's coordinator behaves (`GroupMetadataManager`,
//! `ClassicGroup` and `OffsetMetadataManager` of Kafka 4). A pure core decides (`classic/`, `offsets`, `expire`): events and
//! the time in, effects out. A thin shell carries out (`runtime`, `commit`, `timer`): it appends to `__consumer_offsets` and
//! answers only what is durable. Never holds a group's lock over an await.

mod classic;
mod commit;
mod error;
mod expire;
mod load;
mod offsets;
mod records;
mod runtime;
mod timer;
mod verbs;

pub use error::GroupError;
pub use runtime::{Groups, OFFSETS_TOPIC};
pub use verbs::{
    CommittedOffset, GroupDescription, GroupState, JoinAnswer, JoinRequest, LeavingMember, MemberDescription,
    Membership, OffsetToCommit, SyncAnswer, SyncRequest,
};

#[cfg(test)]
mod tests;
