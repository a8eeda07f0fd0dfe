//! The broker's one integration binary: whole rooms over real files, through public verbs only.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod append_once;
mod consumer_session;
mod data_folders;
mod delay;
mod fuzz_seeds;
mod kafka_client;
mod kafka_delete_records;
mod kafka_fetch;
mod kafka_groups;
mod kafka_hostile;
mod kafka_permits;
mod kafka_produce;
mod kafka_topics;
mod kafka_validation;
mod kafka_versions;
mod log_power_cut;
mod lookups;
mod messages;
mod metrics;
mod network_threads;
mod produce_turns;
mod rooms;
mod seeds;
mod state_power_cut;
mod vital_tasks;
