//! All consumer groups: the verbs that the engine calls. Each finds the group's shard by its id and runs a command there;
//! nothing is decided here. Every answer waits until what it says is durable.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::classic::Rules;
use super::commits::{CommitOutcomes, Committed, Progress};
use super::error::GroupError;
use super::machine::{GroupMachine, Setting};
use super::members::unknown;
use super::payer::Payer;
use super::records;
use super::requests::{
    CommitFrom, GroupDescription, GroupListing, JoinAnswer, JoinRequest, LeavingMember, Membership, OffsetToCommit,
    StableOffset, SyncAnswer, SyncRequest,
};
use crate::clock::SharedClock;
use crate::config::BrokerConfig;
use crate::coordinator::machine::Now;
use crate::coordinator::runtime::{Runtime, TaskNames};
use crate::coordinator::shard::Shard;
use crate::ids::{TopicId, TopicName, TopicPartition};
use crate::limits;
use crate::memory::{Owner, StateBudget};
use crate::topics::{Catalog, ConfigChange, ConfigOp, NewTopic, Topic, TopicError};

/// Where groups and offsets live.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The topic config that bounds a group's record.
const BATCH_BYTES: &str = "max.message.bytes";

const TASKS: TaskNames = TaskNames { timer: "group-timer", shard: "group-shard", under_way: "group-change" };

type GroupShard = Arc<Shard<GroupMachine>>;

/// All groups. Every verb waits until what it answers is durable.
#[derive(Debug)]
pub struct Groups {
    setting: Arc<Setting>,
    clock: SharedClock,
    runtime: Arc<Runtime<GroupMachine>>,
    /// Filled when the offsets topic exists and its shards are loaded.
    loaded: OnceCell<()>,
}

impl Groups {
    /// Replays `__consumer_offsets` when it exists; it is created (internal, 50 partitions, compacted) at first use, not
    /// at start.
    ///
    /// # Errors
    /// None of a single partition (its groups answer it); only what keeps the coordinator from working at all.
    pub async fn open(
        catalog: Arc<Catalog>,
        config: &BrokerConfig,
        clock: SharedClock,
        state: StateBudget,
    ) -> Result<Arc<Groups>, GroupError> {
        let rules = Rules {
            initial_delay: Duration::from_millis(config.group_initial_rebalance_delay_ms),
            session_min: Duration::from_millis(config.group_min_session_timeout_ms),
            session_max: Duration::from_millis(config.group_max_session_timeout_ms),
            members_max: limits::GROUP_MEMBERS_MAX,
        };
        let topic = catalog.topic(OFFSETS_TOPIC).ok();
        let retention = Duration::from_secs(config.offsets_retention_minutes.saturating_mul(60));
        let setting = Arc::new(Setting { catalog, rules, state, retention, group_count: AtomicUsize::new(0) });
        let runtime = Runtime::start(TASKS, setting.catalog.tasks(), Arc::clone(&clock));
        let groups = Groups { setting, clock, runtime, loaded: OnceCell::new() };
        if let Some(topic) = topic {
            groups.loaded.get_or_try_init(|| groups.load(topic)).await?;
        }
        Ok(Arc::new(groups))
    }

    /// JoinGroup. Waits for the end of the join phase.
    ///
    /// # Errors
    /// As Kafka's error codes for JoinGroup; `MemberIdRequired` carries the id to come back with.
    pub(crate) async fn join(&self, request: JoinRequest) -> Result<JoinAnswer, GroupError> {
        check_texts(&request)?;
        let shard = self.home(&request.group).await?;
        let unique = uuid::Uuid::new_v4().to_string();
        let ticket = shard.run(|groups, now| groups.join(&request, &unique, now))?;
        // What is kept of it is paid for, and the wait is long.
        drop(request);
        ticket.durable().await??.await.unwrap_or(Err(GroupError::Stopping))
    }

    /// SyncGroup. Waits for the leader's assignment to be durable.
    ///
    /// # Errors
    /// As Kafka's error codes for SyncGroup.
    pub(crate) async fn sync(&self, request: SyncRequest) -> Result<SyncAnswer, GroupError> {
        check_id(&request.group)?;
        let shard = self.find(&request.group).ok_or_else(|| unknown(&request.group, &request.member))?;
        let ticket = shard.run(|groups, now| groups.sync(&request, now))?;
        drop(request);
        ticket.durable().await??.await.unwrap_or(Err(GroupError::Stopping))
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// As Kafka's error codes for Heartbeat; `RebalanceInProgress` asks the member to join again.
    pub(crate) async fn heartbeat(&self, group: &str, who: &Membership) -> Result<(), GroupError> {
        check_id(group)?;
        let shard = self.find(group).ok_or_else(|| unknown(group, &who.member))?;
        shard.run(|groups, now| groups.heartbeat(group, who, now))?.durable().await?
    }

    /// LeaveGroup: one outcome a member, in order.
    ///
    /// # Errors
    /// Of the whole request; each member has its own outcome.
    pub(crate) async fn leave(
        &self,
        group: &str,
        members: &[LeavingMember],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        check_id(group)?;
        let Some(shard) = self.find(group) else {
            return Ok(members.iter().map(|leaving| Err(unknown(group, &leaving.member))).collect());
        };
        Ok(shard.run(|groups, now| groups.leave(group, members, now))?.durable().await?)
    }

    /// DescribeGroups.
    ///
    /// # Errors
    /// `NotFound`; the log's error for a group whose partition cannot be read.
    pub(crate) fn describe(&self, group: &str) -> Result<GroupDescription, GroupError> {
        let shard = self.find(group).ok_or_else(|| GroupError::NotFound { group: group.to_owned() })?;
        shard.read(|groups| groups.describe(group))?
    }

    /// ListGroups: those that are wanted, in no order. Groups whose partition cannot be read are not in it. Goes over
    /// all groups in steps, and lets others run between them: there may be very many.
    pub(crate) async fn list(&self, wanted: impl Fn(&GroupListing) -> bool) -> Vec<GroupListing> {
        let mut groups = Vec::new();
        for shard in self.shards() {
            let mut after: Option<Arc<str>> = None;
            while let Ok(step) = shard.read(|groups| groups.list(after.as_deref())) {
                let Some(last) = step.last() else { break };
                after = Some(Arc::clone(&last.group));
                groups.extend(step.into_iter().filter(&wanted));
                tokio::task::yield_now().await;
            }
        }
        groups
    }

    /// OffsetCommit: one outcome an offset, in order. Durable when this returns.
    ///
    /// # Errors
    /// Of the whole request: about the membership or the log.
    pub(crate) async fn commit(
        &self,
        from: CommitFrom,
        group: &str,
        who: &Membership,
        offsets: Vec<OffsetToCommit>,
        owner: &Owner,
    ) -> Result<CommitOutcomes, GroupError> {
        match from {
            // As Kafka: simple consumers of old had no group id.
            CommitFrom::Member => check_length(group)?,
            CommitFrom::Outside => check_id(group)?,
        }
        let shard = self.home(group).await?;
        let payer = Payer::new(&self.setting.state, owner);
        shard.run(|groups, now| groups.commit(from, group, who, offsets, &payer, now))?.durable().await?
    }

    /// OffsetFetch. `None`: everything the group has committed. A partition without a commit answers `None`; so does one
    /// whose topic has been deleted, or deleted and recreated, since (rule 16). Shows what is durable and does not wait
    /// for commits on their way, as Kafka reads at the high watermark.
    ///
    /// # Errors
    /// `InvalidGroupId`; the log's error for a group whose partition cannot be read.
    pub(crate) async fn committed(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Committed, GroupError> {
        check_length(group)?;
        match self.find(group) {
            Some(shard) => Ok(shard.read(|groups| groups.committed(group, partitions))?),
            None => Ok(partitions.unwrap_or_default().iter().map(|target| (target.clone(), None)).collect()),
        }
    }

    /// OffsetFetch with `require_stable` (KIP-447): as `committed`, but it waits for commits on their way and counts them,
    /// and says `Unstable` where a transaction has written an offset and has not ended.
    ///
    /// # Errors
    /// As `committed`.
    pub(crate) async fn stable_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, StableOffset)>, GroupError> {
        check_length(group)?;
        let nothing = |target: &TopicPartition| (target.clone(), StableOffset::Is(None));
        match self.find(group) {
            Some(shard) => Ok(shard.run(|groups, _| groups.stable_offsets(group, partitions))?.durable().await?),
            None => Ok(partitions.unwrap_or_default().iter().map(nothing).collect()),
        }
    }

    /// Rule 16: tombstones for every committed offset of a deleted topic, durable when this returns; one batch a shard
    /// unless there are very many. Call it when the topic can no longer be found.
    ///
    /// # Errors
    /// The log's; groups that could be written to have forgotten the topic. The others show nothing of it either, and
    /// write their tombstones when offsets expire.
    pub(crate) async fn forget_topic(&self, topic: &TopicName, id: TopicId) -> Result<(), GroupError> {
        let forget = |shard: &'_ GroupShard| {
            let shard = Arc::clone(shard);
            async move {
                let mut from = None;
                loop {
                    let forgotten = shard.run(|groups, _| groups.forget_topic(topic, id, from.as_deref()))?;
                    match forgotten.durable().await? {
                        Progress::Done => return Ok::<(), GroupError>(()),
                        Progress::More { from: left } => from = Some(left),
                    }
                    // The next step may find nothing to wait for, and all groups are many.
                    tokio::task::yield_now().await;
                }
            }
        };
        let outcomes = futures::future::join_all(self.shards().iter().map(forget)).await;
        outcomes.into_iter().collect()
    }

    /// Why some groups are unavailable until the broker restarts, for readiness.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<String> {
        self.runtime.failure()
    }

    /// Ends waiting joins and syncs with `Stopping`, and takes no new ones.
    pub(crate) fn stop(&self) {
        self.runtime.stop();
        self.shards().iter().for_each(|shard| shard.post(|groups, _| groups.stop()));
    }

    /// Waits until the timer's task and every record on its way have ended, after `stop`.
    pub(crate) async fn closed(&self) {
        self.runtime.closed().await;
    }

    /// Does now what the timer's task does when something is due.
    #[cfg(test)]
    pub(super) fn run_due(&self) {
        self.runtime.run_due();
    }

    pub(super) fn shards(&self) -> &[GroupShard] {
        self.runtime.shards().unwrap_or_default()
    }

    /// The group's shard, `None` before the topic exists.
    pub(super) fn find(&self, group: &str) -> Option<&GroupShard> {
        let shards = self.shards();
        let count = i32::try_from(shards.len()).ok()?;
        shards.get(usize::try_from(records::partition_of(group, count).0).ok()?)
    }

    /// The group's shard, with the topic created if this is its first use.
    async fn home(&self, group: &str) -> Result<&GroupShard, GroupError> {
        if self.runtime.is_stopping() {
            return Err(GroupError::Stopping);
        }
        self.loaded.get_or_try_init(|| self.create()).await?;
        let missing = || TopicError::NotFound { name: OFFSETS_TOPIC.into() };
        Ok(self.find(group).ok_or_else(missing)?)
    }

    async fn create(&self) -> Result<(), GroupError> {
        let request = NewTopic {
            name: OFFSETS_TOPIC.to_owned(),
            partitions: Some(limits::OFFSETS_PARTITIONS),
            replication: None,
            configs: vec![
                ("cleanup.policy".to_owned(), Some("compact".to_owned())),
                ("segment.bytes".to_owned(), Some(limits::COMPACTED_SEGMENT_BYTES.to_string())),
                (BATCH_BYTES.to_owned(), Some(limits::GROUP_BATCH_BYTES_MAX.to_string())),
            ],
            internal: true,
        };
        let topic = match self.setting.catalog.create(request).await {
            Err(TopicError::Exists { .. }) => self.setting.catalog.topic(OFFSETS_TOPIC)?,
            created => created?,
        };
        self.load(topic).await
    }

    /// For a topic of an earlier version, whose groups had to fit into a client's batch. They do until this succeeds.
    async fn allow_large_batches(&self) {
        let change =
            ConfigChange { key: BATCH_BYTES.to_owned(), op: ConfigOp::Set(limits::GROUP_BATCH_BYTES_MAX.to_string()) };
        if let Err(error) = self.setting.catalog.alter_configs(OFFSETS_TOPIC, &[change], false).await {
            tracing::warn!("{BATCH_BYTES} of {OFFSETS_TOPIC} stays as it is, large groups cannot be written: {error}");
        }
    }

    async fn load(&self, topic: Arc<Topic>) -> Result<(), GroupError> {
        if topic.configs().message_bytes_max() < limits::GROUP_BATCH_BYTES_MAX {
            self.allow_large_batches().await;
        }
        let setting = Arc::clone(&self.setting);
        let now = Now { mono: self.clock.monotonic(), wall: self.clock.wall() };
        self.runtime.load(topic.partitions(), move || GroupMachine::new(Arc::clone(&setting), now)).await?;
        if self.runtime.is_stopping() {
            self.stop();
        }
        Ok(())
    }
}

/// The id of a group that can have members: not empty.
fn check_id(group: &str) -> Result<(), GroupError> {
    if group.is_empty() { Err(GroupError::InvalidGroupId { group: String::new() }) } else { check_length(group) }
}

/// No longer than Kafka's records can hold.
fn check_length(group: &str) -> Result<(), GroupError> {
    if group.len() > records::TEXT_BYTES_MAX {
        return Err(GroupError::InvalidGroupId { group: group.chars().take(300).collect() });
    }
    Ok(())
}

/// Every text that goes into a record fits it, a new member's id is made of one and a UUID; and protocols are few and small.
fn check_texts(request: &JoinRequest) -> Result<(), GroupError> {
    check_id(&request.group)?;
    let short = |text: &str| text.len() <= records::TEXT_BYTES_MAX - 64;
    let names = request.protocols.iter().map(|(name, _)| name.as_str());
    let texts = [&request.client_id, &request.client_host, &request.protocol_type].into_iter().map(String::as_str);
    let optional = [&request.instance, &request.member].into_iter().filter_map(|text| text.as_deref());
    let few = request.protocols.len() <= limits::JOIN_PROTOCOLS_MAX;
    if !few || !names.chain(texts).chain(optional).all(short) {
        return Err(GroupError::InconsistentProtocol { group: request.group.clone() });
    }
    let limit = limits::JOIN_PROTOCOLS_BYTES_MAX;
    if request.protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum::<usize>() > limit {
        return Err(GroupError::MembersTooLarge { group: request.group.clone(), limit });
    }
    Ok(())
}
