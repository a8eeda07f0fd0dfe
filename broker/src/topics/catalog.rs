//! STUB to be replaced. Every topic, in memory, as the metadata log has it.
#![allow(missing_docs)]
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::watch;

use super::configs::{ConfigChange, TopicConfigs};
use super::error::TopicError;
use crate::clock::SharedClock;
use crate::config::BrokerConfig;
use crate::ids::{LeaderEpoch, PartitionId, TopicId, TopicName};
use crate::log::{LogDir, Partition};

/// A wish for a topic.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: String,
    /// `None`: the broker's default.
    pub partitions: Option<i32>,
    /// `None` and 1 are the same; more is refused with what to do, unless `sluice.replication.accept=true`.
    pub replication: Option<i16>,
    pub configs: Vec<(String, Option<String>)>,
    /// Made by the broker for itself (`__consumer_offsets`, …); clients may not create, delete or write these.
    pub internal: bool,
}

/// One topic. Cheap to hold; stays readable after deletion (its partitions then answer `Deleted`).
#[derive(Debug)]
pub struct Topic {}

impl Topic {
    pub fn name(&self) -> &TopicName {
        todo!()
    }
    pub fn id(&self) -> TopicId {
        todo!()
    }
    pub fn internal(&self) -> bool {
        todo!()
    }
    pub fn partition_count(&self) -> i32 {
        todo!()
    }
    pub fn partition(&self, _partition: PartitionId) -> Result<Arc<Partition>, TopicError> {
        todo!()
    }
    pub fn partitions(&self) -> Arc<Vec<Arc<Partition>>> {
        todo!()
    }
    pub fn configs(&self) -> Arc<TopicConfigs> {
        todo!()
    }
    pub fn deleted(&self) -> bool {
        todo!()
    }
}

#[derive(Debug)]
pub struct Catalog {}

impl Catalog {
    /// Replays the metadata log, raises the term after an unclean stop (durably, before anything is served: rule 5), opens
    /// (recovers) every partition, sets strays aside. Prints progress on long recoveries through `tracing`.
    pub async fn open(
        _dir: Arc<LogDir>,
        _config: &BrokerConfig,
        _clock: SharedClock,
    ) -> Result<Arc<Catalog>, TopicError> {
        todo!()
    }
    /// 22 characters, as Kafka's cluster ids; made at the first start and kept.
    pub fn cluster_id(&self) -> &str {
        todo!()
    }
    pub fn term(&self) -> LeaderEpoch {
        todo!()
    }
    pub fn topic(&self, _name: &str) -> Result<Arc<Topic>, TopicError> {
        todo!()
    }
    pub fn topic_by_id(&self, _id: TopicId) -> Result<Arc<Topic>, TopicError> {
        todo!()
    }
    /// In order of names.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        todo!()
    }
    /// Returns once the metadata record and the partitions' directories are durable. A `T.delay.D` gets LogAppendTime and makes `T` too.
    pub async fn create(&self, _wish: NewTopic) -> Result<Arc<Topic>, TopicError> {
        todo!()
    }
    /// Everything that `create` would refuse, without making anything.
    pub fn check(&self, _wish: &NewTopic) -> Result<(), TopicError> {
        todo!()
    }
    /// The topic, made if it is missing and auto-create is on; concurrent callers get the same one.
    pub async fn get_or_create(&self, _name: &str, _may_create: bool) -> Result<Arc<Topic>, TopicError> {
        todo!()
    }
    pub async fn delete(&self, _name: &str) -> Result<Arc<Topic>, TopicError> {
        todo!()
    }
    pub async fn grow(&self, _name: &str, _count: i32, _validate_only: bool) -> Result<(), TopicError> {
        todo!()
    }
    pub async fn alter_configs(
        &self,
        _name: &str,
        _changes: &[ConfigChange],
        _validate_only: bool,
    ) -> Result<(), TopicError> {
        todo!()
    }
    /// A block of `limits::PRODUCER_ID_BLOCK` ids that nobody else will get, reserved durably (rule 6). The reserved range above
    /// `log::partition::RESERVED_PRODUCER_IDS` has a counter of its own for streams.
    pub async fn reserve_producer_ids(&self, _for_streams: bool) -> Result<Range<i64>, TopicError> {
        todo!()
    }
    /// Changes value whenever topics are made, deleted, grown or reconfigured.
    pub fn changes(&self) -> watch::Receiver<u64> {
        todo!()
    }
}
