//! JoinGroup: who may come in, under which id, and whether that begins a rebalance. The waiting itself ends in `rebalance`.

use bytes::Bytes;

use super::{
    ClassicGroup, Effect, GroupError, GroupState, JoinAnswer, MEMBER_RECORD_BYTES, Member, Now, Promise, Replaced,
    RequestId, Then, at_least_the_floor, deadline, metadata_bytes,
};
use crate::coordinator::group::payer::{self, Payer};
use crate::coordinator::group::requests::JoinRequest;
use crate::limits;
use crate::memory::StatePermit;

impl ClassicGroup {
    /// A join. `unique` makes a new member's id one that no other has (a UUID). An effect answers it, now or
    /// by a later event.
    pub(in super::super) fn join(
        &mut self,
        request: &JoinRequest,
        unique: &str,
        waiting: RequestId,
        payer: &Payer,
        now: Now,
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        if let Err(error) = self.try_join(request, unique, waiting, payer, now, &mut out) {
            out.push(Effect::AnswerJoin(waiting, Err(error)));
        }
        out
    }

    fn try_join(
        &mut self,
        request: &JoinRequest,
        unique: &str,
        waiting: RequestId,
        payer: &Payer,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        self.check_session(request)?;
        if !self.accepts(request.member.as_deref()) {
            if let Some(member) = &request.member {
                self.remove(member, out);
            }
            return Err(self.full());
        }
        if !self.supports(request) {
            return Err(GroupError::InconsistentProtocol { group: self.id.clone() });
        }
        self.check_bytes(request)?;
        match (&request.member, &request.instance) {
            (None, Some(instance)) => {
                let id = format!("{instance}-{unique}");
                match self.statics.get(instance).cloned() {
                    Some(old) => {
                        let paid = payer.hold(payer::member_bytes(&id, request))?;
                        self.replace_static(request, (&old, &id), waiting, paid, now, out);
                    }
                    None => self.add(request, id, waiting, payer, now, out)?,
                }
            }
            (None, None) => {
                let id = format!("{}-{unique}", request.client_id);
                if request.require_known_member {
                    return Err(self.promise(id, request, payer, now));
                }
                self.add(request, id, waiting, payer, now, out)?;
            }
            (Some(id), None) if self.pending.contains_key(id) => {
                self.add(request, id.clone(), waiting, payer, now, out)?;
            }
            (Some(id), instance) => {
                self.check_member(id, instance.as_deref())?;
                return self.rejoin(request, id, waiting, payer, now, out);
            }
        }
        Ok(())
    }

    fn check_session(&self, request: &JoinRequest) -> Result<(), GroupError> {
        let (min, max) = (self.rules.session_min, self.rules.session_max);
        if (min..=max).contains(&request.session_timeout) {
            return Ok(());
        }
        let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Err(GroupError::InvalidSessionTimeout {
            asked_ms: ms(request.session_timeout),
            min_ms: ms(min),
            max_ms: ms(max),
        })
    }

    /// Kafka's `acceptJoiningMember`: in a rebalance those who wait count, so that the last to come back are the ones
    /// turned away when the limit was lowered.
    fn accepts(&self, member: Option<&str>) -> bool {
        let known = member.and_then(|id| self.members.get(id));
        match self.phase.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                known.is_some_and(|found| found.join.is_some()) || self.joining < self.rules.members_max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                known.is_some() || self.members.len() < self.rules.members_max
            }
        }
    }

    /// The group's next record can be written, whichever protocol is chosen.
    fn check_bytes(&self, request: &JoinRequest) -> Result<(), GroupError> {
        let instance = request.instance.as_deref();
        let known = request.member.as_deref().or_else(|| self.statics.get(instance?).map(String::as_str));
        let before = known.and_then(|id| Some(self.members.get(id)?.record_bytes(id))).unwrap_or(0);
        // A new id is made of the client's or the instance's name and a UUID.
        let id = request.member.as_ref().or(request.instance.as_ref()).unwrap_or(&request.client_id);
        let texts = id.len() + 64 + request.client_id.len() + request.client_host.len() + instance.map_or(0, str::len);
        let after = MEMBER_RECORD_BYTES + texts + metadata_bytes(&request.protocols);
        let limit = limits::GROUP_MEMBERS_BYTES_MAX;
        if self.members_bytes - before + after <= limit {
            return Ok(());
        }
        Err(GroupError::MembersTooLarge { group: self.id.clone(), limit })
    }

    fn full(&self) -> GroupError {
        GroupError::Full { group: self.id.clone(), limit: self.rules.members_max }
    }

    /// One protocol at least is everybody's, so a vote always has a winner.
    fn supports(&self, request: &JoinRequest) -> bool {
        if self.phase.state == GroupState::Empty {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        let everybodys = |name: &str| self.protocols.supported.get(name).copied().unwrap_or(0) == self.members.len();
        self.protocols.kind.as_deref() == Some(request.protocol_type.as_str())
            && request.protocols.iter().any(|(name, _)| everybodys(name))
    }

    /// KIP-394: an id first, so that a client whose answer is lost does not leave a member behind with every try.
    fn promise(&mut self, id: String, request: &JoinRequest, payer: &Payer, now: Now) -> GroupError {
        if self.pending.len() >= self.rules.members_max {
            return self.full();
        }
        let paid = match payer.hold(payer::promise_bytes(&id)) {
            Ok(paid) => paid,
            Err(refused) => return refused.into(),
        };
        let until = deadline(now, request.session_timeout);
        self.pending.insert(id.clone(), Promise { until, _paid: paid });
        self.wake(until);
        GroupError::MemberIdRequired { member: id }
    }

    fn add(
        &mut self,
        request: &JoinRequest,
        id: String,
        waiting: RequestId,
        payer: &Payer,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let paid = payer.hold(payer::member_bytes(&id, request))?;
        if self.phase.state == GroupState::PreparingRebalance && self.phase.previous == GroupState::Empty {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocols.kind = Some(request.protocol_type.clone());
        }
        // A new member cannot send heartbeats before it has its id, and a client that went away looks like one
        // that waits: it gets this long instead of its session.
        let at = deadline(now, limits::GROUP_NEW_MEMBER_JOIN_MAX);
        self.wake(at);
        self.pending.remove(&id);
        if let Some(instance) = &request.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.count_protocols(&request.protocols, true);
        self.leader.get_or_insert_with(|| id.clone());
        self.joining += 1;
        let member = Member {
            instance: request.instance.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            rebalance_timeout: at_least_the_floor(request.rebalance_timeout),
            session_timeout: request.session_timeout,
            in_process: request.in_process,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            join: Some(waiting),
            sync: None,
            new: true,
            deadline: Some(at),
            paid,
        };
        self.insert(id, member);
        self.rebalance_or_complete(now, out);
        Ok(())
    }

    /// A known member joins again: news of its own, or an answer it did not get.
    fn rejoin(
        &mut self,
        request: &JoinRequest,
        id: &str,
        waiting: RequestId,
        payer: &Payer,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let unchanged = self.members.get(id).is_some_and(|member| member.protocols == request.protocols);
        match self.phase.state {
            GroupState::PreparingRebalance => {}
            // The answer to its join was lost, so it gets it once more.
            GroupState::CompletingRebalance if unchanged => {
                out.push(Effect::AnswerJoin(waiting, Ok(self.join_answer(id))));
                return Ok(());
            }
            // A leader that joins again wants a new assignment: of new topic metadata, say.
            GroupState::Stable if unchanged && !self.is_leader(id) => {
                let answer = JoinAnswer { members: Vec::new(), ..self.join_answer(id) };
                out.push(Effect::AnswerJoin(waiting, Ok(answer)));
                return Ok(());
            }
            GroupState::CompletingRebalance | GroupState::Stable => {}
            GroupState::Empty | GroupState::Dead => return Err(self.unknown(id)),
        }
        if let Some(member) = self.members.get_mut(id) {
            payer.exchange(&mut member.paid, payer::member_bytes(id, request))?;
        }
        self.update(id, request, waiting, out);
        self.rebalance_or_complete(now, out);
        Ok(())
    }

    /// Takes over what a join says; a join that waits already is sent away, its client has sent another.
    pub(super) fn update(&mut self, id: &str, request: &JoinRequest, waiting: RequestId, out: &mut Vec<Effect>) {
        self.answer_join(id, Err(self.rebalancing()), out);
        let Some(member) = self.members.get_mut(id) else { return };
        member.rebalance_timeout = at_least_the_floor(request.rebalance_timeout);
        member.session_timeout = request.session_timeout;
        member.in_process = request.in_process;
        member.join = Some(waiting);
        self.joining += 1;
        self.exchange_protocols(id, &request.protocols);
    }

    /// A static member comes back without its id (KIP-345): the old id is fenced; in a stable group whose protocol stays the
    /// same it takes its assignment over without a rebalance.
    fn replace_static(
        &mut self,
        request: &JoinRequest,
        (old, new): (&str, &str),
        waiting: RequestId,
        paid: StatePermit,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let old_leader = self.leader.clone();
        let Some(before) = self.rename_static(old, new, out) else { return };
        let Some(member) = self.members.get_mut(new) else { return };
        let old_paid = std::mem::replace(&mut member.paid, paid);
        let replaced = Replaced {
            instance: before.0,
            old: old.to_owned(),
            new: new.to_owned(),
            old_leader,
            old_protocols: before.1,
            old_rebalance_timeout: before.2,
            old_session_timeout: before.3,
            old_paid,
            supports_skip_assignment: request.supports_skip_assignment,
        };
        self.update(new, request, waiting, out);
        self.beat(new, now);
        match self.phase.state {
            GroupState::Stable if self.protocols.chosen.as_deref() == Some(self.vote().as_str()) => {
                let stored = self.metadata(&|_, member| member.assignment.clone());
                out.push(Effect::Store(stored, Then::Replaced(Box::new(replaced))));
            }
            // The leader may be assigning to the old id: a new round, or the new id would get nothing.
            GroupState::CompletingRebalance | GroupState::Stable => self.prepare_rebalance(now, out),
            _ => self.complete_if_all_joined(now, out),
        }
    }
}
