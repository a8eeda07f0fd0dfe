//! The gateway over real HTTP, in front of a real broker.

mod broker;
mod client;
mod failures;
mod fetch;
mod groups;
mod guard;
mod limits;
mod pages;
mod plugins;
mod produce;
mod topics;
