//! The delay service: delivers the records of delay topics (`<target>.delay.<duration>`) when they are due, once for every
//! reader, across kill -9 and power cut. It is an ordinary client of the door and knows nothing else of the broker: the delay
//! topic is the queue that it reads, and it appends to the target with the deduplicated append. Rank 7. Never delivers early.
//! A record that cannot be delivered goes to a dead-letter topic.
//!
//! ```text
//! service: one proxy task a partition
//! proxy:   due_records ─ route (where to) ─ plan (lanes) ─ state_topic (the step, durable)
//!             ↑ after a crash: the same step        deliver (append_once a lane) ─ state_topic (done)
//! ```

mod counts;
mod deliver;
mod due_records;
mod message;
mod plan;
mod proxy;
mod route;
mod schedule;
mod service;
mod state_record;
mod state_topic;

pub use service::DelayService;

#[cfg(test)]
mod tests;
