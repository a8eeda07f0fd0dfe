//! One file an API: decoded request in, engine called, response out. Sentinels (`-1`) and versions end here. A room a subject.

pub(super) mod api_versions;
pub(super) mod describe_cluster;

mod configs;
mod groups;
mod records;
mod topics;
mod wire;

pub(super) use self::configs::{alter_configs, describe_configs, incremental_alter_configs};
pub(super) use self::groups::{
    describe_groups, find_coordinator, heartbeat, join_group, leave_group, list_groups, offset_commit, offset_fetch,
    sync_group,
};
pub(super) use self::records::{
    delete_records, fetch, init_producer_id, list_offsets, offset_for_leader_epoch, produce,
};
pub(super) use self::topics::{create_partitions, create_topics, delete_topics, describe_topic_partitions, metadata};
