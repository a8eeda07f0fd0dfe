//! Topics grown, reconfigured and deleted. One change at a time, its record durable before anything acts on it.

use std::sync::Arc;

use super::catalog::{Catalog, Shared, blocking, logs_of};
use super::configs::ConfigChange;
use super::create::{check_delay, check_partitions};
use super::error::{BadPartitions, TopicError};
use super::metadata_record::MetadataRecord;
use super::partition_logs;
use super::topic::Topic;

impl Catalog {
    /// Gives a topic `count` partitions in all; those it has keep their numbers.
    ///
    /// # Errors
    /// `NotFound`; `BadPartitions` when the count is not larger than what there is; the log's.
    pub async fn grow(&self, name: &str, count: i32, validate_only: bool) -> Result<(), TopicError> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        self.run(async move { shared.grow(&name, count, validate_only).await }).await
    }

    /// All changes or none.
    ///
    /// # Errors
    /// `NotFound`; `BadConfig`; the log's.
    pub async fn alter_configs(
        &self,
        name: &str,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let (shared, name, changes) = (Arc::clone(&self.shared), name.to_owned(), changes.to_vec());
        self.run(async move { shared.alter_configs(&name, &changes, validate_only).await }).await
    }

    /// Rule 16: when this returns, the topic's end is durable, whoever waited for it has been told, and its directories
    /// are on their way out. The caller makes the groups forget it.
    ///
    /// # Errors
    /// `NotFound`; the log's.
    pub(crate) async fn delete(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        self.run(async move { shared.delete(&name).await }).await
    }
}

impl Shared {
    async fn grow(&self, name: &str, count: i32, validate_only: bool) -> Result<(), TopicError> {
        let _turn = self.turn.lock().await;
        let topic = self.topic(name)?;
        let current = topic.partition_count();
        check_partitions(count)?;
        if count <= current {
            return Err(BadPartitions::NotMore { topic: topic.name().clone(), current, asked: count }.into());
        }
        if validate_only {
            return Ok(());
        }
        let wanted: Vec<_> = logs_of(topic.name(), topic.id(), current..count, &topic.configs()).collect();
        let dir = Arc::clone(&self.dir);
        let fresh = blocking(move || {
            partition_logs::check_files(&dir, wanted.len())?;
            Ok(partition_logs::create_all(&dir, &wanted)?)
        });
        let fresh = fresh.await?;
        self.record_or_remove(&[MetadataRecord::Partitions { topic: topic.id(), count }], &fresh).await?;
        let mut partitions = topic.partitions().as_ref().clone();
        partitions.extend(fresh);
        topic.set_partitions(partitions);
        self.changed();
        self.snapshot_if_due().await;
        Ok(())
    }

    async fn alter_configs(&self, name: &str, changes: &[ConfigChange], validate_only: bool) -> Result<(), TopicError> {
        let _turn = self.turn.lock().await;
        let topic = self.topic(name)?;
        let before = topic.configs();
        let after = before.changed(changes)?;
        check_delay(topic.delay().is_some(), name, &after)?;
        if validate_only || after == *before {
            return Ok(());
        }
        let begins_to_sync = after.log_config().sync && !before.log_config().sync;
        if begins_to_sync {
            sync_all(&topic).await?;
        }
        let record = MetadataRecord::Configs { topic: topic.id(), configs: after.set().clone() };
        self.log.write(&[record]).await?;
        topic.set_configs(after);
        self.changed();
        if begins_to_sync {
            // What was appended meanwhile: whoever has the answer may rely on all that was there before.
            sync_all(&topic).await?;
        }
        self.snapshot_if_due().await;
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        let _turn = self.turn.lock().await;
        let topic = self.topic(name)?;
        self.log.write(&[MetadataRecord::TopicDeleted { topic: topic.id() }]).await?;
        topic.mark_deleted();
        self.withdraw(&topic);
        let (dir, partitions) = (Arc::clone(&self.dir), topic.partitions());
        if !blocking(move || Ok(partition_logs::remove_all(&dir, &partitions))).await? {
            self.lingering.lock().push(Arc::clone(&topic));
        }
        self.snapshot_if_due().await;
        Ok(topic)
    }
}

/// Everything that is in the topic's logs, on disk.
async fn sync_all(topic: &Topic) -> Result<(), TopicError> {
    for partition in topic.partitions().iter() {
        partition.sync_all().await?;
    }
    Ok(())
}
