//! The small durable state of a service: the last value of each key, in an internal compacted topic.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Door, DoorError};
use crate::topics::{self, KeyedLogError};

/// One such topic.
#[derive(Debug)]
pub struct KeyedLog {
    log: topics::KeyedLog,
}

impl Door {
    /// The keyed log of that name; one handle for one service.
    #[must_use]
    pub fn keyed_log(&self, name: &'static str) -> KeyedLog {
        KeyedLog { log: self.engine.keyed_log(name) }
    }
}

impl KeyedLog {
    /// The last value of every key; empty before the first `put`. Blocking: reads the whole topic.
    ///
    /// # Errors
    /// A topic that cannot be read to its end: part of the values is never returned as if it were all.
    pub fn load(&self) -> Result<HashMap<Bytes, Bytes>, DoorError> {
        self.log.load().map_err(fact)
    }

    /// Durable when this returns. `None` removes the key.
    ///
    /// # Errors
    /// The log's; after a restart the value may count all the same.
    pub async fn put(&self, key: Bytes, value: Option<Bytes>) -> Result<(), DoorError> {
        self.log.put(key, value).await.map_err(fact)
    }
}

fn fact(error: KeyedLogError) -> DoorError {
    match error {
        KeyedLogError::Topic(error) => error.into(),
        KeyedLogError::Log(error) => error.into(),
        KeyedLogError::Append(error) => error.into(),
        KeyedLogError::Record(error) => error.into(),
    }
}
