//! How members go: by LeaveGroup, and by time: sessions, promised ids, join and sync phases that end without them.

use super::{ClassicGroup, Effect, GroupError, GroupState, Now, Promise};
use crate::coordinator::group::requests::LeavingMember;

impl ClassicGroup {
    /// LeaveGroup for several members: one outcome each, and at most one rebalance.
    pub(in super::super) fn leave(
        &mut self,
        members: &[LeavingMember],
        now: Now,
    ) -> (Vec<Result<(), GroupError>>, Vec<Effect>) {
        let mut out = Vec::new();
        let outcomes: Vec<_> = members.iter().map(|leaving| self.leave_one(leaving, &mut out)).collect();
        if outcomes.iter().any(Result::is_ok) {
            match self.phase.state {
                GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(now, &mut out),
                GroupState::PreparingRebalance => self.complete_if_all_joined(now, &mut out),
                GroupState::Empty | GroupState::Dead => {}
            }
        }
        (outcomes, out)
    }

    fn leave_one(&mut self, leaving: &LeavingMember, out: &mut Vec<Effect>) -> Result<(), GroupError> {
        if leaving.member.is_empty() {
            // An administrator removes a static member by its name (KIP-345).
            let current = leaving.instance.as_ref().and_then(|instance| self.statics.get(instance)).cloned();
            let id = current.ok_or_else(|| self.unknown(""))?;
            self.remove(&id, out);
            return Ok(());
        }
        if !self.pending.contains_key(&leaving.member) {
            self.check_member(&leaving.member, leaving.instance.as_deref())?;
        }
        self.remove(&leaving.member, out);
        Ok(())
    }

    /// Whatever is due at `now`. Call it at `wake_by` at the latest.
    pub(in super::super) fn tick(&mut self, now: Now) -> Vec<Effect> {
        let mut out = Vec::new();
        self.expire_promises(now, &mut out);
        self.expire_sessions(now, &mut out);
        if let Some(deadline) = self.due.join.filter(|deadline| deadline.at <= now.mono) {
            self.due.join = None;
            self.join_time_over(deadline, now, &mut out);
        }
        if self.due.sync.is_some_and(|at| at <= now.mono) {
            self.due.sync = None;
            self.sync_time_over(now, &mut out);
        }
        let sessions = self.members.values().filter_map(|member| member.deadline);
        let phases = self.due.join.map(|deadline| deadline.at).into_iter().chain(self.due.sync);
        self.due.wake_by = sessions.chain(phases).chain(self.pending.values().map(|promise| promise.until)).min();
        out
    }

    fn expire_promises(&mut self, now: Now, out: &mut Vec<Effect>) {
        let due = |(id, promise): (&String, &Promise)| (promise.until <= now.mono).then(|| id.clone());
        let lapsed: Vec<String> = self.pending.iter().filter_map(due).collect();
        for id in &lapsed {
            self.remove(id, out);
        }
        if !lapsed.is_empty() && self.phase.state == GroupState::PreparingRebalance && self.all_joined() {
            self.complete_join(now, out);
        }
    }

    fn expire_sessions(&mut self, now: Now, out: &mut Vec<Effect>) {
        let mut expired = Vec::new();
        for (id, member) in &mut self.members {
            if member.deadline.is_some_and(|at| at <= now.mono) {
                member.deadline = None;
                // Who waits for an answer is alive, unless it is new: its client may have gone away.
                if member.new || (member.join.is_none() && member.sync.is_none()) {
                    expired.push(id.clone());
                }
            }
        }
        if expired.is_empty() {
            return;
        }
        for id in &expired {
            self.remove(id, out);
        }
        match self.phase.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(now, out),
            GroupState::PreparingRebalance if self.all_joined() => self.complete_join(now, out),
            _ => {}
        }
    }

    /// The join phase gave everybody an answer, and some never came back for their assignment.
    fn sync_time_over(&mut self, now: Now, out: &mut Vec<Effect>) {
        let assigning = matches!(self.phase.state, GroupState::CompletingRebalance | GroupState::Stable);
        if !assigning || self.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            self.remove(&id, out);
        }
        self.prepare_rebalance(now, out);
    }
}
