//! Coordinators: state machines over internal topics. Rank 4. The runtime is one for all of them: a `shard` a partition
//! runs commands on a `machine`, appends what they give, replays it, and lets answers out when they are durable.
//! `group` is the coordinator of consumer groups, over `__consumer_offsets`.

mod error;
pub mod group;
mod load;
mod machine;
mod runtime;
mod shard;
mod timer;

#[cfg(test)]
mod tests;
