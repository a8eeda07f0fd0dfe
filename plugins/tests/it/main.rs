//! The plugin host from outside, with guests written as WebAssembly text.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod calls;
mod catalog;
mod guests;
mod uploads;
