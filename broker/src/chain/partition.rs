//! STUB to be replaced. The bound partitioner of a topic, or Kafka's own rule.
#![allow(missing_docs)]
use std::sync::Arc;

use crate::config::Context;
use crate::ids::PartitionId;
use crate::record::Message;
use crate::topics::Topic;

#[derive(Clone, Debug, thiserror::Error)]
pub enum ChainError {
    /// The plugin is not there or damaged: the topic refuses records until it is.
    #[error("topic '{topic}' is bound to partitioner '{plugin}': {reason}")]
    Unavailable { topic: String, plugin: String, reason: String },
    /// The plugin failed on these records (trap, time-out, memory, wrong answer) and the policy is to reject.
    #[error("partitioner '{plugin}' of topic '{topic}' failed: {reason}")]
    Failed { topic: String, plugin: String, reason: String },
}

/// Bindings of topics to loaded partitioners; looked up by the topic's config on each call, kept while it does not change.
#[derive(Debug)]
pub struct Partitioners {}

impl Partitioners {
    pub fn new(_host: Arc<sluice_plugins::Host>) -> Partitioners {
        todo!()
    }
    pub fn host(&self) -> &Arc<sluice_plugins::Host> {
        todo!()
    }
    /// One partition a message, in order: the bound plugin's choice; else murmur2 of the key as the Java client;
    /// keyless messages share one sticky partition a call.
    pub async fn choose(
        &self,
        _ctx: &Context,
        _topic: &Topic,
        _messages: &[Message],
    ) -> Result<Vec<PartitionId>, ChainError> {
        todo!()
    }
    /// Called before a config change that binds is accepted: loads the plugin and runs its `init`.
    pub async fn check_binding(&self, _topic: &str, _plugin: &str, _config: &str) -> Result<(), ChainError> {
        todo!()
    }
}
