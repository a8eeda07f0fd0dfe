//! Which committed offsets have been kept long enough, pure (Kafka's `ClassicGroup.offsetExpirationCondition`, KIP-211).
//! A group with members never loses an offset. A group whose members have left loses all offsets at once, a retention
//! time after the last member. A group that never had members loses each offset a retention time after its commit.

use std::time::Duration;

use super::classic::ClassicGroup;
use super::offsets::GroupOffsets;
use crate::ids::{TimestampMs, TopicPartition};

/// What may go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) offsets: Vec<TopicPartition>,
    /// Nothing is left: the group itself goes too.
    pub(super) group: bool,
}

/// Judges one group by the wall clock. A group with a commit on its way is left alone: its time begins again.
pub(super) fn expired(group: &ClassicGroup, offsets: &GroupOffsets, retention: Duration, now: TimestampMs) -> Expired {
    if !group.is_vacant() || offsets.has_waiting_commit() {
        return Expired { offsets: Vec::new(), group: false };
    }
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let since_empty = group.protocol_type().and_then(|_| group.state_since());
    let old = |committed_at: TimestampMs| {
        let since = since_empty.unwrap_or(committed_at);
        now.0.saturating_sub(since.0) >= retention_ms
    };
    let latest = offsets.latest();
    let count = latest.len();
    let old = latest.into_iter().filter(|(_, value)| old(value.committed_at));
    let offsets: Vec<TopicPartition> = old.map(|(target, _)| target.clone()).collect();
    let group = offsets.len() == count;
    Expired { offsets, group }
}
