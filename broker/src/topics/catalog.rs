//! Every topic, in memory, as the metadata log has it: opened at start, looked up by name and id on every request.
//! Changes are in `create.rs` and `change.rs`: one at a time, durable before they are visible, and finished even when
//! whoever asked has gone. Never shows what is not durable.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::configs::TopicConfigs;
use super::delay_name::DelayName;
use super::error::{Refused, TopicError};
use super::metadata_fault::MetadataFault;
use super::metadata_log::{METADATA_TOPIC_ID, MetadataLog};
use super::metadata_record::MetadataRecord;
use super::metadata_state::{MetadataState, TopicState};
use super::partition_logs;
use super::topic::Topic;
use crate::clock::SharedClock;
use crate::config::BrokerConfig;
use crate::ids::{LeaderEpoch, PartitionId, TopicId, TopicName};
use crate::limits;
use crate::log::RESERVED_PRODUCER_IDS;
use crate::log::{LogConfig, LogDir, Partition, PartitionIdent};
use crate::tasks::{self, Changes, Tasks};

/// What exists.
#[derive(Debug)]
pub struct Catalog {
    pub(super) shared: Arc<Shared>,
    /// Changes under way: a caller that goes away must not leave a durable record that memory does not know of.
    under_way: Changes,
}

/// What a change needs, held by the caller and by the change's own task.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: Arc<LogDir>,
    pub(super) log: MetadataLog,
    pub(super) rules: Rules,
    pub(super) topics: RwLock<Index>,
    /// Changes of topics take turns. Producer ids do not wait for them.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) next_ids: Mutex<NextIds>,
    /// Deleted, and some of their directories could not be removed: the next start does that, if it knows of them.
    pub(super) lingering: Mutex<Vec<Arc<Topic>>>,
    changes: watch::Sender<u64>,
    pub(super) cluster_id: String,
    pub(super) term: LeaderEpoch,
}

/// The settings that decide what may be made.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) auto_create: bool,
    pub(super) partitions: i32,
    pub(super) delay_topics: bool,
}

/// The same topics twice.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

#[derive(Debug)]
pub(super) struct NextIds {
    pub(super) clients: i64,
    pub(super) streams: i64,
}

impl Catalog {
    /// Replays the metadata log, raises the term after an unclean stop (durably, before anything is served: rule 5), opens
    /// (recovers) every partition, sets strays aside. Prints progress on long recoveries through `tracing`.
    ///
    /// # Errors
    /// `Metadata` when the log cannot be understood or is missing; the log's own when a partition cannot be opened. A
    /// partition whose directory is missing is no error: it is offline (rule 17).
    pub async fn open(dir: Arc<LogDir>, config: &BrokerConfig, clock: SharedClock) -> Result<Arc<Catalog>, TopicError> {
        let (log, state) = {
            let (dir, clock) = (Arc::clone(&dir), Arc::clone(&clock));
            blocking(move || MetadataLog::open(&dir, clock)).await?
        };
        let (cluster_id, term) = begin_term(&dir, &log, &state).await?;
        let next_ids = NextIds { clients: state.next_producer_id, streams: state.next_stream_id };
        let topics = {
            let dir = Arc::clone(&dir);
            blocking(move || open_topics(&dir, state, &clock)).await?
        };
        let rules = Rules {
            auto_create: config.auto_create_topics,
            partitions: config.num_partitions,
            delay_topics: config.delay_topics,
        };
        let under_way = dir.tasks().changes("topic-change");
        let shared = Shared {
            dir,
            log,
            rules,
            topics: RwLock::new(topics),
            turn: tokio::sync::Mutex::new(()),
            next_ids: Mutex::new(next_ids),
            lingering: Mutex::default(),
            changes: watch::Sender::new(0),
            cluster_id,
            term,
        };
        shared.snapshot_if_due().await;
        Ok(Arc::new(Catalog { shared: Arc::new(shared), under_way }))
    }

    /// 22 characters, as Kafka's cluster ids; made at the first start and kept.
    #[must_use]
    pub(crate) fn cluster_id(&self) -> &str {
        &self.shared.cluster_id
    }

    /// The term of this run: every partition's leader epoch (rule 5).
    #[must_use]
    pub fn term(&self) -> LeaderEpoch {
        self.shared.term
    }

    /// Who owns the broker's tasks.
    #[must_use]
    pub(crate) fn tasks(&self) -> &Tasks {
        self.shared.dir.tasks()
    }

    /// The topic of that name.
    ///
    /// # Errors
    /// `NotFound`, or `BadName` where no topic can have it.
    pub fn topic(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        self.shared.topic(name)
    }

    /// The topic of that id.
    ///
    /// # Errors
    /// `IdNotFound`.
    pub(crate) fn topic_by_id(&self, id: TopicId) -> Result<Arc<Topic>, TopicError> {
        self.shared.topics.read().by_id.get(&id).cloned().ok_or(TopicError::IdNotFound { id })
    }

    /// In order of names.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.shared.topics.read().by_name.values().cloned().collect()
    }

    /// A block of `limits::PRODUCER_ID_BLOCK` ids that nobody else will get, reserved durably (rule 6). The reserved range above
    /// `log::RESERVED_PRODUCER_IDS` has a counter of its own for streams.
    ///
    /// # Errors
    /// `Refused` when the number space is used up; the log's.
    pub async fn reserve_producer_ids(&self, for_streams: bool) -> Result<Range<i64>, TopicError> {
        let (first, next) = {
            let mut next_ids = self.shared.next_ids.lock();
            let (counter, end) = match for_streams {
                true => (&mut next_ids.streams, i64::MAX),
                false => (&mut next_ids.clients, RESERVED_PRODUCER_IDS.0),
            };
            let first = *counter;
            let next = first.checked_add(limits::PRODUCER_ID_BLOCK).filter(|next| *next <= end);
            // Moved before the record is written: a block whose record fails is skipped, never given twice.
            *counter = next.ok_or(Refused::NoProducerIds)?;
            (first, *counter)
        };
        let record = match for_streams {
            true => MetadataRecord::StreamIds { next },
            false => MetadataRecord::ProducerIds { next },
        };
        self.shared.log.write(&[record]).await?;
        Ok(first..next)
    }

    /// Changes value whenever topics are made, deleted, grown or reconfigured.
    #[must_use]
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Waits for the changes under way, before the log directory is closed.
    pub async fn closed(&self) {
        self.under_way.closed().await;
    }

    /// Runs a change to its end, whether or not the caller stays to hear of it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, TopicError>> + Send + 'static,
    ) -> Result<T, TopicError> {
        self.under_way.run(change).await?
    }
}

impl Shared {
    pub(super) fn topic(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        if let Some(topic) = self.topics.read().by_name.get(name) {
            return Ok(Arc::clone(topic));
        }
        TopicName::new(name)?;
        Err(TopicError::NotFound { name: name.into() })
    }

    /// Shows new topics, all at once.
    pub(super) fn publish(&self, made: &[Arc<Topic>]) {
        let mut topics = self.topics.write();
        for topic in made {
            topics.insert(Arc::clone(topic));
        }
        drop(topics);
        self.changed();
    }

    pub(super) fn withdraw(&self, topic: &Topic) {
        let mut topics = self.topics.write();
        topics.by_name.remove(topic.name().as_str());
        topics.by_id.remove(&topic.id());
        drop(topics);
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Index {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// In order of names.
    pub(super) fn all(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.values().map(|topic| &**topic)
    }

    fn insert(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id(), Arc::clone(&topic));
        self.by_name.insert(topic.name().as_str().to_owned(), topic);
    }
}

/// Runs what blocks (syncs, recovery) away from the network threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TopicError> + Send + 'static,
) -> Result<T, TopicError> {
    tasks::blocking("topic-files", work).await?
}

/// Rule 5: cluster id and term, durable before anything is served.
async fn begin_term(
    dir: &LogDir,
    log: &MetadataLog,
    state: &MetadataState,
) -> Result<(String, LeaderEpoch), TopicError> {
    let mut records = Vec::new();
    let cluster_id = state.cluster_id.clone().unwrap_or_else(|| {
        // A cluster id is a random id in Kafka's text form, as a topic's.
        let id = TopicId::random().to_string();
        records.push(MetadataRecord::Cluster { id: id.clone() });
        id
    });
    let term = match state.term {
        Some(last) if !dir.was_unclean() => last,
        last => {
            let term = LeaderEpoch(last.map_or(0, |last| last.0.saturating_add(1)));
            records.push(MetadataRecord::Term { term });
            term
        }
    };
    if !records.is_empty() {
        log.write(&records).await?;
    }
    dir.begin_term(term);
    Ok((cluster_id, term))
}

fn open_topics(dir: &LogDir, state: MetadataState, clock: &SharedClock) -> Result<Index, TopicError> {
    settle_strangers(dir, &state)?;
    let mut topics = Vec::with_capacity(state.topics.len());
    let mut wanted = Vec::new();
    for (id, topic) in state.topics {
        let configs = stored_configs(&topic)?;
        wanted.extend(logs_of(&topic.name, id, 0..topic.partitions, &configs));
        topics.push((id, topic, configs));
    }
    let mut opened = partition_logs::open_all(dir, &wanted, clock)?.into_iter();
    let mut index = Index::default();
    for (id, topic, configs) in topics {
        let partitions: Vec<_> = opened.by_ref().take(usize::try_from(topic.partitions).unwrap_or(0)).collect();
        report_unusable(&partitions);
        let delay = if topic.delay { DelayName::parse(topic.name.as_str()).ok().flatten() } else { None };
        index.insert(Arc::new(Topic::new(topic.name, id, topic.internal, delay, partitions, configs)));
    }
    Ok(index)
}

/// Rules 16 and 17: finishes deletions that a crash interrupted, sets aside what no topic knows. Nothing is open yet but
/// the metadata log.
fn settle_strangers(dir: &LogDir, state: &MetadataState) -> Result<(), TopicError> {
    let doomed = RefCell::new(Vec::new());
    let known = |id: TopicId, partition: PartitionId| {
        if let Some(name) = state.deleted.get(&id) {
            doomed.borrow_mut().push(PartitionIdent { topic: name.clone(), topic_id: id, partition });
            return true;
        }
        let of_topic = state.topics.get(&id).is_some_and(|topic| (0..topic.partitions).contains(&partition.0));
        of_topic || id == METADATA_TOPIC_ID
    };
    for stray in dir.set_aside_strays(&known)? {
        tracing::warn!("{} belongs to no topic: it is set aside and not touched again", stray.display());
    }
    for ident in doomed.into_inner() {
        let partition = dir.open_existing(ident, TopicConfigs::default().log_config())?;
        dir.remove(&partition)?;
    }
    Ok(())
}

fn stored_configs(topic: &TopicState) -> Result<TopicConfigs, TopicError> {
    let pairs = topic.configs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let fault = |cause| MetadataFault::Configs { topic: topic.name.clone(), cause };
    Ok(TopicConfigs::from_pairs(pairs).map_err(fault)?)
}

fn report_unusable(partitions: &[Arc<Partition>]) {
    for partition in partitions {
        if let Err(cause) = partition.usable() {
            tracing::error!("{cause}");
        }
    }
}

/// What these partitions' logs are to be.
pub(super) fn logs_of(
    name: &TopicName,
    topic_id: TopicId,
    partitions: Range<i32>,
    configs: &TopicConfigs,
) -> impl Iterator<Item = (PartitionIdent, LogConfig)> {
    let (name, config) = (name.clone(), configs.log_config());
    partitions.map(move |partition| {
        let ident = PartitionIdent { topic: name.clone(), topic_id, partition: PartitionId(partition) };
        (ident, config.clone())
    })
}

#[cfg(test)]
mod tests;
