//! The group coordinator: a state machine over `__consumer_offsets`. Rank 4. Answers only after its record is durable.

pub mod group;
