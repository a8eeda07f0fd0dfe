//! Which partition a message would go to, for a service that appends to a chosen partition itself.

use super::error::ChainError;
use super::{Context, Door, Message};
use crate::ids::PartitionId;
use crate::topics::Topic;

pub use crate::record::{partition_for_key, size_bound};

impl Door {
    /// What the plugin says that is bound to the topic, one partition a message, in order; `None` when none is bound.
    ///
    /// # Errors
    /// `Unavailable` when the plugin cannot be loaded now, `Failed` when it failed on these messages.
    pub async fn bound_partitions(
        &self,
        ctx: &Context,
        topic: &Topic,
        messages: &[Message],
    ) -> Result<Option<Vec<PartitionId>>, ChainError> {
        if topic.configs().partitioner().is_none() {
            return Ok(None);
        }
        self.engine.partitioners().choose(ctx, topic, messages).await.map(Some)
    }
}
