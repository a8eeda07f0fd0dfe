//! The small durable state of a service: the last value of each key, in an internal compacted topic.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::error::DoorError;
use super::Door;
use crate::context::Context;
use crate::ids::TopicName;
use crate::topics;

/// One such topic.
#[derive(Debug)]
pub(crate) struct KeyedLog {
    log: topics::KeyedLog,
}

impl Door {
    /// The keyed log of that name; one handle for one service.
    ///
    /// # Errors
    /// `BadName` for a name that no topic can have.
    pub(crate) fn keyed_log(&self, ctx: &Context, name: &str) -> Result<KeyedLog, DoorError> {
        let topic = self.engine.auth().ask(ctx, TopicName::new(name)?)?;
        Ok(KeyedLog { log: self.engine.keyed_log(topic) })
    }
}

impl KeyedLog {
    /// The last value of every key; empty before the first `put`. Blocking: reads the whole topic.
    ///
    /// # Errors
    /// A topic that cannot be read to its end: part of the values is never returned as if it were all.
    pub(crate) fn load(&self) -> Result<HashMap<Bytes, Bytes>, DoorError> {
        Ok(self.log.load()?)
    }

    /// Durable when this returns. `None` removes the key.
    ///
    /// # Errors
    /// A storage failure; after a restart the value may count all the same.
    pub(crate) async fn put(&self, key: Bytes, value: Option<Bytes>) -> Result<(), DoorError> {
        Ok(self.log.put(key, value).await?)
    }
}
