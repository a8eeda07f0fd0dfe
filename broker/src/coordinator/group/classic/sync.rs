//! SyncGroup, Heartbeat and who may commit: what members do between two join phases, and what follows when a group's
//! record is durable or has failed.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ClassicGroup, Effect, GroupError, GroupState, JoinAnswer, Now, Replaced, RequestId, SyncAnswer, Then};
use crate::coordinator::group::payer::{self, Payer};
use crate::coordinator::group::requests::{Membership, SyncRequest};
use crate::ids::Generation;
use crate::memory::StatePermit;

impl ClassicGroup {
    /// A sync. Followers wait for the leader; in a stable group everybody gets what it has.
    pub(in super::super) fn sync(
        &mut self,
        request: &SyncRequest,
        waiting: RequestId,
        payer: &Payer,
        now: Now,
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        match self.check_sync(request) {
            Ok(()) if self.phase.state == GroupState::Stable => {
                self.synced(&request.member);
                let answer = self.sync_answer(&request.member);
                out.push(Effect::AnswerSync(waiting, Ok(answer)));
            }
            Ok(()) => self.await_assignment(request, waiting, payer, now, &mut out),
            Err(error) => out.push(Effect::AnswerSync(waiting, Err(error))),
        }
        out
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        if matches!(self.phase.state, GroupState::Empty | GroupState::Dead) {
            return Err(self.unknown(&request.member));
        }
        self.check_member(&request.member, request.instance.as_deref())?;
        self.check_generation(request.generation)?;
        let differs =
            |theirs: &Option<String>, ours: &Option<String>| theirs.is_some() && ours.is_some() && theirs != ours;
        if differs(&request.protocol_type, &self.protocols.kind) || differs(&request.protocol, &self.protocols.chosen) {
            return Err(GroupError::InconsistentProtocol { group: self.id.clone() });
        }
        if self.phase.state == GroupState::PreparingRebalance {
            return Err(self.rebalancing());
        }
        Ok(())
    }

    fn await_assignment(
        &mut self,
        request: &SyncRequest,
        waiting: RequestId,
        payer: &Payer,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let id = &request.member;
        // A second sync of one member: its client has given the first up.
        self.answer_sync(id, Err(self.rebalancing()), out);
        if let Some(member) = self.members.get_mut(id) {
            member.sync = Some(waiting);
        }
        self.synced(id);
        if !self.is_leader(id) || self.assigned.storing == Some(self.generation) {
            return;
        }
        let given: BTreeMap<&str, &Bytes> = request.assignments.iter().map(|(id, part)| (id.as_str(), part)).collect();
        // Members that the leader left out get nothing; strangers it named are ignored.
        let part = |id: &str| given.get(id).map_or_else(Bytes::new, |part| (*part).clone());
        let assignments: BTreeMap<String, Bytes> = self.members.keys().map(|id| (id.clone(), part(id))).collect();
        let paid = match payer.hold(payer::assignment_bytes(assignments.iter())) {
            Ok(paid) => paid,
            // As when it cannot be stored: the members try again, and the leader has been told why.
            Err(refused) => {
                self.fail_sync(&refused.into(), now, out);
                return self.prepare_rebalance(now, out);
            }
        };
        let stored = self.metadata(&|id, _| part(id));
        self.assigned.storing = Some(self.generation);
        out.push(Effect::Store(stored, Then::Adopt { generation: self.generation, assignments, paid }));
    }

    fn synced(&mut self, member: &str) {
        self.pending_sync.remove(member);
        if self.pending_sync.is_empty() {
            self.due.sync = None;
        }
    }

    fn sync_answer(&self, member: &str) -> SyncAnswer {
        SyncAnswer {
            protocol_type: self.protocols.kind.clone().unwrap_or_default(),
            protocol: self.protocols.chosen.clone().unwrap_or_default(),
            assignment: self.members.get(member).map_or_else(Bytes::new, |found| found.assignment.clone()),
        }
    }

    /// The record of a `Store` effect is durable, or could not be made so.
    pub(in super::super) fn stored(&mut self, then: Then, outcome: Result<(), GroupError>, now: Now) -> Vec<Effect> {
        let mut out = Vec::new();
        match then {
            // If it failed, the generation before is what a restart finds; their sessions will have ended by then.
            Then::Nothing => {}
            Then::Adopt { generation, assignments, paid } => {
                self.adopt(generation, (assignments, paid), outcome, now, &mut out);
            }
            Then::Replaced(change) => self.replaced(*change, outcome, now, &mut out),
        }
        out
    }

    fn adopt(
        &mut self,
        generation: Generation,
        (mut assignments, paid): (BTreeMap<String, Bytes>, StatePermit),
        outcome: Result<(), GroupError>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        if self.assigned.storing == Some(generation) {
            self.assigned.storing = None;
        }
        // Somebody joined or left meanwhile: the next generation gets an assignment of its own.
        if self.phase.state != GroupState::CompletingRebalance || generation != self.generation {
            return;
        }
        if let Err(error) = outcome {
            self.fail_sync(&error, now, out);
            self.prepare_rebalance(now, out);
            return;
        }
        self.enter(GroupState::Stable, now);
        self.assigned.paid = Some(paid);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignments.remove(&id).unwrap_or_default();
            }
            let answer = self.sync_answer(&id);
            if self.answer_sync(&id, Ok(answer), out) {
                self.beat(&id, now);
            }
        }
    }

    /// All who wait for an assignment get this instead, and no assignment is left.
    pub(super) fn fail_sync(&mut self, error: &GroupError, now: Now, out: &mut Vec<Effect>) {
        self.assigned.paid = None;
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = Bytes::new();
            }
            if self.answer_sync(&id, Err(error.clone()), out) {
                self.beat(&id, now);
            }
        }
    }

    fn replaced(&mut self, change: Replaced, outcome: Result<(), GroupError>, now: Now, out: &mut Vec<Effect>) {
        // Replaced once more, or removed, before the record was durable: that has answered it.
        if self.statics.get(&change.instance) != Some(&change.new) {
            return;
        }
        if let Err(error) = outcome {
            self.answer_join(&change.new, Err(error), out);
            if self.rename_static(&change.new, &change.old, out).is_some() {
                let old = change.old.clone();
                self.restore_member(change);
                self.beat(&old, now);
            }
            return;
        }
        // A rebalance that began meanwhile answers the join when it ends.
        if self.phase.state != GroupState::Stable {
            return;
        }
        let answer = self.join_answer(&change.new);
        let answer = if change.supports_skip_assignment {
            JoinAnswer { skip_assignment: self.is_leader(&change.new), ..answer }
        } else {
            // Older clients cannot skip: an answer that names the old leader makes them followers (KIP-345).
            JoinAnswer { members: Vec::new(), leader: change.old_leader.unwrap_or_default(), ..answer }
        };
        self.answer_join(&change.new, Ok(answer), out);
        self.beat(&change.new, now);
    }

    fn restore_member(&mut self, change: Replaced) {
        let Some(member) = self.members.get_mut(&change.old) else { return };
        member.rebalance_timeout = change.old_rebalance_timeout;
        member.session_timeout = change.old_session_timeout;
        member.paid = change.old_paid;
        self.exchange_protocols(&change.old, &change.old_protocols);
    }

    /// Heartbeat: the session goes on, and the member learns of a rebalance.
    pub(in super::super) fn heartbeat(&mut self, who: &Membership, now: Now) -> Result<(), GroupError> {
        self.check_member(&who.member, who.instance.as_deref())?;
        self.check_generation(who.generation.unwrap_or(Generation(-1)))?;
        match self.phase.state {
            GroupState::Empty | GroupState::Dead => Err(self.unknown(&who.member)),
            GroupState::PreparingRebalance => {
                self.beat(&who.member, now);
                Err(self.rebalancing())
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.beat(&who.member, now);
                Ok(())
            }
        }
    }

    /// Kafka's `validateOffsetCommit`. A commit keeps the session alive.
    pub(in super::super) fn check_commit(&mut self, who: &Membership, now: Now) -> Result<(), GroupError> {
        if who.generation.is_none() && self.phase.state == GroupState::Empty {
            return Ok(());
        }
        let named = who.generation.is_some() || !who.member.is_empty() || who.instance.is_some();
        if !named {
            return Err(self.unknown(&who.member));
        }
        self.check_member(&who.member, who.instance.as_deref())?;
        self.check_generation(who.generation.unwrap_or(Generation(-1)))?;
        if self.phase.state == GroupState::CompletingRebalance {
            return Err(self.rebalancing());
        }
        self.beat(&who.member, now);
        Ok(())
    }
}
