//! DeleteRecords: moves the log start of a partition. Answered when no crash can bring the records back.

use super::{Engine, EngineError};
use crate::auth::{Delete, Granted};
use crate::ids::{Offset, PartitionId, TopicRef};
use crate::log::{DeleteRecordsError, DeleteUntil};
use crate::topics::{Refused, RefusedName, Topic, TopicError};

impl Engine {
    /// Deletes the records below an offset, in partitions of one topic; the new log start of each, in order. Partitions are
    /// worked through one after the other: each waits for its own sync.
    ///
    /// # Errors
    /// Each: an unknown or internal topic; a topic that is only compacted, or whose records wait for their delivery; an offset
    /// above HW; a log that cannot be written.
    pub(crate) async fn delete_records(
        &self,
        topic: &Granted<Delete, TopicRef>,
        partitions: Vec<(PartitionId, DeleteUntil)>,
    ) -> Vec<Result<Offset, EngineError>> {
        let topic = self.resolve(topic.resource());
        let mut outcomes = Vec::with_capacity(partitions.len());
        for (partition, until) in partitions {
            outcomes.push(match &topic {
                Ok(topic) => delete(topic, partition, until).await,
                Err(error) => Err(error.clone()),
            });
        }
        outcomes
    }
}

async fn delete(topic: &Topic, partition: PartitionId, until: DeleteUntil) -> Result<Offset, EngineError> {
    if topic.internal() {
        // As Kafka answers it, which calls it an invalid topic.
        return Err(TopicError::from(RefusedName::OwnRecords { name: topic.name().clone() }).into());
    }
    topic.partition(partition)?.delete_records(until).await.map_err(|error| match error {
        DeleteRecordsError::Log(error) => error.into(),
        refused @ (DeleteRecordsError::Policy { .. } | DeleteRecordsError::Held { .. }) => {
            TopicError::from(Refused::Records(refused)).into()
        }
    })
}
