//! The gateway over real HTTP, in front of a real broker.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod broker;
mod client;
mod failures;
mod fetch;
mod groups;
mod guard;
mod limits;
mod metrics;
mod pages;
mod plugins;
mod produce;
mod topics;
