//! Write a partitioner for Sluicegate as one function:
//!
//! ```
//! use sluice_plugin::{Context, Message, partitioner};
//!
//! /// Everything that begins alike goes together.
//! fn partition(_ctx: &Context, message: &Message, partitions: u32) -> u32 {
//!     let first = message.value().and_then(|value| value.first());
//!     u32::from(first.copied().unwrap_or(0)) % partitions
//! }
//!
//! partitioner!(partition);
//! ```
//!
//! Build it with `cargo build --release --target wasm32-unknown-unknown` (crate type `cdylib`) and send it:
//! `curl -T target/wasm32-unknown-unknown/release/NAME.wasm http://localhost:8082/plugins/NAME`.
//!
//! A plugin with a configuration or with state implements [`Partitioner`] instead and is exported by
//! `partitioner!(struct TheType);`. Everything also builds for the author's own machine, where plain `#[test]`s call the
//! function with messages from [`testing`].
//!
//! Three parts: the types that an author sees (`message`, `partitioner`, `hash`, `host`, `testing`), the border to the
//! broker (`border`, generated from `sdk-wasm/wit`), and the macro that joins them.

#[doc(hidden)]
pub mod border;
mod hash;
pub mod host;
mod message;
mod partitioner;
pub mod testing;

pub use hash::{murmur2, partition_for_key};
pub use message::{Context, Headers, Message, Records, Source};
pub use partitioner::Partitioner;
