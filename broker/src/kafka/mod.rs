//! STUB to be replaced. The Kafka port over the engine. Rank 6; the only place that knows the wire protocol's codec.
#![allow(missing_docs)]
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::KafkaListener;
use crate::engine::Engine;

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct ListenError {
    pub address: String,
    pub cause: std::io::Error,
}

/// The bound Kafka port; not yet accepting.
#[derive(Debug)]
pub struct KafkaServer {}

impl KafkaServer {
    /// Binds every listener (a name is bound on all of its addresses, IPv4 and IPv6).
    pub async fn bind(_listeners: &[KafkaListener], _engine: Arc<Engine>) -> Result<KafkaServer, ListenError> {
        todo!()
    }
    /// `host:port` of each listener as bound (real port for 0), for the banner.
    pub fn addresses(&self) -> Vec<String> {
        todo!()
    }
    /// Accepts until `stop`; then lets every connection finish what is in flight (at most `limits::DRAIN`), closes, returns.
    pub async fn serve(self, _stop: CancellationToken) {
        todo!()
    }
}
