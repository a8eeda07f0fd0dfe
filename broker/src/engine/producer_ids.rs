//! STUB to be replaced. Hands out producer ids from durable blocks (rule 6).
#![allow(missing_docs)]
use std::sync::Arc;

use super::{Engine, EngineError};
use crate::config::Context;
use crate::ids::{ProducerEpoch, ProducerId};
use crate::topics::Catalog;

#[derive(Debug)]
pub struct ProducerIds {
    _catalog: Arc<Catalog>,
}

impl ProducerIds {
    pub fn new(catalog: Arc<Catalog>) -> ProducerIds {
        ProducerIds { _catalog: catalog }
    }
}

impl Engine {
    /// `current`: the id and epoch of a producer that wants the next epoch (KIP-360); a fresh id otherwise. A transactional id: `NoTransactions`.
    pub async fn init_producer_id(
        &self,
        _ctx: &Context,
        _transactional_id: Option<&str>,
        _current: Option<(ProducerId, ProducerEpoch)>,
    ) -> Result<(ProducerId, ProducerEpoch), EngineError> {
        todo!()
    }
    /// An id of the reserved range, for a stream of deduplicated appends (rule 19).
    pub async fn new_stream(&self) -> Result<ProducerId, EngineError> {
        todo!()
    }
}
