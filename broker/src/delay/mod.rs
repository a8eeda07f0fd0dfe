//! The delay service: delivers the records of delay topics (`<target>.delay.<duration>`) when they are due, once for every
//! reader, across kill -9 and power cut. An ordinary client of the door: it reads the delay topic, which is its own queue,
//! and appends to the target with the deduplicated append. Rank 7. Never delivers early, never loses a record in silence.
//!
//! ```text
//! service ─ one proxy task a partition ─ reading (what is due) ─ route (where to) ─ plan (lanes) ─ store (the step, durable)
//!                                          ↑ after a crash: the step again         deliver (append_once a lane) ─ store (done)
//! ```

mod deliver;
mod message;
mod plan;
mod proxy;
mod reading;
mod route;
mod schedule;
mod service;
mod state;
mod store;

pub use service::DelayService;

#[cfg(test)]
mod tests;
