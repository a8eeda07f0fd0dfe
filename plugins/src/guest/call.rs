//! Who calls, as a guest sees it (`record context` of the contract).

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lower};

/// The door that records came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Source {
    /// The Kafka port.
    #[component(name = "kafka")]
    Kafka,
    /// The HTTP gateway.
    #[component(name = "http")]
    Http,
    /// The delay service.
    #[component(name = "delay")]
    Delay,
}

/// Who calls. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub struct CallContext {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The authenticated name.
    pub principal: Arc<str>,
    /// The caller's own claim; no boundary.
    #[component(name = "client-id")]
    pub client_id: Arc<str>,
    /// The door.
    pub source: Source,
}
