//! The small durable state of a service: the last value of each key, in an internal compacted topic of one partition that is
//! created at first use. Stands on the catalog and the log. A value counts once its record is durable; nothing is served from
//! memory.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::{Catalog, NewTopic, Topic, TopicError};
use crate::clock::SharedClock;
use crate::ids::{Offset, PartitionId};
use crate::limits;
use crate::log::{AppendError, LogError, Origin, Partition};
use crate::record::{self, Compression, Message, RecordError};

/// Why a keyed log was not read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyedLogError {
    /// Its topic cannot be found or created.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Its partition cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record was not appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A record is damaged, or cannot be built.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A read below the end returned nothing.
    #[error("topic '{topic}' ends at offset {end}, and nothing can be read at offset {at}")]
    Unreadable {
        /// The keyed log's topic.
        topic: &'static str,
        /// Where the read stopped.
        at: Offset,
        /// The end of the log.
        end: Offset,
    },
}

/// One keyed log.
#[derive(Debug)]
pub struct KeyedLog {
    catalog: Arc<Catalog>,
    clock: SharedClock,
    name: &'static str,
    log: OnceCell<Arc<Partition>>,
}

impl KeyedLog {
    /// The keyed log in the topic of that name; one handle for one service.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, clock: SharedClock, name: &'static str) -> KeyedLog {
        KeyedLog { catalog, clock, name, log: OnceCell::new() }
    }

    /// The last value of every key; empty before the first `put`. Blocking: reads the whole topic.
    ///
    /// # Errors
    /// A topic that cannot be read to its end: part of the values is never returned as if it were all.
    pub fn load(&self) -> Result<HashMap<Bytes, Bytes>, KeyedLogError> {
        let mut values = HashMap::new();
        let topic = match self.catalog.topic(self.name) {
            Err(TopicError::NotFound { .. }) => return Ok(values),
            found => found?,
        };
        let partition = topic.partition(PartitionId(0))?;
        partition.usable()?;
        let offsets = partition.offsets();
        let mut from = offsets.log_start;
        while from < offsets.hw {
            let before = from;
            let mut bytes = partition.read(from, limits::REPLAY_READ_BYTES)?.records;
            while !bytes.is_empty() {
                let batch = record::check_stored(bytes.clone())?;
                let _ = bytes.split_to(batch.header().size);
                from = batch.header().next_offset();
                for view in record::records(&batch)? {
                    // Copies, so that a value does not keep the bytes around it in memory.
                    let key = Bytes::copy_from_slice(&view.key.unwrap_or_default());
                    match view.value {
                        Some(value) => values.insert(key, Bytes::copy_from_slice(&value)),
                        None => values.remove(&key),
                    };
                }
            }
            if from <= before {
                return Err(KeyedLogError::Unreadable { topic: self.name, at: before, end: offsets.hw });
            }
        }
        Ok(values)
    }

    /// Durable when this returns. `None` removes the key.
    ///
    /// # Errors
    /// The log's; after a restart the value may count all the same.
    pub async fn put(&self, key: Bytes, value: Option<Bytes>) -> Result<(), KeyedLogError> {
        let log = self.log.get_or_try_init(|| self.open()).await?;
        let message = Message { key: Some(key), value, ..Message::default() };
        let batch = record::build(&[message], self.clock.wall(), Compression::None, None)?;
        log.append(batch, Origin::Broker).durable().await?;
        Ok(())
    }

    async fn open(&self) -> Result<Arc<Partition>, KeyedLogError> {
        let topic = match self.catalog.topic(self.name) {
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
        let request = NewTopic { partitions: Some(1), configs, internal: true, ..NewTopic::named(self.name) };
        match self.catalog.create(request).await {
            Err(TopicError::Exists { .. }) => Ok(self.catalog.topic(self.name)?),
            created => Ok(created?),
        }
    }
}
