//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup as commands of a shard. A join or sync that has to wait gets its answer
//! through a channel, when a later command gives it; the classic group gives it only once what it says is durable.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::classic::RequestId;
use super::error::GroupError;
use super::machine::GroupMachine;
use super::payer::Payer;
use super::requests::{JoinAnswer, JoinRequest, LeavingMember, Membership, SyncAnswer, SyncRequest};
use crate::coordinator::machine::{Now, Outcome, Plan};

/// Where the answer to a waiting request arrives.
pub(super) type Waiting<A> = oneshot::Receiver<Result<A, GroupError>>;

type Command<A> = Outcome<GroupMachine, Result<A, GroupError>>;

impl GroupMachine {
    /// `unique` makes a new member's id one that no other has.
    pub(super) fn join(&mut self, request: &JoinRequest, unique: &str, now: Now) -> Command<Waiting<JoinAnswer>> {
        let mut plan = Plan::nothing();
        let answer = self.try_join(request, unique, now, &mut plan);
        Outcome::of_own_state(answer, plan)
    }

    fn try_join(
        &mut self,
        request: &JoinRequest,
        unique: &str,
        now: Now,
        plan: &mut Plan<GroupMachine>,
    ) -> Result<Waiting<JoinAnswer>, GroupError> {
        self.check_running()?;
        let payer = Payer::new(&self.setting.state, &request.owner);
        let absent = || unknown(&request.group, request.member.as_deref().unwrap_or(""));
        let id = match self.find(&request.group) {
            Some(id) => id,
            None if request.member.is_none() => self.find_or_create(&request.group, &payer, now)?,
            None => return Err(absent()),
        };
        let waiting = RequestId(self.next_number());
        let (sender, answer) = oneshot::channel();
        let group = self.groups.get_mut(&id).ok_or_else(absent)?;
        group.joins.insert(waiting, sender);
        let effects = group.classic.join(request, unique, waiting, &payer, now);
        self.take(&id, effects, plan);
        self.settle(&id, plan);
        Ok(answer)
    }

    pub(super) fn sync(&mut self, request: &SyncRequest, now: Now) -> Command<Waiting<SyncAnswer>> {
        let mut plan = Plan::nothing();
        let answer = self.try_sync(request, now, &mut plan);
        Outcome::of_own_state(answer, plan)
    }

    fn try_sync(
        &mut self,
        request: &SyncRequest,
        now: Now,
        plan: &mut Plan<GroupMachine>,
    ) -> Result<Waiting<SyncAnswer>, GroupError> {
        self.check_running()?;
        let payer = Payer::new(&self.setting.state, &request.owner);
        let absent = || unknown(&request.group, &request.member);
        let id = self.find(&request.group).ok_or_else(absent)?;
        let waiting = RequestId(self.next_number());
        let (sender, answer) = oneshot::channel();
        let group = self.groups.get_mut(&id).ok_or_else(absent)?;
        group.syncs.insert(waiting, sender);
        let effects = group.classic.sync(request, waiting, &payer, now);
        self.take(&id, effects, plan);
        self.settle(&id, plan);
        Ok(answer)
    }

    pub(super) fn heartbeat(&mut self, group: &str, who: &Membership, now: Now) -> Command<()> {
        let mut plan = Plan::nothing();
        let answer = match self.member_group(group) {
            Some((id, found)) => {
                let beaten = found.heartbeat(who, now);
                self.settle(&id, &mut plan);
                beaten
            }
            None => Err(unknown(group, &who.member)),
        };
        Outcome::of_own_state(answer, plan)
    }

    /// One outcome a member, in order. They reveal the record of a group that has become empty, so they wait for it. The
    /// members are out whether or not the log takes the record: their retry would find them unknown.
    pub(super) fn leave(
        &mut self,
        group: &str,
        members: &[LeavingMember],
        now: Now,
    ) -> Outcome<GroupMachine, Vec<Result<(), GroupError>>> {
        let mut plan = Plan::nothing();
        let Some((id, found)) = self.member_group(group) else {
            let strangers = members.iter().map(|leaving| Err(unknown(group, &leaving.member))).collect();
            return Outcome::new(strangers, plan);
        };
        let (outcomes, effects) = found.leave(members, now);
        self.take(&id, effects, &mut plan);
        self.settle(&id, &mut plan);
        Outcome::new(outcomes, plan).standing()
    }

    fn member_group(&mut self, group: &str) -> Option<(Arc<str>, &mut super::classic::ClassicGroup)> {
        let id = self.find(group)?;
        let found = self.groups.get_mut(&id)?;
        Some((id, &mut found.classic))
    }
}

pub(super) fn unknown(group: &str, member: &str) -> GroupError {
    GroupError::UnknownMember { group: group.to_owned(), member: member.to_owned() }
}
