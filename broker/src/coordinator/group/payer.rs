//! What a group's state costs, and who pays for it: STATE of the memory budget (`memory/`), where each owner has a share.
//! Whoever makes the broker keep something pays: a join for its member, a leader for what it assigns, a commit for its
//! offsets, the first of them for the group. The permit lies beside what it pays for and goes with it, so nothing here is
//! given back by hand. What is read from the log is the broker's own, and takes nothing from anybody's share.

use std::sync::Arc;

use bytes::Bytes;

use super::requests::JoinRequest;
use crate::ids::TopicPartition;
use crate::memory::{OverShare, Owner, StateBudget, StatePermit};

/// A group without members and offsets, and what is known of it in trees and timers.
pub(super) const GROUP_BYTES: usize = 1_536;
/// A member without its texts and protocols.
pub(super) const MEMBER_BYTES: usize = 640;
/// A protocol of a member, or an entry of an assignment, without text and bytes.
const ENTRY_BYTES: usize = 128;
/// A promised id without its text.
pub(super) const PROMISE_BYTES: usize = 256;
/// A committed offset without topic and metadata.
pub(super) const OFFSET_BYTES: usize = 320;
/// Metadata that grows a little (a number in it, say) costs the same.
const METADATA_STEP: usize = 64;

/// Whose request it is that leaves state behind.
#[derive(Clone, Debug)]
pub(super) struct Payer {
    state: StateBudget,
    owner: Owner,
}

impl Payer {
    pub(super) fn new(state: &StateBudget, owner: &Owner) -> Payer {
        Payer { state: state.clone(), owner: owner.clone() }
    }

    /// For what is read from the log.
    pub(super) fn broker(state: &StateBudget) -> Payer {
        Payer::new(state, &Owner::Broker)
    }

    /// For something new.
    pub(super) fn hold(&self, bytes: usize) -> Result<StatePermit, OverShare> {
        self.state.hold(self.owner.clone(), bytes)
    }

    /// In place of `before`: who does not grow is never refused.
    pub(super) fn exchange(&self, before: &mut StatePermit, bytes: usize) -> Result<(), OverShare> {
        match self.hold(bytes) {
            Ok(permit) => *before = permit,
            Err(refused) if bytes > before.bytes() => return Err(refused),
            Err(_) => before.keep(bytes),
        }
        Ok(())
    }

    /// For what is there in any case.
    pub(super) fn keep(&self, bytes: usize) -> StatePermit {
        self.state.keep(self.owner.clone(), bytes)
    }

    /// For a committed offset, perhaps in place of another: who only replaces is never refused.
    pub(super) fn commit(
        &self,
        before: Option<&Paid>,
        target: &TopicPartition,
        metadata: &str,
    ) -> Result<Paid, OverShare> {
        let bytes = offset_bytes(target, metadata);
        let had = before.map_or(0, Paid::bytes);
        if let Some(before) = before
            && (bytes..=2 * bytes).contains(&had)
        {
            return Ok(before.clone());
        }
        // Both are there until the new one is durable.
        drop(self.hold(bytes.saturating_sub(had))?);
        Ok(Paid(Some(Arc::new(self.keep(bytes)))))
    }

    /// For a committed offset that is in the log.
    pub(super) fn committed(&self, target: &TopicPartition, metadata: &str) -> Paid {
        Paid(Some(Arc::new(self.keep(offset_bytes(target, metadata)))))
    }
}

/// The permit of a committed offset. The record that brings the offset carries it; one that replaces the offset may share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Paid(Option<Arc<StatePermit>>);

impl Paid {
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |permit| permit.bytes())
    }

    /// A record from the log has none.
    pub(super) fn is_unpaid(&self) -> bool {
        self.0.is_none()
    }
}

/// Who pays is no part of what a record says.
impl PartialEq for Paid {
    fn eq(&self, _other: &Paid) -> bool {
        true
    }
}

impl Eq for Paid {}

pub(super) fn group_bytes(id: &str) -> usize {
    GROUP_BYTES + 3 * id.len()
}

pub(super) fn promise_bytes(id: &str) -> usize {
    PROMISE_BYTES + id.len()
}

/// Its id is in several places: the tree, the record, the leader, who waits for it.
pub(super) fn member_bytes(id: &str, request: &JoinRequest) -> usize {
    let instance = request.instance.as_ref().map_or(0, String::len);
    let protocols = request.protocols.iter().map(|(name, metadata)| ENTRY_BYTES + name.len() + metadata.len());
    let texts = 3 * id.len() + 3 * instance + request.client_id.len() + request.client_host.len();
    MEMBER_BYTES + texts + protocols.sum::<usize>()
}

/// Of a member that is read from the log.
pub(super) fn stored_member_bytes(text_bytes: usize, metadata_bytes: usize) -> usize {
    MEMBER_BYTES + 3 * text_bytes + 2 * ENTRY_BYTES + metadata_bytes
}

pub(super) fn assignment_bytes<'a>(parts: impl Iterator<Item = (&'a String, &'a Bytes)>) -> usize {
    parts.map(|(member, part)| ENTRY_BYTES + member.len() + part.len()).sum()
}

fn offset_bytes(target: &TopicPartition, metadata: &str) -> usize {
    OFFSET_BYTES + target.topic.as_str().len() + metadata.len().next_multiple_of(METADATA_STEP)
}
