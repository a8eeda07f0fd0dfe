//! Which committed offsets have been kept long enough, pure (Kafka's `ClassicGroup.offsetExpirationCondition`, KIP-211).
//! A group with members never loses an offset. A group whose members have left loses all offsets at once, a retention
//! time after the last member. A group that never had members loses each offset a retention time after its commit.
//! What an open transaction has written keeps the offset and the group (Kafka's `cleanupExpiredOffsets`).

use std::time::Duration;

use super::machine::Group;
use super::transactions::OpenTransactions;
use crate::ids::{TimestampMs, TopicPartition};

/// What may go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) offsets: Vec<TopicPartition>,
    /// Nothing is left: the group itself goes too.
    pub(super) group: bool,
}

/// Judges one group by the wall clock. A group with a commit on its way is left alone: its time begins again.
pub(super) fn expired(
    id: &str,
    group: &Group,
    open: &OpenTransactions,
    retention: Duration,
    now: TimestampMs,
) -> Expired {
    let Group { classic, offsets, .. } = group;
    if !classic.is_vacant() || offsets.has_waiting_commit() {
        return Expired { offsets: Vec::new(), group: false };
    }
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let since_empty = classic.protocol_type().and_then(|_| classic.state_since());
    let old = |committed_at: TimestampMs| {
        let since = since_empty.unwrap_or(committed_at);
        now.0.saturating_sub(since.0) >= retention_ms
    };
    let mut expired = Expired { offsets: Vec::new(), group: !open.holds_group(id) };
    for (target, value) in offsets.latest() {
        if old(value.committed_at) && !open.holds(id, target) {
            expired.offsets.push(target.clone());
        } else {
            expired.group = false;
        }
    }
    expired
}
