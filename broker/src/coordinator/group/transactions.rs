//! Offsets that transactional producers have written and whose transaction is still open (KIP-98's TxnOffsetCommit), as
//! a load of the log finds them. Pure. They are nobody's offsets until a commit marker; an abort marker drops them.

use std::collections::HashMap;
use std::sync::Arc;

use super::offsets::Change;
use crate::ids::ProducerId;

/// The open transactions of one shard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OpenTransactions {
    pending: HashMap<ProducerId, Vec<(Arc<str>, Change)>>,
}

impl OpenTransactions {
    pub(super) fn add(&mut self, producer: ProducerId, group: Arc<str>, change: Change) {
        self.pending.entry(producer).or_default().push((group, change));
    }

    /// The producer's transaction has ended: what it had written, in the order of the log.
    pub(super) fn end(&mut self, producer: ProducerId) -> Vec<(Arc<str>, Change)> {
        self.pending.remove(&producer).unwrap_or_default()
    }
}
