//! The HTTP gateway: the same log as the Kafka port, for curl, browsers and services without a Kafka client. It stands on the
//! broker's door and on nothing below.
//!
//! ```text
//! server      binds, accepts, bounds connections, drains
//! paths       every path; around them: problem::render, strict headers, guard, cors, metering
//! routes/     decode, ask the door, encode
//! formats/    bytes of requests to messages, records to bytes of answers (pure)
//! ```

mod answers;
mod app;
mod body;
pub mod config;
mod cors;
mod counted;
mod formats;
pub mod guard;
pub mod limits;
mod listen;
mod media;
mod metering;
mod openapi;
mod origin;
mod paths;
pub mod problem;
mod query;
mod refused;
mod routes;
pub mod schemas;
pub mod server;

pub use config::{BadSetting, GatewayConfig};
pub use listen::ListenError;
pub use server::Gateway;
