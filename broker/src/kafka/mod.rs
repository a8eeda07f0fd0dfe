//! The Kafka port over the engine. Rank 6; the only place that knows the wire protocol's codec (the
//! group coordinator's records aside).
//!
//! ```text
//! listener ─ accept ─ connection ─ frame (admitted by bytes) ─ header (versions) ─ dispatch ─ bounds, costs ─ decode ─ handlers/ ─ engine
//!                         └ write ◁───────────────────────────────────────────── encode, answer ◁──────────────────┘
//! ```

mod accept;
mod answer;
mod bounds;
mod call;
mod connection;
mod costs;
mod dispatch;
mod errors;
mod frame;
mod handlers;
mod header;
mod listener;
mod metering;
mod outlet;
mod refusing;
mod sending;
mod throttle;
mod versions;
mod wire_layout;
mod write;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::listener::Bound;
pub(crate) use self::listener::ListenError;
use self::metering::Metering;
use crate::config::KafkaListener;
use crate::engine::Engine;
use crate::metrics::Section;
use crate::tasks::{Vital, VitalTask};

/// The bound Kafka port; not yet accepting (the system queues connections meanwhile).
#[derive(Debug)]
pub struct KafkaServer {
    bound: Vec<Bound>,
    engine: Arc<Engine>,
    metering: Arc<Metering>,
}

impl KafkaServer {
    /// Binds every listener. A name is bound on all of its addresses, IPv4 and IPv6, with one port.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub async fn bind(listeners: &[KafkaListener], engine: Arc<Engine>) -> Result<KafkaServer, ListenError> {
        let mut bound = Vec::with_capacity(listeners.len());
        for listener in listeners {
            bound.push(listener::bind(listener).await?);
        }
        let metering = Metering::new(Arc::clone(engine.clock()), engine.config().connections.max_connections);
        Ok(KafkaServer { bound, engine, metering })
    }

    /// `host:port` of each listener as bound (the real port for 0), for the banner.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.bound.iter().map(|bound| bound.shown.clone()).collect()
    }

    /// What is counted here, for `/metrics`.
    #[must_use]
    pub(crate) fn section(&self) -> Arc<dyn Section> {
        Arc::clone(&self.metering) as Arc<dyn Section>
    }

    /// Accepts until `stop`; then lets every connection finish what is in flight (`limits::DRAIN_MS` at most), and closes.
    /// One vital task a socket.
    #[must_use]
    pub fn start(self, stop: &CancellationToken) -> Vec<VitalTask> {
        let tasks = self.engine.tasks().clone();
        let shared = accept::Shared::new(self.engine, self.metering);
        let mut ports = Vec::new();
        for Bound { sockets, advertised, shown } in self.bound {
            let name = format!("kafka-port {shown}");
            let listener = accept::Listener { name: shown.into(), advertised };
            for socket in sockets {
                let accepting = accept::run(socket, listener.clone(), Arc::clone(&shared), stop.clone());
                ports.push(tasks.vital(Vital::new(&*name, stop.clone()), accepting));
            }
        }
        ports
    }
}
