//! The plugin host from outside, with guests written as WebAssembly text.

mod calls;
mod guests;
mod uploads;
