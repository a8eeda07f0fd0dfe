//! Requests about what exists: topics and their partitions.

pub(in crate::kafka) mod create_partitions;
pub(in crate::kafka) mod create_topics;
pub(in crate::kafka) mod delete_topics;
pub(in crate::kafka) mod describe_topic_partitions;
pub(in crate::kafka) mod metadata;
