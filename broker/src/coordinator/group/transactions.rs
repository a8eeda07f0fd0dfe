//! Offsets that transactional producers have written and whose transaction is still open (KIP-98's TxnOffsetCommit), as
//! a load of the log finds them. Pure. They are nobody's offsets until a commit marker; an abort marker drops them, and so
//! does a later tombstone (Kafka's `OffsetMetadataManager.replay`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::offsets::Change;
use crate::ids::{ProducerId, TopicPartition};

/// The last change of each target that one transaction has written, group by group.
type Written = BTreeMap<Arc<str>, BTreeMap<TopicPartition, Change>>;

/// The open transactions of one shard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OpenTransactions {
    pending: HashMap<ProducerId, Written>,
}

impl OpenTransactions {
    pub(super) fn add(&mut self, producer: ProducerId, group: Arc<str>, change: Change) {
        let of_group = self.pending.entry(producer).or_default().entry(group).or_default();
        of_group.insert(change.target.clone(), change);
    }

    /// The producer's transaction has ended: the last change of each target that it had written.
    pub(super) fn end(&mut self, producer: ProducerId) -> Vec<(Arc<str>, Change)> {
        let written = self.pending.remove(&producer).unwrap_or_default();
        let of_group = |(group, changes): (Arc<str>, BTreeMap<TopicPartition, Change>)| {
            changes.into_values().map(move |change| (Arc::clone(&group), change))
        };
        written.into_iter().flat_map(of_group).collect()
    }

    /// A tombstone: no transaction brings the offset back.
    pub(super) fn forget(&mut self, group: &str, target: &TopicPartition) {
        for written in self.pending.values_mut() {
            if let Some(changes) = written.get_mut(group) {
                changes.remove(target);
                if changes.is_empty() {
                    written.remove(group);
                }
            }
        }
    }

    /// An open transaction has written this offset.
    pub(super) fn holds(&self, group: &str, target: &TopicPartition) -> bool {
        self.pending.values().any(|written| written.get(group).is_some_and(|changes| changes.contains_key(target)))
    }

    /// An open transaction has written an offset of the group.
    pub(super) fn holds_group(&self, group: &str) -> bool {
        self.pending.values().any(|written| written.contains_key(group))
    }
}
