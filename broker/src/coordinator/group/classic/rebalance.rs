//! The join phase: it begins (`prepare_rebalance`), waits for everybody, and ends with a generation, a protocol by vote
//! and a leader (`complete_join`). Also the removal of members, which both sides of it need.

use std::time::Duration;

use bytes::Bytes;

use super::{ClassicGroup, Effect, GroupError, GroupState, JoinAnswer, JoinDeadline, Member, Now, Then, deadline};
use crate::ids::Generation;

/// A static member before its change of id: instance, protocols, rebalance and session time-out.
pub(super) type Before = (String, Vec<(String, Bytes)>, Duration, Duration);

impl ClassicGroup {
    pub(super) fn rebalance_or_complete(&mut self, now: Now, out: &mut Vec<Effect>) {
        match self.phase.state {
            GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare_rebalance(now, out);
            }
            GroupState::PreparingRebalance => self.complete_if_all_joined(now, out),
            GroupState::Dead => {}
        }
    }

    /// Kafka's `maybeCompleteJoinPhase`: a first rebalance always waits for its delay.
    pub(super) fn complete_if_all_joined(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.phase.state == GroupState::PreparingRebalance
            && self.phase.previous != GroupState::Empty
            && self.all_joined()
        {
            self.complete_join(now, out);
        }
    }

    pub(super) fn all_joined(&self) -> bool {
        self.members.len() == self.joining && self.pending.is_empty()
    }

    pub(super) fn prepare_rebalance(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.phase.state == GroupState::CompletingRebalance {
            self.fail_sync(&self.rebalancing(), now, out);
        }
        self.pending_sync.clear();
        self.due.sync = None;
        let first = self.phase.state == GroupState::Empty;
        self.enter(GroupState::PreparingRebalance, now);
        if first {
            self.new_member_added = false;
            let delay = self.rules.initial_delay;
            if delay.is_zero() {
                self.complete_join(now, out);
            } else {
                let remaining = self.rebalance_timeout().saturating_sub(delay);
                self.await_joins(now, delay, Some((delay, remaining)));
            }
        } else if self.all_joined() {
            self.complete_join(now, out);
        } else {
            self.await_joins(now, self.rebalance_timeout(), None);
        }
    }

    fn await_joins(&mut self, now: Now, wait: Duration, initial: Option<(Duration, Duration)>) {
        let at = deadline(now, wait);
        self.due.join = Some(JoinDeadline { at, initial });
        self.wake(at);
    }

    /// The join phase's time is over; a first rebalance waits on while members keep coming.
    pub(super) fn join_time_over(&mut self, deadline: JoinDeadline, now: Now, out: &mut Vec<Effect>) {
        if self.phase.state != GroupState::PreparingRebalance {
            return;
        }
        match deadline.initial {
            Some((delay, remaining)) if self.new_member_added && !remaining.is_zero() => {
                self.new_member_added = false;
                let next = self.rules.initial_delay.min(remaining);
                self.await_joins(now, next, Some((next, remaining.saturating_sub(delay))));
            }
            _ => self.complete_join(now, out),
        }
    }

    /// Ends the join phase: dynamic members who did not come back are out, the others have a new generation.
    pub(super) fn complete_join(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.due.join = None;
        let late = |member: &Member| member.join.is_none() && member.instance.is_none();
        let gone: Vec<String> =
            self.members.iter().filter(|(_, member)| late(member)).map(|(id, _)| id.clone()).collect();
        for id in &gone {
            self.remove(id, out);
        }
        if !self.elect_leader() && !self.members.is_empty() {
            // Only static members are left and none has joined: wait until their sessions end.
            self.await_joins(now, self.rebalance_timeout(), None);
            return;
        }
        self.generation = Generation(self.generation.0.checked_add(1).unwrap_or(1));
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.protocols.chosen = None;
            self.assigned.paid = None;
            self.enter(GroupState::Empty, now);
            out.push(Effect::Store(self.metadata(&|_, _| Bytes::new()), Then::Nothing));
            return;
        }
        self.protocols.chosen = Some(self.vote());
        self.enter(GroupState::CompletingRebalance, now);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let answer = self.join_answer(&id);
            self.answer_join(&id, Ok(answer), out);
            self.beat(&id, now);
            if let Some(member) = self.members.get_mut(&id) {
                member.new = false;
            }
            self.pending_sync.insert(id);
        }
        let at = deadline(now, self.rebalance_timeout());
        self.due.sync = Some(at);
        self.wake(at);
    }

    /// The leader stays if it has joined; else the first of those who have. A member inside of the broker yields to one from
    /// outside: it assigns by range only, and the clients may have agreed on another assignor. `false`: nobody has joined.
    fn elect_leader(&mut self) -> bool {
        let joined = |id: &String| self.members.get(id).is_some_and(|member| member.join.is_some());
        let outside = |id: &String| joined(id) && self.members.get(id).is_some_and(|member| !member.in_process);
        let candidates = || self.leader.iter().chain(self.members.keys());
        let Some(next) = candidates().find(|id| outside(id)).or_else(|| candidates().find(|id| joined(id))) else {
            return false;
        };
        let next = next.clone();
        self.leader = Some(next);
        true
    }

    /// Each member votes for the first of its protocols that is everybody's. The leader's order decides a draw.
    pub(super) fn vote(&self) -> String {
        let common = |name: &str| self.protocols.supported.get(name).copied().unwrap_or(0) == self.members.len();
        let mut votes: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| common(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let order = self.leader.as_ref().and_then(|id| self.members.get(id)).map_or(&[][..], |m| &m.protocols);
        let mut best: Option<(&str, usize)> = None;
        for (name, _) in order {
            let count = votes.get(name.as_str()).copied().unwrap_or(0);
            if count > best.map_or(0, |(_, most)| most) {
                best = Some((name, count));
            }
        }
        best.map_or_else(String::new, |(name, _)| name.to_owned())
    }

    /// The longest that any member asks for.
    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// What a member learns of the current generation; the leader learns of everybody.
    pub(super) fn join_answer(&self, id: &str) -> JoinAnswer {
        let protocol = self.protocols.chosen.clone().unwrap_or_default();
        let everybody = || self.members.iter().map(|(id, m)| (id.clone(), m.instance.clone(), m.metadata(&protocol)));
        JoinAnswer {
            generation: self.generation,
            protocol_type: self.protocols.kind.clone().unwrap_or_default(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member: id.to_owned(),
            members: if self.is_leader(id) { everybody().collect() } else { Vec::new() },
            protocol,
        }
    }

    /// Removes a member (or a promised id). Whatever it waits for ends: its client may still be there and try again.
    pub(super) fn remove(&mut self, id: &str, out: &mut Vec<Effect>) {
        self.answer_join(id, Err(self.unknown(id)), out);
        self.answer_sync(id, Err(self.unknown(id)), out);
        if let Some(member) = self.take_out(id) {
            self.count_protocols(&member.protocols, false);
            if let Some(instance) = member.instance {
                self.statics.remove(&instance);
            }
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending.remove(id);
        self.pending_sync.remove(id);
    }

    /// Kafka's `replaceStaticMember`: the same member under another id; whoever waits under the old one is fenced.
    pub(super) fn rename_static(&mut self, old: &str, new: &str, out: &mut Vec<Effect>) -> Option<Before> {
        let instance = self.members.get(old)?.instance.clone()?;
        let fenced = GroupError::FencedInstance { instance: instance.clone() };
        self.answer_join(old, Err(fenced.clone()), out);
        self.answer_sync(old, Err(fenced), out);
        let mut member = self.take_out(old)?;
        member.new = false;
        let before = (instance.clone(), member.protocols.clone(), member.rebalance_timeout, member.session_timeout);
        self.insert(new.to_owned(), member);
        if self.is_leader(old) {
            self.leader = Some(new.to_owned());
        }
        if self.pending_sync.remove(old) {
            self.pending_sync.insert(new.to_owned());
        }
        self.statics.insert(instance, new.to_owned());
        Some(before)
    }
}
