//! Topics made: what a request becomes, or why not; then directories, then the record, then visible. A crash in between
//! leaves directories without a topic, which the next start sets aside (rule 17); never a topic without its logs.

use std::sync::Arc;

use super::bad_config::BadConfig;
use super::catalog::{Catalog, Shared, blocking, logs_of};
use super::configs::TopicConfigs;
use super::delay_name::DelayName;
use super::error::{BadPartitions, BadReplication, RefusedName, TopicError};
use super::metadata_record::MetadataRecord;
use super::partition_logs;
use super::topic::{NewTopic, Topic};
use crate::ids::{TopicId, TopicName};
use crate::limits;

/// Names that only the broker makes.
const OWN_NAMES: [&str; 4] = ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];
/// And all that begin with this.
const OWN_PREFIX: &str = "__sluice_";
/// What a delay topic is set to, whatever the clients' clocks say (delay contract, "Ways in").
const TIMESTAMP_TYPE: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// A topic that may be made.
struct Plan {
    name: TopicName,
    partitions: i32,
    configs: TopicConfigs,
    internal: bool,
    delay: Option<DelayName>,
}

impl Catalog {
    /// Returns once the metadata record and the partitions' directories are durable. A `T.delay.D` gets LogAppendTime and makes `T` too.
    ///
    /// # Errors
    /// What `check` says; `TooManyFiles`, with nothing made; the log's.
    pub async fn create(&self, request: NewTopic) -> Result<Arc<Topic>, TopicError> {
        let shared = Arc::clone(&self.shared);
        self.run(async move { shared.create(&request).await }).await
    }

    /// Everything that `create` would refuse, without making anything.
    ///
    /// # Errors
    /// `Exists`, `BadName`, `RefusedName`, `BadPartitions`, `BadReplication`, `BadConfig`.
    pub(crate) fn check(&self, request: &NewTopic) -> Result<(), TopicError> {
        self.shared.plan(request).map(drop)
    }

    /// The topic, made if it is missing and auto-create is on; concurrent callers get the same one.
    ///
    /// # Errors
    /// `NotFound` where it may not be made, or what `create` says.
    pub(crate) async fn get_or_create(&self, name: &str, may_create: bool) -> Result<Arc<Topic>, TopicError> {
        match self.topic(name) {
            Err(TopicError::NotFound { .. }) if may_create && self.shared.rules.auto_create && !is_own_name(name) => {
                match self.create(NewTopic::named(name)).await {
                    Err(TopicError::Exists { .. }) => self.topic(name),
                    made => made,
                }
            }
            found => found,
        }
    }
}

impl Shared {
    async fn create(&self, request: &NewTopic) -> Result<Arc<Topic>, TopicError> {
        let _turn = self.turn.lock().await;
        let plans = self.plan(request)?;
        let ids: Vec<TopicId> = plans.iter().map(|_| TopicId::random()).collect();
        let wanted: Vec<_> = plans
            .iter()
            .zip(&ids)
            .flat_map(|(plan, id)| logs_of(&plan.name, *id, 0..plan.partitions, &plan.configs))
            .collect();
        let (dir, internal) = (Arc::clone(&self.dir), request.internal);
        let logs = blocking(move || {
            if !internal {
                partition_logs::check_files(&dir, wanted.len())?;
            }
            Ok(partition_logs::create_all(&dir, &wanted)?)
        });
        let logs = logs.await?;

        let records: Vec<_> = plans.iter().zip(&ids).map(|(plan, id)| plan.record(*id)).collect();
        self.record_or_remove(&records, &logs).await?;

        let mut logs = logs.into_iter();
        let made: Vec<_> = plans
            .into_iter()
            .zip(ids)
            .map(|(plan, id)| {
                let logs = logs.by_ref().take(usize::try_from(plan.partitions).unwrap_or(0)).collect();
                Arc::new(Topic::new(plan.name, id, plan.internal, plan.delay, logs, plan.configs))
            })
            .collect();
        self.publish(&made);
        self.snapshot_if_due().await;
        made.into_iter().next().ok_or_else(|| TopicError::NotFound { name: request.name.as_str().into() })
    }

    /// The requested topic first, then the targets that have to be made with it.
    fn plan(&self, request: &NewTopic) -> Result<Vec<Plan>, TopicError> {
        let name = TopicName::new(&request.name)?;
        if self.topic(&request.name).is_ok() {
            return Err(TopicError::Exists { name });
        }
        if !request.internal && is_own_name(&request.name) {
            return Err(RefusedName::OwnName { name }.into());
        }
        let delay = if request.internal { None } else { self.delay_name(&request.name)? };
        let configs = requested_configs(request, delay.is_some())?;
        check_replication(request, &configs)?;
        let partitions = match (request.partitions, &delay) {
            (Some(count), _) => count,
            // As many as its target: then a record keeps its partition number.
            (None, Some(delay)) => {
                self.topic(delay.target.as_str()).map_or(self.rules.partitions, |t| t.partition_count())
            }
            (None, None) => self.rules.partitions,
        };
        check_partitions(partitions)?;
        let mut plans = vec![Plan { name, partitions, configs, internal: request.internal, delay }];
        while let Some(target) = plans.last().and_then(|plan| plan.delay.as_ref()).map(|delay| delay.target.clone()) {
            match self.plan_target(&request.name, target, partitions)? {
                Some(plan) => plans.push(plan),
                None => break,
            }
        }
        Ok(plans)
    }

    /// `None` when the target exists. Names get shorter with every step, so a chain of delay topics ends.
    fn plan_target(&self, requested: &str, name: TopicName, partitions: i32) -> Result<Option<Plan>, TopicError> {
        let delay_topic = requested.to_owned();
        if is_own_name(name.as_str()) {
            return Err(RefusedName::OwnTarget { name: delay_topic, target: name }.into());
        }
        if self.topic(name.as_str()).is_ok() {
            return Ok(None);
        }
        if !self.rules.auto_create {
            return Err(RefusedName::NoTarget { name: delay_topic, target: name }.into());
        }
        let delay = self.delay_name(name.as_str())?;
        let set = delay.as_ref().map(|_| TIMESTAMP_TYPE);
        Ok(Some(Plan { name, partitions, configs: TopicConfigs::from_pairs(set)?, internal: false, delay }))
    }

    fn delay_name(&self, name: &str) -> Result<Option<DelayName>, TopicError> {
        match self.rules.delay_topics {
            true => DelayName::parse(name).map_err(|bad| RefusedName::from(bad).into()),
            false => Ok(None),
        }
    }

    /// Makes a change durable whose new logs are there already; takes these away again when it certainly failed.
    pub(super) async fn record_or_remove(
        &self,
        records: &[MetadataRecord],
        logs: &[Arc<crate::log::Partition>],
    ) -> Result<(), TopicError> {
        let Err(cause) = self.log.write(records).await else { return Ok(()) };
        // After a failed sync the record may be there at the next start, and would miss its logs.
        if self.log.usable() {
            let (dir, logs) = (Arc::clone(&self.dir), logs.to_vec());
            blocking(move || {
                partition_logs::remove_all(&dir, &logs);
                Ok(())
            })
            .await?;
        }
        Err(cause)
    }
}

impl Plan {
    fn record(&self, id: TopicId) -> MetadataRecord {
        MetadataRecord::Topic {
            id,
            name: self.name.clone(),
            partitions: self.partitions,
            configs: self.configs.set().clone(),
            internal: self.internal,
            delay: self.delay.is_some(),
        }
    }
}

fn is_own_name(name: &str) -> bool {
    name.starts_with(OWN_PREFIX) || OWN_NAMES.contains(&name)
}

fn requested_configs(request: &NewTopic, delay: bool) -> Result<TopicConfigs, BadConfig> {
    let mut pairs = Vec::with_capacity(request.configs.len() + 1);
    if delay {
        pairs.push(TIMESTAMP_TYPE);
    }
    for (key, value) in &request.configs {
        // As Kafka: null means "the default" only where a topic exists and can lose a value.
        let missing = || BadConfig::NoValue { key: key.clone() };
        pairs.push((key.as_str(), value.as_deref().ok_or_else(missing)?));
    }
    let configs = TopicConfigs::from_pairs(pairs)?;
    check_delay(delay, &request.name, &configs)?;
    Ok(configs)
}

/// A delay topic keeps the broker's time: due times must not depend on the clients' clocks.
pub(super) fn check_delay(delay: bool, name: &str, configs: &TopicConfigs) -> Result<(), BadConfig> {
    let (key, value) = TIMESTAMP_TYPE;
    if delay && configs.get(key) != Some(value) {
        return Err(BadConfig::FixedByDelay { topic: name.to_owned(), key, value });
    }
    if delay && configs.compacted() {
        // Every record is delivered, not the last of each key.
        return Err(BadConfig::CompactedDelay { topic: name.to_owned() });
    }
    Ok(())
}

pub(super) fn check_partitions(count: i32) -> Result<(), TopicError> {
    let max = limits::PARTITIONS_PER_TOPIC_MAX;
    if !(1..=max).contains(&count) {
        return Err(BadPartitions::OutOfBounds { asked: count, max }.into());
    }
    Ok(())
}

fn check_replication(request: &NewTopic, configs: &TopicConfigs) -> Result<(), TopicError> {
    match request.replication {
        None | Some(-1 | 1) => Ok(()),
        Some(2..) if configs.get("sluice.replication.accept") == Some("true") => Ok(()),
        Some(asked @ 2..) => Err(BadReplication::OneNode { asked }.into()),
        Some(asked) => Err(BadReplication::NotPositive { asked }.into()),
    }
}

#[cfg(test)]
mod tests;
