//! Hands out producer ids from blocks whose reservation is durable before the first is given (rule 6).

use super::{Engine, EngineError};
use crate::auth::{Cluster, Granted, IdempotentWrite};
use crate::ids::{ProducerEpoch, ProducerId};

impl Engine {
    /// A new id at epoch 0, even if the producer had one before: Kafka does the same without a transactional id.
    ///
    /// # Errors
    /// `NoTransactions` when a transactional id is given; a log error when the reservation cannot be made durable.
    pub(crate) async fn init_producer_id(
        &self,
        _permit: &Granted<IdempotentWrite, Cluster>,
        transactional_id: Option<&str>,
    ) -> Result<(ProducerId, ProducerEpoch), EngineError> {
        if transactional_id.is_some() {
            return Err(EngineError::NoTransactions { what: "InitProducerId with a transactional id" });
        }
        Ok((self.producer_ids.next(false).await?, ProducerEpoch(0)))
    }

    /// An id of the reserved range, for a stream of deduplicated appends (rule 19).
    ///
    /// # Errors
    /// A log error when the reservation cannot be made durable.
    pub(crate) async fn new_stream(
        &self,
        _permit: &Granted<IdempotentWrite, Cluster>,
    ) -> Result<ProducerId, EngineError> {
        Ok(self.producer_ids.next(true).await?)
    }
}
