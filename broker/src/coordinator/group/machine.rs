//! The groups of one shard as a machine of the coordinators' runtime. Durable are the group records and the committed
//! offsets; they change only by replay. Members, time-outs and waiting requests belong to the classic group's own state
//! machine (`classic/`), which is built from the last group record at load. Requests are in `members` and `commits`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::classic::{ClassicGroup, Effect, RequestId, Rules, Then};
use super::error::GroupError;
use super::offsets::{Change, GroupOffsets};
use super::payer::{self, Payer};
use super::records::{self, GroupMetadata, GroupRecord};
use super::requests::{GroupDescription, GroupListing, JoinAnswer, SyncAnswer};
use super::transactions::OpenTransactions;
use crate::coordinator::error::{BadRecord, ShardError};
use crate::coordinator::machine::{Machine, Now, Plan};
use crate::ids::{Generation, Offset, ProducerId, TopicPartition};
use crate::limits;
use crate::memory::{StateBudget, StatePermit};
use crate::record::{Message, RecordView};
use crate::topics::Catalog;

/// What the groups of all shards share.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) catalog: Arc<Catalog>,
    pub(super) rules: Rules,
    /// Where what stays is admitted.
    pub(super) state: StateBudget,
    /// How long committed offsets of a group without members are kept.
    pub(super) retention: Duration,
    /// Groups of all shards together, at most `limits::GROUPS_MAX`.
    pub(super) group_count: AtomicUsize,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub(super) struct GroupMachine {
    pub(super) setting: Arc<Setting>,
    /// In the order of their ids, so that a long walk over them can stop and go on.
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    /// Groups with offsets on their way, in the order of the log.
    waiting: VecDeque<(Offset, Arc<str>)>,
    pub(super) transactions: OpenTransactions,
    /// Where retention goes on; `None`: it begins again.
    pub(super) retention_from: Option<Place>,
    opened: Now,
    /// The log has been read.
    loaded: bool,
    /// Numbers waiting requests, and the groups of one name.
    last_number: u64,
    /// The broker stops: nobody may begin to wait.
    pub(super) stopped: bool,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) classic: ClassicGroup,
    pub(super) offsets: GroupOffsets,
    /// The generation of the last group record; `None` when there is none, or a tombstone.
    pub(super) stored: Option<Generation>,
    /// The record, while the log is read: of a live group `classic` has it all.
    restored_from: Option<GroupMetadata>,
    pub(super) joins: HashMap<RequestId, oneshot::Sender<Result<JoinAnswer, GroupError>>>,
    pub(super) syncs: HashMap<RequestId, oneshot::Sender<Result<SyncAnswer, GroupError>>>,
    /// When its timer is due.
    scheduled: Option<Instant>,
    /// Tells it from an earlier group of that name.
    number: u64,
    _paid: StatePermit,
}

/// Where retention goes on.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) group: Arc<str>,
    /// The group's offsets up to this one have been looked at.
    pub(super) after: Option<TopicPartition>,
    /// One of them stays, and the group with it.
    pub(super) kept: bool,
}

const _: () = assert!(size_of::<Group>() + 256 <= payer::GROUP_BYTES);

/// What a shard's timers are for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum GroupTimer {
    /// The group's next deadline.
    Group(Arc<str>),
    /// Offsets that have been kept long enough.
    Retention,
}

/// A group's record is durable, or was refused.
#[derive(Debug)]
pub(super) struct GroupStored {
    group: Arc<str>,
    number: u64,
    then: Then,
}

impl Group {
    /// Neither the log nor anybody who waits knows of it.
    fn nothing_left(&self) -> bool {
        self.stored.is_none() && self.offsets.is_empty() && self.classic.is_vacant()
    }
}

impl GroupMachine {
    pub(super) fn new(setting: Arc<Setting>, opened: Now) -> GroupMachine {
        GroupMachine {
            setting,
            groups: BTreeMap::new(),
            waiting: VecDeque::new(),
            transactions: OpenTransactions::default(),
            retention_from: None,
            opened,
            loaded: false,
            last_number: 0,
            stopped: false,
        }
    }

    pub(super) fn check_running(&self) -> Result<(), GroupError> {
        if self.stopped { Err(GroupError::Stopping) } else { Ok(()) }
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The group's own copy of its id, if there is such a group.
    pub(super) fn find(&self, group: &str) -> Option<Arc<str>> {
        self.groups.get_key_value(group).map(|(id, _)| Arc::clone(id))
    }

    pub(super) fn find_or_create(&mut self, group: &str, payer: &Payer, now: Now) -> Result<Arc<str>, GroupError> {
        if let Some(id) = self.find(group) {
            return Ok(id);
        }
        let paid = payer.hold(payer::group_bytes(group))?;
        let count = &self.setting.group_count;
        let room = |count: usize| (count < limits::GROUPS_MAX).then_some(count + 1);
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .map_err(|_| GroupError::Full { group: group.to_owned(), limit: limits::GROUPS_MAX })?;
        Ok(self.insert(group.into(), paid, now))
    }

    fn insert(&mut self, id: Arc<str>, paid: StatePermit, now: Now) -> Arc<str> {
        let group = Group {
            classic: ClassicGroup::new(&id, self.setting.rules, now),
            offsets: GroupOffsets::default(),
            stored: None,
            restored_from: None,
            joins: HashMap::new(),
            syncs: HashMap::new(),
            scheduled: None,
            number: self.next_number(),
            _paid: paid,
        };
        self.groups.insert(Arc::clone(&id), group);
        id
    }

    /// A replayed record's group; at load it may be new, and is counted even beyond the limit.
    fn replayed_group(&mut self, id: &Arc<str>) -> Arc<str> {
        self.find(id).unwrap_or_else(|| {
            self.setting.group_count.fetch_add(1, Ordering::Relaxed);
            let paid = Payer::broker(&self.setting.state).keep(payer::group_bytes(id));
            self.insert(Arc::clone(id), paid, self.opened)
        })
    }

    fn remove(&mut self, id: &str) {
        if self.groups.remove(id).is_some() {
            self.setting.group_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Does what the classic group says, in order.
    pub(super) fn take(&mut self, id: &Arc<str>, effects: Vec<Effect>, plan: &mut Plan<GroupMachine>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        for effect in effects {
            match effect {
                // A client that went away has dropped its end: nobody gets the answer.
                Effect::AnswerJoin(waiting, answer) => {
                    if let Some(waiting) = group.joins.remove(&waiting) {
                        let _ = waiting.send(answer);
                    }
                }
                Effect::AnswerSync(waiting, answer) => {
                    if let Some(waiting) = group.syncs.remove(&waiting) {
                        let _ = waiting.send(answer);
                    }
                }
                Effect::Store(metadata, then) => {
                    plan.records.push(GroupRecord::Group { group: Arc::clone(id), value: Some(metadata) });
                    if !matches!(then, Then::Nothing) {
                        plan.then.push(GroupStored { group: Arc::clone(id), number: group.number, then });
                    }
                }
            }
        }
    }

    /// After every change: the timer knows the group's next deadline, and a group of which nothing is left is removed.
    /// A group with a record in this plan stays: the record is replayed after this.
    pub(super) fn settle(&mut self, id: &Arc<str>, plan: &mut Plan<GroupMachine>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let has_record = || plan.records.iter().any(|record| Arc::ptr_eq(record.group(), id));
        let nothing_left = group.nothing_left() && !has_record();
        let wake_by = group.classic.wake_by().filter(|_| !nothing_left);
        if wake_by != group.scheduled {
            group.scheduled = wake_by;
            plan.set(GroupTimer::Group(Arc::clone(id)), wake_by);
        }
        if nothing_left {
            self.remove(id);
        }
    }

    pub(super) fn describe(&self, group: &str) -> Result<GroupDescription, GroupError> {
        let found = self.groups.get(group).ok_or_else(|| GroupError::NotFound { group: group.to_owned() })?;
        Ok(found.classic.describe())
    }

    /// The groups behind this one, `limits::GROUPS_LISTED_AT_ONCE` at most.
    pub(super) fn list(&self, after: Option<&str>) -> Vec<GroupListing> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listing = |(id, group): (&Arc<str>, &Group)| GroupListing {
            group: Arc::clone(id),
            state: group.classic.state(),
            protocol_type: group.classic.protocol_type().unwrap_or_default().to_owned(),
        };
        let behind = self.groups.range::<str, _>((from, Bound::Unbounded));
        behind.take(limits::GROUPS_LISTED_AT_ONCE).map(listing).collect()
    }

    /// Ends waiting joins and syncs, and takes no new ones.
    pub(super) fn stop(&mut self) -> Plan<GroupMachine> {
        self.stopped = true;
        let mut plan = Plan::nothing();
        for id in self.groups.keys().cloned().collect::<Vec<_>>() {
            if let Some(group) = self.groups.get_mut(&id) {
                let effects = group.classic.give_up(&GroupError::Stopping);
                self.take(&id, effects, &mut plan);
            }
        }
        plan
    }
}

impl Machine for GroupMachine {
    type Record = GroupRecord;
    type Timer = GroupTimer;
    type Then = GroupStored;
    /// Classic groups leave their assignors to the clients.
    type Done = std::convert::Infallible;

    fn message(record: &GroupRecord) -> Message {
        records::message(record)
    }

    fn parse(record: &RecordView) -> Result<Option<GroupRecord>, BadRecord> {
        records::parse(record)
    }

    fn replay(&mut self, at: Offset, producer: Option<ProducerId>, record: GroupRecord) {
        match record {
            GroupRecord::Group { group, value } => {
                let id = self.replayed_group(&group);
                if let Some(group) = self.groups.get_mut(&id) {
                    group.stored = value.as_ref().map(|stored| stored.generation);
                    group.restored_from = value.filter(|_| !self.loaded);
                    if group.nothing_left() {
                        self.remove(&id);
                    }
                }
            }
            GroupRecord::Offset { group, target, value, mut paid } => {
                if let Some(value) = value.as_ref().filter(|_| paid.is_unpaid()) {
                    paid = Payer::broker(&self.setting.state).committed(&target, &value.metadata);
                }
                let change = Change { target, value, paid, written: at };
                if change.value.is_none() {
                    self.transactions.forget(&group, &change.target);
                }
                match producer {
                    // As Kafka: a tombstone counts at once, whoever wrote it.
                    Some(producer) if change.value.is_some() => self.transactions.add(producer, group, change),
                    _ => self.replay_change(at, &group, change),
                }
            }
        }
    }

    fn end_transaction(&mut self, at: Offset, producer: ProducerId, committed: bool) {
        let written = self.transactions.end(producer);
        if committed {
            written.into_iter().for_each(|(group, change)| self.replay_change(at, &group, change));
        }
    }

    fn durable(&mut self, hw: Offset) {
        let mut last: Option<Arc<str>> = None;
        while let Some((_, id)) = self.waiting.pop_front_if(|(at, _)| *at < hw) {
            // One look at the group takes over everything below `hw`.
            if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &id)) {
                continue;
            }
            if let Some(group) = self.groups.get_mut(&id) {
                group.offsets.absorb(hw);
                if group.nothing_left() {
                    self.remove(&id);
                }
            }
            last = Some(id);
        }
    }

    fn loaded(&mut self, now: Now) -> Plan<GroupMachine> {
        let mut plan = Plan::nothing();
        self.loaded = true;
        let payer = Payer::broker(&self.setting.state);
        for id in self.groups.keys().cloned().collect::<Vec<_>>() {
            if let Some(group) = self.groups.get_mut(&id)
                && let Some(metadata) = group.restored_from.take()
            {
                group.classic = ClassicGroup::restore(&id, self.setting.rules, metadata, &payer, now);
            }
            self.settle(&id, &mut plan);
        }
        plan.set(GroupTimer::Retention, Some(now.mono + limits::OFFSETS_RETENTION_CHECK));
        plan
    }

    fn due(&mut self, timer: GroupTimer, now: Now) -> Plan<GroupMachine> {
        match timer {
            GroupTimer::Retention => self.expire(now),
            GroupTimer::Group(id) => {
                let mut plan = Plan::nothing();
                if let Some(group) = self.groups.get_mut(&id) {
                    group.scheduled = None;
                    let effects = group.classic.tick(now);
                    self.take(&id, effects, &mut plan);
                    self.settle(&id, &mut plan);
                }
                plan
            }
        }
    }

    fn stored(&mut self, stored: GroupStored, outcome: Result<(), ShardError>, now: Now) -> Plan<GroupMachine> {
        let GroupStored { group: id, number, then } = stored;
        let mut plan = Plan::nothing();
        if let Some(group) = self.groups.get_mut(&id).filter(|group| group.number == number) {
            let effects = group.classic.stored(then, outcome.map_err(GroupError::from), now);
            self.take(&id, effects, &mut plan);
            self.settle(&id, &mut plan);
        }
        plan
    }

    fn finished(&mut self, _done: Result<std::convert::Infallible, ShardError>, _now: Now) -> Plan<GroupMachine> {
        Plan::nothing()
    }

    fn refused(&mut self, records: Vec<GroupRecord>) -> Plan<GroupMachine> {
        let mut plan = Plan::nothing();
        for record in records {
            self.settle(record.group(), &mut plan);
        }
        plan
    }

    fn unloaded(&mut self, why: &ShardError) {
        for group in self.groups.values_mut() {
            group.joins.drain().for_each(|(_, waiting)| drop(waiting.send(Err(why.clone().into()))));
            group.syncs.drain().for_each(|(_, waiting)| drop(waiting.send(Err(why.clone().into()))));
        }
    }
}

impl GroupMachine {
    fn replay_change(&mut self, visible_above: Offset, group: &Arc<str>, change: Change) {
        let id = self.replayed_group(group);
        if let Some(group) = self.groups.get_mut(&id) {
            group.offsets.replay(visible_above, change);
            self.waiting.push_back((visible_above, id));
        }
    }
}

impl Drop for GroupMachine {
    fn drop(&mut self) {
        self.setting.group_count.fetch_sub(self.groups.len(), Ordering::Relaxed);
    }
}
