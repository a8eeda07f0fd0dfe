//! Hands out producer ids from blocks whose reservation is durable before the first is given (rule 6).

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Engine, EngineError};
use crate::auth::{Cluster, Granted, IdempotentWrite};
use crate::ids::{ProducerEpoch, ProducerId};
use crate::topics::{Catalog, Refused, TopicError};

/// Two counters: one for clients, one for the broker's own streams (rule 19).
#[derive(Debug)]
pub(super) struct ProducerIds {
    catalog: Arc<Catalog>,
    // Async mutexes: the next block is awaited inside, so that two callers never reserve at once.
    clients: Mutex<Range<i64>>,
    streams: Mutex<Range<i64>>,
}

impl ProducerIds {
    pub(super) fn new(catalog: Arc<Catalog>) -> ProducerIds {
        ProducerIds { catalog, clients: Mutex::new(0..0), streams: Mutex::new(0..0) }
    }

    async fn next(&self, for_streams: bool) -> Result<ProducerId, TopicError> {
        let counter = if for_streams { &self.streams } else { &self.clients };
        let mut block = counter.lock().await;
        if let Some(id) = block.next() {
            return Ok(ProducerId(id));
        }
        let mut fresh = self.catalog.reserve_producer_ids(for_streams).await?;
        let first = fresh.next().ok_or(Refused::NoProducerIds)?;
        *block = fresh;
        Ok(ProducerId(first))
    }
}

impl Engine {
    /// A new id at epoch 0, even if the producer had one before: Kafka does the same without a transactional id.
    ///
    /// # Errors
    /// `NoTransactions` when a transactional id is given; a log error when the reservation cannot be made durable.
    pub async fn init_producer_id(
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
    pub async fn new_stream(&self, _permit: &Granted<IdempotentWrite, Cluster>) -> Result<ProducerId, EngineError> {
        Ok(self.producer_ids.next(true).await?)
    }
}
