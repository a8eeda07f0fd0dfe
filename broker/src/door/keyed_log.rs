//! The small durable state of a service: the last value of each key, in an internal compacted topic of one partition that is
//! made at first use. A value counts when its record is durable; nothing is read from memory.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::error::{LogError, TopicError};
use super::{Door, DoorError, Message};
use crate::ids::PartitionId;
use crate::limits;
use crate::log::{Origin, Partition};
use crate::record::{self, Compression};
use crate::topics::{NewTopic, Topic};

/// One such topic.
#[derive(Debug)]
pub struct KeyedLog {
    door: Door,
    name: &'static str,
    log: OnceCell<Arc<Partition>>,
}

impl Door {
    /// The keyed log of that name; one handle for one service.
    #[must_use]
    pub fn keyed_log(&self, name: &'static str) -> KeyedLog {
        KeyedLog { door: self.clone(), name, log: OnceCell::new() }
    }
}

impl KeyedLog {
    /// The last value of every key; nothing before the first `put` ever. Blocking: reads the whole topic.
    ///
    /// # Errors
    /// A topic that cannot be read to its end: never a part of it as if it were all.
    pub fn load(&self) -> Result<HashMap<Bytes, Bytes>, DoorError> {
        let mut values = HashMap::new();
        let topic = match self.door.engine.catalog().topic(self.name) {
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
                    // Copies, so that a value does not keep what was read with it.
                    let key = Bytes::copy_from_slice(&view.key.unwrap_or_default());
                    match view.value {
                        Some(value) => values.insert(key, Bytes::copy_from_slice(&value)),
                        None => values.remove(&key),
                    };
                }
            }
            if from <= before {
                let reason = format!("nothing can be read at offset {before} below {}", offsets.hw);
                return Err(LogError::Offline { partition: format!("{}-0", self.name), reason }.into());
            }
        }
        Ok(values)
    }

    /// Durable when this returns. `None` removes the key.
    ///
    /// # Errors
    /// The log's; the value may count all the same after a restart.
    pub async fn put(&self, key: Bytes, value: Option<Bytes>) -> Result<(), DoorError> {
        let log = self.log.get_or_try_init(|| self.open()).await?;
        let message = Message { key: Some(key), value, ..Message::default() };
        let batch = record::build(&[message], self.door.now(), Compression::None, None)?;
        let appended = log.append(batch, Origin::Broker).map_err(|refused| refused.error)?;
        Ok(log.durable(appended.durable_at).await?)
    }

    async fn open(&self) -> Result<Arc<Partition>, DoorError> {
        let topic = match self.door.engine.catalog().topic(self.name) {
            Err(TopicError::NotFound { .. }) => self.make().await?,
            found => found?,
        };
        Ok(topic.partition(PartitionId(0))?)
    }

    async fn make(&self) -> Result<Arc<Topic>, DoorError> {
        let configs = vec![
            ("cleanup.policy".to_owned(), Some("compact".to_owned())),
            ("segment.bytes".to_owned(), Some(limits::COMPACTED_SEGMENT_BYTES.to_string())),
        ];
        let wish = NewTopic { partitions: Some(1), configs, internal: true, ..NewTopic::named(self.name) };
        match self.door.engine.catalog().create(wish).await {
            Err(TopicError::Exists { .. }) => Ok(self.door.engine.catalog().topic(self.name)?),
            made => Ok(made?),
        }
    }
}
