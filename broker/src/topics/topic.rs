//! One topic in memory, and the request for one. Holders keep an `Arc` as long as they like: counts and configs change under
//! them in one step, and after deletion everything stays readable while the partitions answer `Deleted`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use super::configs::TopicConfigs;
use super::delay_name::DelayName;
use super::error::TopicError;
use crate::ids::{Offset, PartitionId, TopicId, TopicName};
use crate::log::Partition;
use crate::record::AppendRules;

/// A request for a topic.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// The name, not checked yet.
    pub name: String,
    /// `None`: the broker's default, or what the target has where the name makes a delay topic.
    pub partitions: Option<i32>,
    /// `None` and 1 are the same; more is refused with what to do, unless `sluice.replication.accept=true`.
    pub replication: Option<i16>,
    /// Keys and values, not checked yet; a key without value is refused.
    pub configs: Vec<(String, Option<String>)>,
    /// Made by the broker for itself (`__consumer_offsets`, …); clients may not create, delete or write these.
    pub internal: bool,
}

impl NewTopic {
    /// A topic that has everything by default.
    #[must_use]
    pub fn named(name: &str) -> NewTopic {
        NewTopic { name: name.to_owned(), partitions: None, replication: None, configs: Vec::new(), internal: false }
    }
}

/// One topic. Cheap to hold; stays readable after deletion (its partitions then answer `Deleted`).
#[derive(Debug)]
pub struct Topic {
    name: TopicName,
    id: TopicId,
    internal: bool,
    delay: Option<DelayName>,
    partitions: ArcSwap<Vec<Arc<Partition>>>,
    configs: ArcSwap<TopicConfigs>,
    /// What the configs mean for batches, worked out once: it is asked for at every produce.
    rules: ArcSwap<AppendRules>,
    deleted: AtomicBool,
}

impl Topic {
    pub(super) fn new(
        name: TopicName,
        id: TopicId,
        internal: bool,
        delay: Option<DelayName>,
        partitions: Vec<Arc<Partition>>,
        configs: TopicConfigs,
    ) -> Topic {
        if delay.is_some() {
            hold(&partitions);
        }
        Topic {
            name,
            id,
            internal,
            delay,
            partitions: ArcSwap::from_pointee(partitions),
            rules: ArcSwap::from_pointee(configs.append_rules()),
            configs: ArcSwap::from_pointee(configs),
            deleted: AtomicBool::new(false),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// Its identity, which no other topic of that name ever has.
    #[must_use]
    pub fn id(&self) -> TopicId {
        self.id
    }

    /// Made by the broker for itself.
    #[must_use]
    pub fn internal(&self) -> bool {
        self.internal
    }

    /// Where its records go and when, if the topic was made as a delay topic.
    #[must_use]
    pub(crate) fn delay(&self) -> Option<&DelayName> {
        self.delay.as_ref()
    }

    /// How many partitions it has now.
    #[must_use]
    pub fn partition_count(&self) -> i32 {
        // Bounded by `limits::PARTITIONS_PER_TOPIC_MAX`.
        i32::try_from(self.partitions.load().len()).unwrap_or(i32::MAX)
    }

    /// One partition.
    ///
    /// # Errors
    /// `NoPartition`.
    pub fn partition(&self, partition: PartitionId) -> Result<Arc<Partition>, TopicError> {
        let at = usize::try_from(partition.0).ok();
        at.and_then(|at| self.partitions.load().get(at).cloned())
            .ok_or_else(|| TopicError::NoPartition { topic: self.name.clone(), partition: partition.0 })
    }

    /// All partitions, the number being the place.
    #[must_use]
    pub fn partitions(&self) -> Arc<Vec<Arc<Partition>>> {
        self.partitions.load_full()
    }

    /// What is set on it now.
    #[must_use]
    pub fn configs(&self) -> Arc<TopicConfigs> {
        self.configs.load_full()
    }

    /// What it asks of batches.
    #[must_use]
    pub(crate) fn append_rules(&self) -> AppendRules {
        **self.rules.load()
    }

    /// It was deleted after the caller got it.
    #[cfg(test)]
    pub(crate) fn deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// The ones that are there already, and new ones.
    pub(super) fn set_partitions(&self, partitions: Vec<Arc<Partition>>) {
        if self.delay.is_some() {
            hold(&partitions[self.partitions.load().len().min(partitions.len())..]);
        }
        self.partitions.store(Arc::new(partitions));
    }

    /// Also tells the open logs.
    pub(super) fn set_configs(&self, configs: TopicConfigs) {
        for partition in self.partitions.load().iter() {
            partition.reconfigure(configs.log_config());
        }
        self.rules.store(Arc::new(configs.append_rules()));
        self.configs.store(Arc::new(configs));
    }

    pub(super) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }
}

/// Records of a delay topic are the queue of what is to be delivered: none goes before the service has said that it did.
fn hold(partitions: &[Arc<Partition>]) {
    for partition in partitions {
        partition.hold(Offset::ZERO);
    }
}
