//! The small durable state of a service: the last value of each key, in an internal compacted topic of one partition that is
//! created at first use. Stands on the catalog and the log. A value counts once its record is durable; nothing is served from
//! memory.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::{Catalog, NewTopic, Topic, TopicError};
use crate::clock::SharedClock;
use crate::ids::{PartitionId, TopicName};
use crate::limits;
use crate::log::{AppendError, LogError, Origin, Partition, Replayed};
use crate::record::{self, Compression, Message, RecordError};

/// Why a keyed log was not read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum KeyedLogError {
    /// Its topic cannot be found or created.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Its partition cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record was not appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A record cannot be built.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// One keyed log.
#[derive(Debug)]
pub(crate) struct KeyedLog {
    catalog: Arc<Catalog>,
    clock: SharedClock,
    name: TopicName,
    log: OnceCell<Arc<Partition>>,
}

impl KeyedLog {
    /// The keyed log in the topic of that name; one handle for one service.
    #[must_use]
    pub(crate) fn new(catalog: Arc<Catalog>, clock: SharedClock, name: TopicName) -> KeyedLog {
        KeyedLog { catalog, clock, name, log: OnceCell::new() }
    }

    /// The last value of every key; empty before the first `put`. Blocking: reads the whole topic.
    ///
    /// # Errors
    /// A topic that cannot be read to its end: part of the values is never returned as if it were all.
    pub(crate) fn load(&self) -> Result<HashMap<Bytes, Bytes>, KeyedLogError> {
        let mut values = HashMap::new();
        let topic = match self.catalog.topic(self.name.as_str()) {
            Err(TopicError::NotFound { .. }) => return Ok(values),
            found => found?,
        };
        let partition = topic.partition(PartitionId(0))?;
        partition.replay::<LogError>(|found| {
            let Replayed::Records { records, .. } = found else { return Ok(()) };
            for record in records {
                // Copies, so that a value does not keep the bytes around it in memory.
                let key = Bytes::copy_from_slice(&record.key.unwrap_or_default());
                match record.value {
                    Some(value) => values.insert(key, Bytes::copy_from_slice(&value)),
                    None => values.remove(&key),
                };
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// Durable when this returns. `None` removes the key.
    ///
    /// # Errors
    /// The log's; after a restart the value may count all the same.
    pub(crate) async fn put(&self, key: Bytes, value: Option<Bytes>) -> Result<(), KeyedLogError> {
        let log = self.log.get_or_try_init(|| self.open()).await?;
        let message = Message { key: Some(key), value, ..Message::default() };
        let batch = record::build(&[message], self.clock.wall(), Compression::None, None)?;
        log.append_async(batch, Origin::Broker, ()).await.durable().await?;
        Ok(())
    }

    async fn open(&self) -> Result<Arc<Partition>, KeyedLogError> {
        let topic = match self.catalog.topic(self.name.as_str()) {
            Err(TopicError::NotFound { .. }) => self.create().await?,
            found => found?,
        };
        Ok(topic.partition(PartitionId(0))?)
    }

    async fn create(&self) -> Result<Arc<Topic>, KeyedLogError> {
        let configs = vec![
            ("cleanup.policy".to_owned(), Some("compact".to_owned())),
            ("segment.bytes".to_owned(), Some(limits::COMPACTED_SEGMENT_BYTES.to_string())),
        ];
        let request = NewTopic { partitions: Some(1), configs, internal: true, ..NewTopic::named(self.name.as_str()) };
        match self.catalog.create(request).await {
            Err(TopicError::Exists { .. }) => Ok(self.catalog.topic(self.name.as_str())?),
            created => Ok(created?),
        }
    }
}
