//! Producer ids in blocks: the reservation of a block is durable before its first id is given (rule 6). Under
//! `producer_ids.rs`; knows the catalog, whose log holds the reservations, and never an id that was not reserved.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::ids::ProducerId;
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

    pub(super) async fn next(&self, for_streams: bool) -> Result<ProducerId, TopicError> {
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
