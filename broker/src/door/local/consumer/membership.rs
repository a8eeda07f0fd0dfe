//! The membership of a consumer session: one task that joins the group, sends heartbeats, joins again when the group
//! rebalances, and leaves. It reads no records. It must never join a new generation before its session has released the
//! partitions of the one before: the eager protocol rests on that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::{Describe, Granted, Group, Read};
use crate::clock;
use crate::context::Context;
use crate::coordinator::group::{
    GroupError, JoinAnswer, JoinRequest, LeavingMember, Membership, SyncAnswer, SyncRequest, assign,
};
use crate::door::consumer::ConsumerRequest;
use crate::door::error::{DoorError, GroupFailure};
use crate::engine::{Engine, EngineError};
use crate::ids::{TopicId, TopicName, TopicPartition, TopicRef};
use crate::memory::Owner;

/// The protocols that a session offers. One of them is everybody's: of Java, librdkafka and franz-go (`range`, `cooperative-sticky`, `roundrobin`) and kafkajs
/// (`RoundRobinAssigner`). The session assigns by range only, and only where no client from outside leads.
const PROTOCOLS: [&str; 4] = ["range", "cooperative-sticky", "roundrobin", "RoundRobinAssigner"];

/// What the membership tells its session. The latest is all that counts.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// On the way into the first generation, or the next: nothing is held.
    Joining,
    /// A member of a generation.
    Assigned(Arc<Assignment>),
    /// The assignment of this round is over. The next join waits until the session has released it.
    Revoking { round: u64 },
    /// The group is left, for this reason.
    Ended(DoorError),
}

/// What the member got in one round of join and sync.
#[derive(Debug)]
pub(super) struct Assignment {
    /// Counts the assignments of this session, from 1.
    pub(super) round: u64,
    /// For commits in this generation.
    pub(super) who: Membership,
    pub(super) partitions: Vec<TopicPartition>,
}

/// What the session tells its membership.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// When it was polled last.
    pub(super) polled: Instant,
    /// The last round that it has released.
    pub(super) released: u64,
}

/// What a leader has assigned by: its assignment is out of date when this changes.
#[derive(Debug)]
struct Led {
    /// The topics of all members.
    topics: BTreeSet<TopicName>,
    /// Those that existed, with their partition counts.
    found: BTreeMap<TopicName, (TopicId, i32)>,
}

#[derive(Debug)]
pub(super) struct Member {
    engine: Arc<Engine>,
    ctx: Context,
    request: Arc<ConsumerRequest>,
    tells: watch::Sender<Standing>,
    hears: watch::Receiver<Heard>,
    topic_changes: watch::Receiver<u64>,
    stop: CancellationToken,
    /// The member id that the coordinator gave.
    id: Option<String>,
    round: u64,
}

impl Member {
    pub(super) fn new(
        engine: Arc<Engine>,
        ctx: Context,
        request: Arc<ConsumerRequest>,
        tells: watch::Sender<Standing>,
        hears: watch::Receiver<Heard>,
        stop: CancellationToken,
    ) -> Member {
        let topic_changes = engine.topic_changes();
        Member { engine, ctx, request, tells, hears, topic_changes, stop, id: None, round: 0 }
    }

    /// Ends when `stop` is cancelled or the group refuses the member; it has left the group then.
    pub(super) async fn run(mut self) {
        let why = loop {
            if let Err(why) = self.live_one_round().await {
                break why;
            }
        };
        self.leave().await;
        self.tells.send_replace(Standing::Ended(why));
    }

    /// From a join to the release of what it brought.
    async fn live_one_round(&mut self) -> Result<(), DoorError> {
        self.tells.send_replace(Standing::Joining);
        let stop = self.stop.clone();
        let (who, partitions, led) = self.join_and_sync().await?;
        self.round += 1;
        let assignment = Assignment { round: self.round, who: who.clone(), partitions };
        self.tells.send_replace(Standing::Assigned(Arc::new(assignment)));
        let stopping = || DoorError::Stopping;
        stop.run_until_cancelled(self.stay(&who, led)).await.ok_or_else(stopping)??;
        self.tells.send_replace(Standing::Revoking { round: self.round });
        stop.run_until_cancelled(self.await_release(&who)).await.ok_or_else(stopping)?
    }

    /// Joins until a generation has an assignment for this member. `Led` is what it has assigned as the leader.
    async fn join_and_sync(&mut self) -> Result<(Membership, Vec<TopicPartition>, Option<Led>), DoorError> {
        loop {
            // Without an id the answer comes at once. It must not be missed: an id that nobody uses holds others up.
            let joined = match self.id {
                None => self.join().await,
                Some(_) => {
                    let stop = self.stop.clone();
                    stop.run_until_cancelled(self.join()).await.ok_or(DoorError::Stopping)?
                }
            };
            let joined = match joined {
                Ok(joined) => joined,
                Err(error) => {
                    self.joins_again(error)?;
                    continue;
                }
            };
            let who = Membership { generation: Some(joined.generation), member: joined.member.clone(), instance: None };
            let (assignments, led) = if joined.leader == joined.member {
                self.topic_changes.mark_unchanged();
                let (assignments, led) = self.assign(&joined);
                (assignments, Some(led))
            } else {
                (Vec::new(), None)
            };
            let stop = self.stop.clone();
            let synced = stop.run_until_cancelled(self.sync(joined, assignments)).await.ok_or(DoorError::Stopping)?;
            match synced {
                Ok(synced) => return Ok((who, self.partitions(&synced)?, led)),
                Err(error) => self.joins_again(error)?,
            }
        }
    }

    async fn join(&self) -> Result<JoinAnswer, EngineError> {
        let metadata = assign::subscription(&self.request.topics);
        let request = JoinRequest {
            group: self.request.group.clone(),
            member: self.id.clone(),
            instance: None,
            client_id: self.ctx.client_id().to_string(),
            client_host: self.ctx.client_host(),
            protocol_type: assign::PROTOCOL_TYPE.to_owned(),
            protocols: PROTOCOLS.iter().map(|name| ((*name).to_owned(), metadata.clone())).collect(),
            session_timeout: self.request.session_timeout,
            rebalance_timeout: self.request.rebalance_timeout,
            require_known_member: true,
            supports_skip_assignment: false,
            in_process: true,
            owner: Owner::of(&self.ctx),
        };
        Ok(self.engine.join_group(&self.ctx, self.group()?, request).await?)
    }

    async fn sync(&self, joined: JoinAnswer, assignments: Vec<(String, Bytes)>) -> Result<SyncAnswer, EngineError> {
        let request = SyncRequest {
            group: self.request.group.clone(),
            generation: joined.generation,
            member: joined.member,
            instance: None,
            protocol_type: Some(joined.protocol_type),
            protocol: Some(joined.protocol),
            assignments,
            owner: Owner::of(&self.ctx),
        };
        Ok(self.engine.sync_group(&self.ctx, self.group()?, request).await?)
    }

    /// What Kafka's clients answer by joining again; anything else ends the session.
    fn joins_again(&mut self, error: EngineError) -> Result<(), DoorError> {
        match error {
            EngineError::Group(GroupError::MemberIdRequired { member }) => self.id = Some(member),
            EngineError::Group(GroupError::UnknownMember { .. }) => self.id = None,
            EngineError::Group(GroupError::RebalanceInProgress { .. } | GroupError::IllegalGeneration { .. }) => {}
            other => return Err(other.into()),
        }
        Ok(())
    }

    fn partitions(&self, synced: &SyncAnswer) -> Result<Vec<TopicPartition>, DoorError> {
        // The leader may be any client: its bytes are not trusted.
        assign::assigned(&synced.assignment)
            .ok_or_else(|| GroupFailure::InconsistentProtocol { group: self.request.group.clone() }.into())
    }

    /// As the leader: everybody's part, by range.
    fn assign(&self, joined: &JoinAnswer) -> (Vec<(String, Bytes)>, Led) {
        // A member whose subscription cannot be read gets nothing.
        let subscribed = |metadata: &Bytes| assign::subscribed(metadata).unwrap_or_default();
        let members: BTreeMap<String, BTreeSet<TopicName>> =
            joined.members.iter().map(|(id, _, metadata)| (id.clone(), subscribed(metadata))).collect();
        let topics: BTreeSet<TopicName> = members.values().flatten().cloned().collect();
        let found = self.count(&topics);
        let counts = found.iter().map(|(topic, (_, count))| (topic.clone(), *count)).collect();
        let parts = assign::range(&members, &counts);
        let parts = parts.into_iter().map(|(member, part)| (member, assign::assignment(&part))).collect();
        (parts, Led { topics, found })
    }

    /// Those of the topics that exist and that the caller may describe.
    fn count(&self, topics: &BTreeSet<TopicName>) -> BTreeMap<TopicName, (TopicId, i32)> {
        let describe = |topic: &TopicName| {
            let granted = self.engine.auth().ask::<Describe, _>(&self.ctx, TopicRef::name(topic.as_str())).ok()?;
            let found = self.engine.describe_topic(&granted).ok()?;
            Some((topic.clone(), (found.id, found.partition_count())))
        };
        topics.iter().filter_map(describe).collect()
    }

    /// Sends heartbeats until the group rebalances, or has lost this member, or this member wants it to.
    async fn stay(&mut self, who: &Membership, led: Option<Led>) -> Result<(), DoorError> {
        loop {
            tokio::select! {
                () = clock::sleep(self.request.heartbeat_interval) => {}
                changed = self.topic_changes.changed(), if led.is_some() => changed.map_err(|_| DoorError::Stopping)?,
            }
            // As Kafka's clients do, the leader looks after new partitions, and topics that come and go.
            if led.as_ref().is_some_and(|led| self.count(&led.topics) != led.found) {
                return Ok(());
            }
            if self.is_deserted() {
                self.leave().await;
                return Ok(());
            }
            if let Err(error) = self.beat(who).await {
                return self.joins_again(error);
            }
        }
    }

    /// Waits until the session has released the round. It may still commit, so the member stays in the group.
    async fn await_release(&mut self, who: &Membership) -> Result<(), DoorError> {
        let round = self.round;
        loop {
            tokio::select! {
                biased;
                heard = self.hears.wait_for(|heard| heard.released >= round) => {
                    return heard.map(drop).map_err(|_| DoorError::Stopping);
                }
                () = clock::sleep(self.request.heartbeat_interval) => {}
            }
            if self.id.is_none() {
                continue;
            }
            if self.is_deserted() {
                self.leave().await;
            } else if let Err(error) = self.beat(who).await {
                self.joins_again(error)?;
            }
        }
    }

    async fn beat(&self, who: &Membership) -> Result<(), EngineError> {
        Ok(self.engine.heartbeat(&self.group()?, who).await?)
    }

    /// Nobody polls any more: the partitions go to members who do.
    fn is_deserted(&self) -> bool {
        let polled = self.hears.borrow().polled;
        self.engine.clock().monotonic().saturating_duration_since(polled) > self.request.rebalance_timeout
    }

    /// Leaves the group, if it is a member. Should that fail, its session ends by time.
    async fn leave(&mut self) {
        let Some(member) = self.id.take() else { return };
        let Ok(group) = self.group() else { return };
        let left = self.engine.leave_group(&group, &[LeavingMember { member, instance: None }]).await;
        if let Err(error) = left.and_then(|outcomes| outcomes.into_iter().collect::<Result<Vec<()>, _>>()) {
            tracing::debug!(group = %self.request.group, "a consumer session could not leave its group: {error}");
        }
    }

    fn group(&self) -> Result<Granted<Read, Group>, EngineError> {
        Ok(self.engine.auth().ask(&self.ctx, Group::named(&self.request.group))?)
    }
}
