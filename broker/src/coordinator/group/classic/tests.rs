//! The group's behaviour as lists of events and what they make it do. `Bench` plays the shell: it numbers the requests, keeps
//! the answers, and makes stored records durable when a test says so.

use std::collections::BTreeMap;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::coordinator::group::requests::{JoinRequest, LeavingMember, Membership, SyncRequest};
use crate::memory::{Budget, Owner};

mod rebalancing;
mod restoring;
mod statics;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

pub(super) fn rules(initial_delay: Duration) -> Rules {
    let (session_min, session_max) = (Duration::from_secs(6), Duration::from_secs(1800));
    Rules { initial_delay, session_min, session_max, members_max: 4 }
}

pub(super) struct Bench {
    pub(super) clock: ManualClock,
    pub(super) group: ClassicGroup,
    requests: u64,
    joins: BTreeMap<u64, Result<JoinAnswer, GroupError>>,
    syncs: BTreeMap<u64, Result<SyncAnswer, GroupError>>,
    pub(super) storing: Vec<(GroupMetadata, Then)>,
    pub(super) memory: Budget,
}

impl Bench {
    pub(super) fn new(initial_delay: Duration) -> Bench {
        Bench::with(rules(initial_delay))
    }

    pub(super) fn with(rules: Rules) -> Bench {
        let clock = ManualClock::at(1_000_000);
        let now = Now { mono: clock.monotonic(), wall: clock.wall() };
        Bench::over(clock, ClassicGroup::new("g", rules, now))
    }

    pub(super) fn over(clock: ManualClock, group: ClassicGroup) -> Bench {
        let (joins, syncs, storing) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Bench { clock, group, requests: 0, joins, syncs, storing, memory: Budget::new(1 << 32) }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: self.clock.monotonic(), wall: self.clock.wall() }
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::AnswerJoin(RequestId(at), answer) => {
                    assert!(self.joins.insert(at, answer).is_none(), "a join was answered twice");
                }
                Effect::AnswerSync(RequestId(at), answer) => {
                    assert!(self.syncs.insert(at, answer).is_none(), "a sync was answered twice");
                }
                Effect::Store(metadata, then) => self.storing.push((metadata, then)),
            }
        }
    }

    pub(super) fn join(&mut self, request: &JoinRequest) -> u64 {
        self.requests += 1;
        let at = self.requests;
        let effects =
            self.group.join(request, &format!("u{at}"), RequestId(at), &self.payer(&request.owner), self.now());
        self.take(effects);
        at
    }

    pub(super) fn sync(&mut self, member: &str, generation: i32, parts: &[(&str, &'static str)]) -> u64 {
        self.requests += 1;
        let request = SyncRequest {
            group: "g".into(),
            generation: Generation(generation),
            member: member.into(),
            instance: None,
            protocol_type: None,
            protocol: None,
            owner: Owner::Address([10, 0, 0, 9].into()),
            assignments: parts
                .iter()
                .map(|(id, part)| ((*id).to_owned(), Bytes::from_static(part.as_bytes())))
                .collect(),
        };
        let effects = self.group.sync(&request, RequestId(self.requests), &self.payer(&request.owner), self.now());
        self.take(effects);
        self.requests
    }

    fn payer(&self, owner: &Owner) -> Payer {
        Payer::new(self.memory.state(), owner)
    }

    pub(super) fn beat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        let now = self.now();
        self.group.heartbeat(&member_of(member, generation), now)
    }

    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<Result<(), GroupError>> {
        let leaving = |(member, instance): &(&str, Option<&str>)| LeavingMember {
            member: (*member).to_owned(),
            instance: instance.map(str::to_owned),
        };
        let (outcomes, effects) = self.group.leave(&members.iter().map(leaving).collect::<Vec<_>>(), self.now());
        self.take(effects);
        outcomes
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.clock.advance_ms(i64::try_from(time.as_millis()).expect("a short time"));
        let effects = self.group.tick(self.now());
        self.take(effects);
    }

    /// Every record on its way is durable, or has failed.
    pub(super) fn stored(&mut self, outcome: &Result<(), GroupError>) {
        for (_, then) in std::mem::take(&mut self.storing) {
            let effects = self.group.stored(then, outcome.clone(), self.now());
            self.take(effects);
        }
    }

    pub(super) fn joined(&self, at: u64) -> Option<&Result<JoinAnswer, GroupError>> {
        self.joins.get(&at)
    }

    pub(super) fn synced(&self, at: u64) -> Option<&Result<SyncAnswer, GroupError>> {
        self.syncs.get(&at)
    }

    /// The member that a join became.
    pub(super) fn member(&self, at: u64) -> JoinAnswer {
        self.joins.get(&at).expect("an answer").as_ref().expect("a member").clone()
    }

    pub(super) fn assignment(&self, at: u64) -> Bytes {
        self.syncs.get(&at).expect("an answer").as_ref().expect("an assignment").assignment.clone()
    }

    /// A group of these clients, stable: their ids, the leader first.
    pub(super) fn stable(requests: &[JoinRequest]) -> (Bench, Vec<String>) {
        let mut bench = Bench::new(Duration::from_secs(3));
        let joins: Vec<u64> = requests.iter().map(|request| bench.join(request)).collect();
        bench.pass(Duration::from_secs(3));
        bench.pass(Duration::from_secs(3));
        let leader = bench.member(joins[0]).leader;
        let mut ids: Vec<String> = joins.iter().map(|at| bench.member(*at).member).collect();
        ids.sort_by_key(|id| *id != leader);
        let parts: Vec<(&str, &'static str)> = ids.iter().map(|id| (id.as_str(), "part")).collect();
        for id in ids.iter().rev() {
            bench.sync(id, 1, &parts);
        }
        bench.stored(&Ok(()));
        assert_eq!(bench.group.state(), GroupState::Stable);
        (bench, ids)
    }
}

pub(super) fn member_of(member: &str, generation: i32) -> Membership {
    Membership { generation: Some(Generation(generation)), member: member.into(), instance: None }
}

pub(super) fn client(name: &str) -> JoinRequest {
    JoinRequest {
        group: "g".into(),
        member: None,
        instance: None,
        client_id: name.into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"sub"))],
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        require_known_member: false,
        supports_skip_assignment: false,
        in_process: false,
        owner: Owner::Address([10, 0, 0, 1].into()),
    }
}

pub(super) fn as_member(request: &JoinRequest, id: &str) -> JoinRequest {
    JoinRequest { member: Some(id.to_owned()), ..request.clone() }
}

pub(super) fn instance(name: &str) -> JoinRequest {
    JoinRequest { instance: Some(name.into()), ..client(name) }
}

pub(super) fn log_failure() -> Result<(), GroupError> {
    let (partition, cause) = ("__consumer_offsets-0".to_owned(), "no".to_owned());
    Err(GroupError::Log(crate::log::LogError::Poisoned { partition, cause }))
}
