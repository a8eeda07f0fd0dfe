//! DeleteRecords: moves the log start of a partition. Answered when no crash can bring the records back.

use super::{Engine, EngineError};
use crate::context::Context;
use crate::ids::{Offset, PartitionId, TopicRef};
use crate::log::{DeleteRecordsError, DeleteUntil};
use crate::topics::TopicError;

impl Engine {
    /// Deletes what is below `until`; returns where the log begins now.
    ///
    /// # Errors
    /// An unknown or internal topic; a topic that is compacted only, or whose records wait for their delivery; an offset
    /// above HW; a log that cannot be written.
    pub async fn delete_records(
        &self,
        _ctx: &Context,
        topic: &TopicRef,
        partition: PartitionId,
        until: DeleteUntil,
    ) -> Result<Offset, EngineError> {
        let topic = self.resolve(topic)?;
        if topic.internal() {
            // As Kafka answers it, which calls it an invalid topic.
            let reason = format!("records of '{}' cannot be deleted: it is the broker's own", topic.name());
            return Err(TopicError::RefusedName { reason }.into());
        }
        topic.partition(partition)?.delete_records(until).await.map_err(|error| match error {
            DeleteRecordsError::Log(error) => error.into(),
            refused @ (DeleteRecordsError::Policy { .. } | DeleteRecordsError::Held { .. }) => {
                TopicError::Refused { reason: refused.to_string() }.into()
            }
        })
    }
}
