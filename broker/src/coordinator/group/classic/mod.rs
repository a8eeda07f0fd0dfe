//! The state machine of one classic group (Kafka's `ClassicGroup` and its requests in `GroupMetadataManager`), pure: requests
//! and the time in, effects out. It knows no lock, no log and no task, so it is tested by the thousand.
//! Every waiting request has a number here and is answered exactly once.

mod join;
mod leave;
mod rebalance;
mod sync;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::assign;
use super::error::GroupError;
use super::payer::{self, Payer};
use super::records::{GroupMetadata, StoredMember};
use super::requests::{GroupDescription, GroupState, JoinAnswer, MemberDescription, SyncAnswer};
use crate::coordinator::machine::Now;
use crate::ids::{Generation, TimestampMs};
use crate::limits;
use crate::memory::StatePermit;

/// What the operator set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// How long an empty group waits for more members.
    pub(super) initial_delay: Duration,
    pub(super) session_min: Duration,
    pub(super) session_max: Duration,
    pub(super) members_max: usize,
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RequestId(pub(super) u64);

/// What the shell has to do, in this order.
#[derive(Debug)]
pub(super) enum Effect {
    /// The waiting join gets its answer.
    AnswerJoin(RequestId, Result<JoinAnswer, GroupError>),
    /// The waiting sync gets its answer.
    AnswerSync(RequestId, Result<SyncAnswer, GroupError>),
    /// Append this, and once it is durable (or has failed) call `stored` with the second part.
    Store(GroupMetadata, Then),
}

/// What a group record was written for.
#[derive(Debug)]
pub(super) enum Then {
    /// The group has become empty: nothing waits for it.
    Nothing,
    /// The leader's assignments become the members' when they are durable.
    Adopt { generation: Generation, assignments: BTreeMap<String, Bytes>, paid: StatePermit },
    /// A static member came back under a new id (KIP-345); on failure it is turned back.
    Replaced(Box<Replaced>),
}

/// A static member's change of id, and what it was before.
#[derive(Debug)]
pub(super) struct Replaced {
    instance: String,
    old: String,
    new: String,
    old_leader: Option<String>,
    old_protocols: Vec<(String, Bytes)>,
    old_rebalance_timeout: Duration,
    old_session_timeout: Duration,
    old_paid: StatePermit,
    supports_skip_assignment: bool,
}

#[derive(Debug)]
struct Member {
    instance: Option<String>,
    client_id: String,
    client_host: String,
    rebalance_timeout: Duration,
    session_timeout: Duration,
    /// Leads only where no member from outside has joined.
    in_process: bool,
    protocols: Vec<(String, Bytes)>,
    assignment: Bytes,
    join: Option<RequestId>,
    sync: Option<RequestId>,
    /// Has never had an answer to a join: it cannot send heartbeats yet.
    new: bool,
    /// When its session ends; `None` while a waiting request vouches for it.
    deadline: Option<Instant>,
    paid: StatePermit,
}

/// An id given out with MEMBER_ID_REQUIRED (KIP-394).
#[derive(Debug)]
struct Promise {
    /// When it lapses.
    until: Instant,
    _paid: StatePermit,
}

/// When the join phase ends whoever has joined.
#[derive(Clone, Copy, Debug)]
struct JoinDeadline {
    at: Instant,
    /// Of a first rebalance: this step of the delay, and what remains of the longest rebalance time-out.
    initial: Option<(Duration, Duration)>,
}

/// Where the group is in its cycle, since when by the wall clock, and where it was before.
#[derive(Debug)]
struct Phase {
    state: GroupState,
    previous: GroupState,
    since: Option<TimestampMs>,
}

/// What the members speak: the type they share, the protocol chosen, and how many members support each.
#[derive(Debug, Default)]
struct Protocols {
    kind: Option<String>,
    chosen: Option<String>,
    supported: BTreeMap<String, usize>,
}

/// When the phases end; sessions are with their members.
#[derive(Debug, Default)]
struct Deadlines {
    join: Option<JoinDeadline>,
    sync: Option<Instant>,
    /// No deadline of the group, sessions included, is earlier than this.
    wake_by: Option<Instant>,
}

/// What leaders have assigned.
#[derive(Debug, Default)]
struct Assigned {
    /// The generation whose assignments are on their way to the log.
    storing: Option<Generation>,
    /// For those that the members have.
    paid: Option<StatePermit>,
}

/// One group. Members are kept in the order of their ids, so that every run decides alike.
#[derive(Debug)]
pub(super) struct ClassicGroup {
    id: String,
    rules: Rules,
    phase: Phase,
    due: Deadlines,
    generation: Generation,
    protocols: Protocols,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// What they take in the group's record, but for their assignments.
    members_bytes: usize,
    /// Instance id to member id.
    statics: BTreeMap<String, String>,
    /// Members of `members` with a waiting join.
    joining: usize,
    /// Ids that their clients have not used yet.
    pending: BTreeMap<String, Promise>,
    pending_sync: BTreeSet<String>,
    new_member_added: bool,
    assigned: Assigned,
}

impl ClassicGroup {
    /// A group without members and without protocol type: Kafka's simple group.
    pub(super) fn new(id: &str, rules: Rules, now: Now) -> ClassicGroup {
        ClassicGroup {
            id: id.to_owned(),
            rules,
            phase: Phase { state: GroupState::Empty, previous: GroupState::Dead, since: Some(now.wall) },
            due: Deadlines::default(),
            generation: Generation(0),
            protocols: Protocols::default(),
            leader: None,
            members: BTreeMap::new(),
            members_bytes: 0,
            statics: BTreeMap::new(),
            joining: 0,
            pending: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            new_member_added: false,
            assigned: Assigned::default(),
        }
    }

    /// A group as its last record has it: stable with its members, who have one session time-out to show themselves
    /// (Kafka's `onLoaded`), so that clients go on over a restart.
    pub(super) fn restore(id: &str, rules: Rules, stored: GroupMetadata, payer: &Payer, now: Now) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, rules, now);
        group.phase.since = stored.state_since;
        group.generation = stored.generation;
        group.protocols.kind = stored.protocol_type;
        let name = stored.protocol.clone().unwrap_or_default();
        for member in stored.members {
            let paid = payer.keep(stored_bytes(&member));
            let StoredMember {
                member: id, instance, client_id, client_host, rebalance_timeout, session_timeout, ..
            } = member;
            let protocols = vec![(name.clone(), member.subscription)];
            let assignment = member.assignment;
            let (join, sync) = (None, None);
            let at = deadline(now, session_timeout);
            group.wake(at);
            group.count_protocols(&protocols, true);
            if let Some(instance) = &instance {
                group.statics.insert(instance.clone(), id.clone());
            }
            let member = Member {
                instance,
                client_id,
                client_host,
                // A record may be older than the floor, or Kafka's.
                rebalance_timeout: at_least_the_floor(rebalance_timeout),
                session_timeout,
                // The records do not say; those members ended with the broker.
                in_process: false,
                protocols,
                assignment,
                join,
                sync,
                new: false,
                deadline: Some(at),
                paid,
            };
            group.insert(id, member);
        }
        if !group.members.is_empty() {
            group.phase.state = GroupState::Stable;
            group.protocols.chosen = stored.protocol;
            let leader = stored.leader.filter(|leader| group.members.contains_key(leader));
            group.leader = leader.or_else(|| group.members.keys().next().cloned());
        }
        group
    }

    /// The durable form, with the given assignments.
    fn metadata(&self, assignments: &dyn Fn(&str, &Member) -> Bytes) -> GroupMetadata {
        let protocol = self.protocols.chosen.as_deref().unwrap_or("");
        let members = self.members.iter().map(|(id, member)| StoredMember {
            member: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout,
            session_timeout: member.session_timeout,
            subscription: member.metadata(protocol),
            assignment: assignments(id, member),
        });
        GroupMetadata {
            protocol_type: self.protocols.kind.clone(),
            generation: self.generation,
            protocol: self.protocols.chosen.clone(),
            leader: self.leader.clone(),
            state_since: self.phase.since,
            members: members.collect(),
        }
    }

    pub(super) fn state(&self) -> GroupState {
        self.phase.state
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn protocol_type(&self) -> Option<&str> {
        self.protocols.kind.as_deref()
    }

    /// Every topic that a member has subscribed to by the protocol chosen, some more than once; `None` when a member's
    /// metadata is not a subscription. For groups of type `consumer` only: nobody else's metadata has this form.
    pub(super) fn each_subscribed_topic(&self, mut each: impl FnMut(&str)) -> Option<()> {
        let protocol = self.protocols.chosen.as_deref()?;
        self.members.values().try_for_each(|member| assign::each_topic(&member.metadata(protocol), &mut each))
    }

    /// When the group entered its state; `None` for records older than that field.
    pub(super) fn state_since(&self) -> Option<TimestampMs> {
        self.phase.since
    }

    /// No members, nobody on the way in: what is left is offsets, if any.
    pub(super) fn is_vacant(&self) -> bool {
        self.phase.state == GroupState::Empty && self.members.is_empty() && self.pending.is_empty()
    }

    /// Call `tick` at this time at the latest. May be too early, never too late.
    pub(super) fn wake_by(&self) -> Option<Instant> {
        self.due.wake_by
    }

    /// DescribeGroups: metadata and protocol only of a stable group, as Kafka does.
    pub(super) fn describe(&self) -> GroupDescription {
        let stable = self.phase.state == GroupState::Stable;
        let protocol = self.protocols.chosen.clone().filter(|_| stable).unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| MemberDescription {
            member: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: member.assignment.clone(),
        });
        GroupDescription {
            group: self.id.clone(),
            state: self.phase.state,
            protocol_type: self.protocols.kind.clone().unwrap_or_default(),
            members: members.collect(),
            protocol,
        }
    }

    /// Kafka's `validateMember`: the instance id must still be this member's (KIP-345).
    fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(self.unknown(member)),
                Some(current) if current != member => {
                    return Err(GroupError::FencedInstance { instance: instance.to_owned() });
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(self.unknown(member)) }
    }

    fn check_generation(&self, asked: Generation) -> Result<(), GroupError> {
        if asked == self.generation {
            return Ok(());
        }
        Err(GroupError::IllegalGeneration { group: self.id.clone(), asked, current: self.generation })
    }

    fn unknown(&self, member: &str) -> GroupError {
        GroupError::UnknownMember { group: self.id.clone(), member: member.to_owned() }
    }

    fn rebalancing(&self) -> GroupError {
        GroupError::RebalanceInProgress { group: self.id.clone() }
    }

    fn enter(&mut self, state: GroupState, now: Now) {
        self.phase.previous = std::mem::replace(&mut self.phase.state, state);
        self.phase.since = Some(now.wall);
    }

    fn wake(&mut self, at: Instant) {
        self.due.wake_by = Some(self.due.wake_by.map_or(at, |earlier| earlier.min(at)));
    }

    /// The member's session begins again.
    fn beat(&mut self, member: &str, now: Now) {
        if let Some(found) = self.members.get_mut(member) {
            let at = deadline(now, found.session_timeout);
            found.deadline = Some(at);
            self.wake(at);
        }
    }

    fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    fn count_protocols(&mut self, protocols: &[(String, Bytes)], add: bool) {
        // A name that a client lists twice counts once.
        for name in protocols.iter().map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>() {
            let count = self.protocols.supported.entry(name.to_owned()).or_default();
            if add {
                *count += 1;
            } else if *count > 1 {
                *count -= 1;
            } else {
                self.protocols.supported.remove(name);
            }
        }
    }

    fn insert(&mut self, id: String, member: Member) {
        self.members_bytes += member.record_bytes(&id);
        self.members.insert(id, member);
    }

    fn take_out(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.members_bytes -= member.record_bytes(id);
        Some(member)
    }

    /// The member offers other protocols from now on; returns those from before.
    fn exchange_protocols(&mut self, id: &str, new: &[(String, Bytes)]) -> Vec<(String, Bytes)> {
        let Some(member) = self.members.get_mut(id) else { return Vec::new() };
        let bytes_before = member.record_bytes(id);
        let before = std::mem::replace(&mut member.protocols, new.to_vec());
        self.members_bytes = self.members_bytes - bytes_before + member.record_bytes(id);
        self.count_protocols(&before, false);
        self.count_protocols(new, true);
        before
    }

    /// A member's waiting join ends.
    fn answer_join(&mut self, member: &str, answer: Result<JoinAnswer, GroupError>, out: &mut Vec<Effect>) {
        if let Some(waiting) = self.members.get_mut(member).and_then(|found| found.join.take()) {
            self.joining -= 1;
            out.push(Effect::AnswerJoin(waiting, answer));
        }
    }

    /// A member's waiting sync ends; whether there was one.
    fn answer_sync(&mut self, member: &str, answer: Result<SyncAnswer, GroupError>, out: &mut Vec<Effect>) -> bool {
        let Some(waiting) = self.members.get_mut(member).and_then(|found| found.sync.take()) else { return false };
        out.push(Effect::AnswerSync(waiting, answer));
        true
    }

    /// Ends every wait with this error, for a broker that stops.
    pub(super) fn give_up(&mut self, error: &GroupError) -> Vec<Effect> {
        let mut out = Vec::new();
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.answer_join(&id, Err(error.clone()), &mut out);
            self.answer_sync(&id, Err(error.clone()), &mut out);
        }
        out
    }
}

/// The end of a time-out that begins now. The only way to a deadline in a group: never the same instant, so that what a
/// tick sets is not due in that tick.
fn deadline(now: Now, timeout: Duration) -> Instant {
    now.mono + timeout.max(limits::GROUP_DEADLINE_MIN)
}

/// A member's rebalance time-out, as the group counts with it.
fn at_least_the_floor(rebalance_timeout: Duration) -> Duration {
    rebalance_timeout.max(limits::GROUP_REBALANCE_TIMEOUT_MIN)
}

/// What a member that is read from the log costs.
fn stored_bytes(member: &StoredMember) -> usize {
    let texts = [&member.member, &member.client_id, &member.client_host].map(String::len).iter().sum::<usize>();
    let texts = texts + member.instance.as_ref().map_or(0, String::len);
    payer::stored_member_bytes(texts, member.subscription.len() + member.assignment.len())
}

const _: () =
    assert!(size_of::<Member>() + 128 <= payer::MEMBER_BYTES && size_of::<Promise>() + 96 <= payer::PROMISE_BYTES);

/// Numbers and lengths of one member in the group's record (GroupMetadataValue v3), and some.
const MEMBER_RECORD_BYTES: usize = 32;

/// What a member's metadata takes in the group's record, whichever protocol is chosen.
fn metadata_bytes(protocols: &[(String, Bytes)]) -> usize {
    protocols.iter().map(|(_, metadata)| metadata.len()).max().unwrap_or(0)
}

impl Member {
    /// What it takes in the group's record, but for its assignment.
    fn record_bytes(&self, id: &str) -> usize {
        let texts = id.len() + self.client_id.len() + self.client_host.len();
        MEMBER_RECORD_BYTES + texts + self.instance.as_ref().map_or(0, String::len) + metadata_bytes(&self.protocols)
    }

    /// What it sent for a protocol; empty for one it does not have.
    fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map_or_else(Bytes::new, |(_, bytes)| bytes.clone())
    }
}
