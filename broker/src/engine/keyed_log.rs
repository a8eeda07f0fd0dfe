//! Hands out keyed logs: the small durable state of a service, under the name of its internal topic.

use std::sync::Arc;

use super::Engine;
use crate::auth::{Granted, Write};
use crate::ids::TopicName;
use crate::topics::KeyedLog;

impl Engine {
    /// The keyed log in the topic of that name; one handle for one service.
    #[must_use]
    pub(crate) fn keyed_log(&self, topic: Granted<Write, TopicName>) -> KeyedLog {
        KeyedLog::new(Arc::clone(&self.catalog), Arc::clone(&self.clock), topic.into_resource())
    }
}
