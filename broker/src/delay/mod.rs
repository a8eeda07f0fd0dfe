//! STUB to be replaced. The delay service: an ordinary client of the door. Rank 7.
#![allow(missing_docs)]
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::door::{Door, DoorError};
use crate::topics::Catalog;

#[derive(Debug)]
pub struct DelayService {}

impl DelayService {
    /// Reads `__sluice_delays` (internal, made at first use).
    pub async fn open(_door: Door, _catalog: Arc<Catalog>, _clock: SharedClock) -> Result<DelayService, DoorError> {
        todo!()
    }
    /// One task a proxy partition; follows topics made and deleted; ends when `stop` is cancelled, with every step durable.
    pub async fn run(self, _stop: CancellationToken) {
        todo!()
    }
}
