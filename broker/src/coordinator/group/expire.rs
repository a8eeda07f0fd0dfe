//! Retention (Kafka's `ClassicGroup.offsetExpirationCondition` and `cleanupExpiredOffsets`, KIP-211): tombstones for
//! offsets that have been kept long enough, for those of topics that are gone, and for groups of which nothing is left.
//! A timer of the shard calls it. One call looks at a bounded number of groups and offsets under the shard's lock, also
//! within one group, and says where the next one goes on: it must never walk all of something at once.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use super::assign;
use super::classic::ClassicGroup;
use super::commits::Tombstones;
use super::machine::{Group, GroupMachine, GroupTimer, Place};
use super::requests::GroupState;
use crate::coordinator::machine::{Now, Plan};
use crate::ids::{TimestampMs, TopicPartition};
use crate::limits;

/// Since when an offset counts as unused.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// It is in use.
    Never,
    /// All at once: the last member has left then.
    At(TimestampMs),
    /// Each since its commit.
    Commit,
    /// Each since its commit, if no member subscribes to its topic.
    CommitIfUnsubscribed,
}

impl GroupMachine {
    /// One step of retention. Nobody waits for the tombstones: what a crash takes back expires again.
    pub(super) fn expire(&mut self, now: Now) -> Plan<GroupMachine> {
        let (mut batch, mut emptied) = (Tombstones::default(), Vec::new());
        let from = self.retention_from.take();
        self.retention_from = self.expire_from(from, now, &mut batch, &mut emptied);
        let pause = match &self.retention_from {
            None => limits::OFFSETS_RETENTION_CHECK,
            Some(_) if batch.records.is_empty() => limits::GROUP_DEADLINE_MIN,
            Some(_) => limits::TOMBSTONE_BATCHES_PAUSE,
        };
        let mut plan = Plan::nothing();
        plan.records = batch.records;
        plan.set(GroupTimer::Retention, Some(now.mono + pause));
        emptied.iter().for_each(|id| self.settle(id, &mut plan));
        plan
    }

    /// `None`: all groups have been looked at.
    fn expire_from(
        &self,
        mut from: Option<Place>,
        now: Now,
        batch: &mut Tombstones,
        emptied: &mut Vec<Arc<str>>,
    ) -> Option<Place> {
        let first = from.as_ref().map(|place| Arc::clone(&place.group));
        let first = first.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let mut left = limits::SWEEP_OFFSETS_MAX;
        for (id, group) in self.groups.range::<str, _>((first, Bound::Unbounded)) {
            let new = || Place { group: Arc::clone(id), after: None, kept: false };
            let place = from.take().filter(|place| place.group == *id).unwrap_or_else(new);
            if left == 0 {
                return Some(place);
            }
            left -= 1;
            if let Some(rest) = self.expire_group(group, place, &mut left, now, batch) {
                return Some(rest);
            }
            if group.offsets.is_empty() {
                emptied.push(Arc::clone(id));
            }
        }
        None
    }

    /// `Some`: the batch is full, or enough has been looked at, and this is where the group goes on.
    fn expire_group(
        &self,
        group: &Group,
        mut place: Place,
        left: &mut usize,
        now: Now,
        batch: &mut Tombstones,
    ) -> Option<Place> {
        let since = since(&group.classic);
        // Of what is on its way the last word is not durable: it is judged the next time.
        let on_their_way = group.offsets.on_their_way();
        let mut goes = Vec::new();
        let mut last = None;
        let after = place.after.take();
        let mut offsets = group.offsets.durable_after(after.as_ref());
        for (target, value) in offsets.by_ref().take(*left) {
            last = Some(target);
            *left -= 1;
            let old = match since {
                Since::Never => false,
                Since::At(at) => self.is_old(at, now),
                Since::Commit | Since::CommitIfUnsubscribed => self.is_old(value.committed_at, now),
            };
            let stale = self.is_stale(target, value);
            let held = on_their_way.contains(target) || self.transactions.holds(&place.group, target);
            if held || !(old || stale) {
                place.kept = true;
            } else {
                goes.push((target, stale));
            }
        }
        let more = offsets.next().is_some();
        if matches!(since, Since::CommitIfUnsubscribed) {
            keep_subscribed(&group.classic, &mut goes, &mut place.kept);
        }
        for (target, _) in goes {
            if !batch.offset(&place.group, target) {
                // Those before it are tombstones when the next batch begins, where this one did.
                return Some(Place { after: after.clone(), ..place });
            }
        }
        if more {
            let after = last.cloned().or_else(|| after.clone());
            return Some(Place { after, ..place });
        }
        let nothing_left = !place.kept
            && group.classic.is_vacant()
            && !group.offsets.has_waiting_commit()
            && !self.transactions.holds_group(&place.group);
        if nothing_left && group.stored.is_some() && !batch.group(&place.group) {
            return Some(place);
        }
        None
    }

    fn is_old(&self, since: TimestampMs, now: Now) -> bool {
        let retention_ms = i64::try_from(self.setting.retention.as_millis()).unwrap_or(i64::MAX);
        now.wall.0.saturating_sub(since.0) >= retention_ms
    }
}

fn since(group: &ClassicGroup) -> Since {
    match (group.protocol_type(), group.state()) {
        // It has never had members: a simple consumer, or an administrator, keeps its offsets here.
        (None, _) => Since::Commit,
        // Records of before KIP-211 do not say since when the group is empty.
        (Some(_), GroupState::Empty) => group.state_since().map_or(Since::Commit, Since::At),
        (Some(assign::PROTOCOL_TYPE), GroupState::Stable) => Since::CommitIfUnsubscribed,
        (Some(_), _) => Since::Never,
    }
}

/// Leaves out those whose topic a member subscribes to. When a subscription cannot be read, nobody knows: all are in use,
/// but for those of topics that are gone.
fn keep_subscribed(group: &ClassicGroup, goes: &mut Vec<(&TopicPartition, bool)>, kept: &mut bool) {
    let mut unsubscribed: HashSet<&str> = goes.iter().map(|(target, _)| target.topic.as_str()).collect();
    if unsubscribed.is_empty() {
        return;
    }
    let known = group.each_subscribed_topic(|topic| {
        unsubscribed.remove(topic);
    });
    let before = goes.len();
    goes.retain(|(target, stale)| *stale || known.is_some() && unsubscribed.contains(target.topic.as_str()));
    *kept |= goes.len() < before;
}
