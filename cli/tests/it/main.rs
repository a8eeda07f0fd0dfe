//! The real binary from outside: what it prints, refuses and returns.

mod configuration;
mod process;
