//! The real binary from outside: what it prints, refuses and returns.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod broker;
mod configuration;
mod process;
mod serve;
mod vital_tasks;
