//! The shell around the groups: one small lock a group, its log, its waiting requests and the one timer task.
//! Carries out what the state machine decides: appends its records in the order of its decisions, and lets answers out
//! only when what they say is durable. The lock is held over the append (a write to the page cache, so that log and state
//! agree on the order), never over an await.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{OnceCell, oneshot};
use tokio_util::sync::CancellationToken;

use super::classic::{ClassicGroup, Effect, Now, Rules, Then, Ticket};
use super::error::GroupError;
use super::offsets::GroupOffsets;
use super::timer::{self, Timer};
use super::verbs::{GroupDescription, JoinAnswer, JoinRequest, LeavingMember, Membership, SyncAnswer, SyncRequest};
use super::{load, records};
use crate::clock::SharedClock;
use crate::config::BrokerConfig;
use crate::ids::{Offset, PartitionId};
use crate::limits;
use crate::log::{self, Origin, Partition};
use crate::record::{self, Compression, Message};
use crate::tasks::{self, Changes, Tasks, Vital, VitalTask};
use crate::topics::{Catalog, NewTopic, Topic, TopicError};

/// Where groups and offsets live.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// All groups. Every verb waits until what it answers is durable.
#[derive(Debug)]
pub struct Groups {
    me: Weak<Groups>,
    pub(super) catalog: Arc<Catalog>,
    clock: SharedClock,
    rules: Rules,
    pub(super) retention: Duration,
    topic: OnceCell<Arc<Topic>>,
    unreadable: HashMap<PartitionId, GroupError>,
    cells: RwLock<HashMap<Arc<str>, Arc<Cell>>>,
    tickets: AtomicU64,
    pub(super) timer: Timer,
    next_retention: Mutex<Instant>,
    stopping: CancellationToken,
    /// Records on their way, and what follows them.
    under_way: Changes,
    timer_task: OnceLock<VitalTask>,
}

/// One group's place.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) id: Arc<str>,
    pub(super) inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) classic: ClassicGroup,
    pub(super) offsets: GroupOffsets,
    /// The log has a group record that is no tombstone.
    pub(super) stored: bool,
    joins: HashMap<Ticket, oneshot::Sender<Result<JoinAnswer, GroupError>>>,
    syncs: HashMap<Ticket, oneshot::Sender<Result<SyncAnswer, GroupError>>>,
    scheduled: Option<Instant>,
    /// Taken out of the map: whoever still holds the cell looks the group up again.
    gone: bool,
}

/// Where a record ends up: it is durable when the partition's HW is there.
#[derive(Clone, Debug)]
pub(super) struct Written {
    ticket: log::Ticket,
    pub(super) end: Offset,
}

impl Written {
    pub(super) async fn durable(self) -> Result<(), GroupError> {
        self.ticket.durable().await?;
        Ok(())
    }
}

impl Groups {
    /// Replays `__consumer_offsets` when it exists; makes it (internal, 50 partitions, compacted) at first use, not at start.
    ///
    /// # Errors
    /// None of a single partition (its groups answer it); only what keeps the coordinator from working at all.
    pub async fn open(
        catalog: Arc<Catalog>,
        config: &BrokerConfig,
        clock: SharedClock,
    ) -> Result<Arc<Groups>, GroupError> {
        let rules = Rules {
            initial_delay: Duration::from_millis(config.group_initial_rebalance_delay_ms),
            session_min: Duration::from_millis(config.group_min_session_timeout_ms),
            session_max: Duration::from_millis(config.group_max_session_timeout_ms),
            members_max: limits::GROUP_MEMBERS_MAX,
        };
        let topic = catalog.topic(OFFSETS_TOPIC).ok();
        let loaded = match &topic {
            Some(topic) => {
                let topic = Arc::clone(topic);
                tasks::blocking("group-load", move || load::load(&topic)).await?
            }
            None => load::Loaded::default(),
        };
        let now = Now { mono: clock.monotonic(), wall: clock.wall() };
        let tasks = catalog.tasks().clone();
        let under_way = tasks.changes("group-change");
        let groups = Arc::new_cyclic(|me| Groups {
            me: me.clone(),
            catalog,
            clock,
            rules,
            retention: Duration::from_secs(config.offsets_retention_minutes.saturating_mul(60)),
            topic: OnceCell::new_with(topic),
            unreadable: loaded.unreadable,
            cells: RwLock::default(),
            tickets: AtomicU64::new(0),
            timer: Timer::default(),
            next_retention: Mutex::new(now.mono + limits::OFFSETS_RETENTION_CHECK),
            stopping: CancellationToken::new(),
            under_way,
            timer_task: OnceLock::new(),
        });
        groups.restore(loaded.groups, now);
        groups.start_timer(&tasks);
        Ok(groups)
    }

    /// Without it no member ever times out: when it fails, the coordinator takes no more requests.
    fn start_timer(&self, tasks: &Tasks) {
        let me = self.me.clone();
        let vital = Vital::new("group-timer", self.stopping.clone()).poisons(move |_| {
            if let Some(groups) = me.upgrade() {
                groups.stop();
            }
        });
        let task = tasks.vital(vital, timer::run(self.me.clone(), self.stopping.clone()));
        // Called once.
        let _ = self.timer_task.set(task);
    }

    fn restore(&self, remains: HashMap<String, load::Remains>, now: Now) {
        for (id, remains) in remains {
            let stored = remains.metadata.is_some();
            if !stored && remains.offsets.is_empty() {
                continue;
            }
            let classic = match remains.metadata {
                Some(metadata) => ClassicGroup::restore(&id, self.rules, metadata, now),
                None => ClassicGroup::new(&id, self.rules, now),
            };
            let cell = Cell::new(&id, classic, remains.offsets, stored);
            self.settle(&cell, &mut cell.inner.lock());
            self.cells.write().insert(Arc::clone(&cell.id), cell);
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: self.clock.monotonic(), wall: self.clock.wall() }
    }

    /// JoinGroup. Waits for the end of the join phase.
    ///
    /// # Errors
    /// As Kafka's error codes for JoinGroup; `MemberIdRequired` carries the id to come back with.
    pub async fn join(&self, request: JoinRequest) -> Result<JoinAnswer, GroupError> {
        check_texts(&request)?;
        self.home(&request.group).await?;
        let answer = {
            let cell = match self.find(&request.group) {
                Some(cell) => cell,
                None if request.member.is_none() => self.find_or_make(&request.group)?,
                None => return Err(unknown(&request.group, request.member.as_deref().unwrap_or(""))),
            };
            let Some(mut inner) = cell.enter() else {
                return Err(unknown(&request.group, request.member.as_deref().unwrap_or("")));
            };
            self.check_running()?;
            let ticket = self.ticket();
            let (sender, answer) = oneshot::channel();
            inner.joins.insert(ticket, sender);
            let now = self.now();
            let effects = inner.classic.join(&request, &uuid::Uuid::new_v4().to_string(), ticket, now);
            self.carry_out(&cell, &mut inner, effects, now);
            answer
        };
        answer.await.unwrap_or(Err(GroupError::Stopping))
    }

    /// SyncGroup. Waits for the leader's assignment to be durable.
    ///
    /// # Errors
    /// As Kafka's error codes for SyncGroup.
    pub async fn sync(&self, request: SyncRequest) -> Result<SyncAnswer, GroupError> {
        check_id(&request.group)?;
        self.readable(&request.group)?;
        let answer = {
            let absent = || unknown(&request.group, &request.member);
            let cell = self.find(&request.group).ok_or_else(absent)?;
            let mut inner = cell.enter().ok_or_else(absent)?;
            self.check_running()?;
            let ticket = self.ticket();
            let (sender, answer) = oneshot::channel();
            inner.syncs.insert(ticket, sender);
            let effects = inner.classic.sync(&request, ticket);
            self.carry_out(&cell, &mut inner, effects, self.now());
            answer
        };
        answer.await.unwrap_or(Err(GroupError::Stopping))
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// As Kafka's error codes for Heartbeat; `RebalanceInProgress` asks the member to join again.
    pub async fn heartbeat(&self, group: &str, who: &Membership) -> Result<(), GroupError> {
        check_id(group)?;
        self.readable(group)?;
        let absent = || unknown(group, &who.member);
        let cell = self.find(group).ok_or_else(absent)?;
        let mut inner = cell.enter().ok_or_else(absent)?;
        let outcome = inner.classic.heartbeat(who, self.now());
        self.settle(&cell, &mut inner);
        outcome
    }

    /// LeaveGroup: one outcome a member, in order.
    ///
    /// # Errors
    /// Of the whole request; each member has its own outcome.
    pub async fn leave(
        &self,
        group: &str,
        members: &[LeavingMember],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        check_id(group)?;
        self.readable(group)?;
        let (outcomes, written) = {
            let strangers = || members.iter().map(|leaving| Err(unknown(group, &leaving.member))).collect();
            let Some(cell) = self.find(group) else { return Ok(strangers()) };
            let Some(mut inner) = cell.enter() else { return Ok(strangers()) };
            let now = self.now();
            let (outcomes, effects) = inner.classic.leave(members, now);
            (outcomes, self.carry_out(&cell, &mut inner, effects, now))
        };
        if let Some(written) = written {
            written.durable().await?;
        }
        Ok(outcomes)
    }

    /// DescribeGroups.
    ///
    /// # Errors
    /// `NotFound`; the log's error for a group whose partition cannot be read.
    pub fn describe(&self, group: &str) -> Result<GroupDescription, GroupError> {
        self.readable(group)?;
        let absent = || GroupError::NotFound { group: group.to_owned() };
        let cell = self.find(group).ok_or_else(absent)?;
        let inner = cell.enter().ok_or_else(absent)?;
        Ok(inner.classic.describe())
    }

    /// ListGroups, in the order of their ids.
    pub fn list(&self) -> Vec<GroupDescription> {
        let described = |cell: &Arc<Cell>| cell.enter().map(|inner| inner.classic.describe());
        let mut groups: Vec<GroupDescription> = self.all().iter().filter_map(described).collect();
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        groups
    }

    /// Ends waiting joins and syncs with `Stopping`, and takes no new ones.
    pub fn stop(&self) {
        self.stopping.cancel();
        for cell in self.all() {
            let mut inner = cell.inner.lock();
            let effects = inner.classic.give_up(&GroupError::Stopping);
            self.carry_out(&cell, &mut inner, effects, self.now());
        }
    }

    /// Waits until the timer task and every record on its way have ended, after `stop`.
    pub async fn closed(&self) {
        self.under_way.closed().await;
        if let Some(timer) = self.timer_task.get() {
            timer.ended().await;
        }
    }

    /// Ticks every group that is due, and retention when its time has come.
    pub(super) fn run_due(&self) {
        let now = self.now();
        while let Some(id) = self.timer.pop_due(now.mono) {
            let Some(cell) = self.find(&id) else { continue };
            let Some(mut inner) = cell.enter() else { continue };
            inner.scheduled = None;
            let effects = inner.classic.tick(now);
            self.carry_out(&cell, &mut inner, effects, now);
        }
        let due = {
            let mut next = self.next_retention.lock();
            let due = *next <= now.mono;
            if due {
                *next = now.mono + limits::OFFSETS_RETENTION_CHECK;
            }
            due
        };
        if due {
            self.expire_offsets(now);
        }
    }

    pub(super) fn next_retention(&self) -> Instant {
        *self.next_retention.lock()
    }

    /// Does what the state machine says, in order. Returns where the last record went, if there was one.
    fn carry_out(&self, cell: &Arc<Cell>, inner: &mut Inner, effects: Vec<Effect>, now: Now) -> Option<Written> {
        let mut queue = VecDeque::from(effects);
        let mut last = None;
        while let Some(effect) = queue.pop_front() {
            match effect {
                // A client that went away has dropped its end: the answer is nobody's.
                Effect::AnswerJoin(ticket, answer) => {
                    if let Some(waiting) = inner.joins.remove(&ticket) {
                        let _ = waiting.send(answer);
                    }
                }
                Effect::AnswerSync(ticket, answer) => {
                    if let Some(waiting) = inner.syncs.remove(&ticket) {
                        let _ = waiting.send(answer);
                    }
                }
                Effect::Store(metadata, then) => {
                    let value = Some(records::group_value(&metadata));
                    let message = Message { key: Some(records::group_key(&cell.id)), value, ..Message::default() };
                    match self.append(&cell.id, &[message], now) {
                        Ok(written) => {
                            inner.stored = true;
                            self.when_durable(cell, written.clone(), then);
                            last = Some(written);
                        }
                        Err(error) => {
                            tracing::warn!(group = %cell.id, "the group's record could not be written: {error}");
                            queue.extend(inner.classic.stored(then, Err(error), now));
                        }
                    }
                }
            }
        }
        self.settle(cell, inner);
        last
    }

    /// A task, so that the group goes on when the client whose request this was is gone. Ends with the next sync.
    fn when_durable(&self, cell: &Arc<Cell>, written: Written, then: Then) {
        let (Some(me), false) = (self.me.upgrade(), matches!(then, Then::Nothing)) else { return };
        let cell = Arc::clone(cell);
        self.under_way.spawn(async move {
            let outcome = written.durable().await;
            let now = me.now();
            let mut inner = cell.inner.lock();
            let effects = inner.classic.stored(then, outcome, now);
            me.carry_out(&cell, &mut inner, effects, now);
        });
    }

    /// After every change: the timer knows the group's next deadline, and a group of which nothing is left goes.
    pub(super) fn settle(&self, cell: &Arc<Cell>, inner: &mut Inner) {
        let nothing_left = !inner.stored && inner.offsets.is_empty() && inner.classic.is_vacant();
        let wake_by = inner.classic.wake_by().filter(|_| !nothing_left);
        if wake_by != inner.scheduled {
            self.timer.schedule(&cell.id, inner.scheduled, wake_by);
            inner.scheduled = wake_by;
        }
        if nothing_left && !inner.gone {
            inner.gone = true;
            self.cells.write().remove(&cell.id);
        }
    }

    /// One batch into the group's partition; not durable yet.
    pub(super) fn append(&self, group: &str, messages: &[Message], now: Now) -> Result<Written, GroupError> {
        let partition = self.readable(group)?;
        let partition = partition.ok_or_else(|| TopicError::NotFound { name: OFFSETS_TOPIC.to_owned() })?;
        let refused = |error: record::RecordError| GroupError::Append(error.into());
        let batch = record::build(messages, now.wall, Compression::None, None).map_err(refused)?;
        let ticket = partition.append(batch, Origin::Broker);
        match ticket.placed() {
            Ok(appended) => Ok(Written { end: appended.last_offset.next(), ticket }),
            Err(refused) => Err(refused.clone().into()),
        }
    }

    /// The group's partition, with the topic made if this is its first use.
    pub(super) async fn home(&self, group: &str) -> Result<Arc<Partition>, GroupError> {
        self.check_running()?;
        self.topic.get_or_try_init(|| self.make_topic()).await?;
        let missing = || TopicError::NotFound { name: OFFSETS_TOPIC.to_owned() };
        Ok(self.readable(group)?.ok_or_else(missing)?)
    }

    async fn make_topic(&self) -> Result<Arc<Topic>, GroupError> {
        let wish = NewTopic {
            name: OFFSETS_TOPIC.to_owned(),
            partitions: Some(limits::OFFSETS_PARTITIONS),
            replication: None,
            configs: vec![
                ("cleanup.policy".to_owned(), Some("compact".to_owned())),
                ("segment.bytes".to_owned(), Some(limits::COMPACTED_SEGMENT_BYTES.to_string())),
            ],
            internal: true,
        };
        match self.catalog.create(wish).await {
            Err(TopicError::Exists { .. }) => Ok(self.catalog.topic(OFFSETS_TOPIC)?),
            made => Ok(made?),
        }
    }

    /// The group's partition, `None` before the topic exists.
    ///
    /// # Errors
    /// What kept that partition from being read at start.
    pub(super) fn readable(&self, group: &str) -> Result<Option<Arc<Partition>>, GroupError> {
        let Some(topic) = self.topic.get() else { return Ok(None) };
        let number = records::partition_of(group, topic.partition_count());
        match self.unreadable.get(&number) {
            Some(error) => Err(error.clone()),
            None => Ok(Some(topic.partition(number)?)),
        }
    }

    pub(super) fn find(&self, group: &str) -> Option<Arc<Cell>> {
        self.cells.read().get(group).cloned()
    }

    pub(super) fn find_or_make(&self, group: &str) -> Result<Arc<Cell>, GroupError> {
        let mut cells = self.cells.write();
        if let Some(cell) = cells.get(group) {
            return Ok(Arc::clone(cell));
        }
        if cells.len() >= limits::GROUPS_MAX {
            return Err(GroupError::Full { group: group.to_owned(), limit: limits::GROUPS_MAX });
        }
        let classic = ClassicGroup::new(group, self.rules, self.now());
        let cell = Cell::new(group, classic, GroupOffsets::default(), false);
        cells.insert(Arc::clone(&cell.id), Arc::clone(&cell));
        Ok(cell)
    }

    pub(super) fn all(&self) -> Vec<Arc<Cell>> {
        self.cells.read().values().cloned().collect()
    }

    pub(super) fn check_running(&self) -> Result<(), GroupError> {
        if self.stopping.is_cancelled() { Err(GroupError::Stopping) } else { Ok(()) }
    }

    fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl Cell {
    fn new(id: &str, classic: ClassicGroup, offsets: GroupOffsets, stored: bool) -> Arc<Cell> {
        let inner = Inner {
            classic,
            offsets,
            stored,
            joins: HashMap::new(),
            syncs: HashMap::new(),
            scheduled: None,
            gone: false,
        };
        Arc::new(Cell { id: id.into(), inner: Mutex::new(inner) })
    }

    /// The group, unless it has been dropped since it was looked up.
    pub(super) fn enter(&self) -> Option<parking_lot::MutexGuard<'_, Inner>> {
        let inner = self.inner.lock();
        if inner.gone { None } else { Some(inner) }
    }
}

/// A group id: not empty, and no longer than Kafka's records can hold.
pub(super) fn check_id(group: &str) -> Result<(), GroupError> {
    if group.is_empty() || group.len() > records::TEXT_BYTES_MAX {
        return Err(GroupError::InvalidGroupId { group: group.chars().take(300).collect() });
    }
    Ok(())
}

/// Every text that goes into a record fits it; a new member's id is made of one and a UUID.
fn check_texts(request: &JoinRequest) -> Result<(), GroupError> {
    check_id(&request.group)?;
    let short = |text: &str| text.len() <= records::TEXT_BYTES_MAX - 64;
    let names = request.protocols.iter().map(|(name, _)| name.as_str());
    let texts = [&request.client_id, &request.client_host, &request.protocol_type].into_iter().map(String::as_str);
    let optional = [&request.instance, &request.member].into_iter().filter_map(|text| text.as_deref());
    if names.chain(texts).chain(optional).all(short) {
        return Ok(());
    }
    Err(GroupError::InconsistentProtocol { group: request.group.clone() })
}

pub(super) fn unknown(group: &str, member: &str) -> GroupError {
    GroupError::UnknownMember { group: group.to_owned(), member: member.to_owned() }
}
