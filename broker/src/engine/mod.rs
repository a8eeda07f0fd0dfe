//! Raw verbs over topics, logs and groups: what the Kafka port and the door's local half call. Rank 5. Authorisation and
//! quotas have their place here, once, when they come. Never remote, knows no wire format.
#![allow(missing_docs)]

pub mod configs;
pub mod error;
pub mod fetch;
pub mod offsets;
pub mod produce;
pub mod producer_ids;
pub mod topics;

use std::sync::Arc;

use crate::chain::Partitioners;
use crate::clock::SharedClock;
use crate::config::BrokerConfig;
use crate::coordinator::group::Groups;
use crate::topics::Catalog;

pub use error::EngineError;

/// The broker's verbs.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) clock: SharedClock,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) partitioners: Arc<Partitioners>,
    pub(crate) producer_ids: producer_ids::ProducerIds,
}

impl Engine {
    pub fn new(
        config: Arc<BrokerConfig>,
        clock: SharedClock,
        catalog: Arc<Catalog>,
        groups: Arc<Groups>,
        partitioners: Arc<Partitioners>,
    ) -> Arc<Engine> {
        let producer_ids = producer_ids::ProducerIds::new(Arc::clone(&catalog));
        Arc::new(Engine { config, clock, catalog, groups, partitioners, producer_ids })
    }
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }
    /// The group verbs are the coordinator's own.
    pub fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }
    pub fn partitioners(&self) -> &Arc<Partitioners> {
        &self.partitioners
    }
}
