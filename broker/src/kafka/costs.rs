//! What a request costs beside its own bytes, one row an API: what each element of its arrays becomes in memory, from the
//! decoded request to the row of its answer. `dispatch.rs` takes it from WORK before the request is decoded. How large each
//! answer can get, and what bounds it, stands in the tests, which send each API the request that is answered with most.
//!
//! A new API needs a row here and there. Ask: how large is its answer when a name is repeated; what does it hold while it
//! waits; what does one element cost decoded? An answer that is larger than what names it is put together by `answer::Rows`.

use kafka_protocol::messages::ApiKey;

use super::bounds::Walked;
use crate::limits;

/// The costs of one API.
#[derive(Clone, Copy, Debug)]
struct Cost {
    key: ApiKey,
    /// Bytes in memory for each element of the request's arrays: decoded, at work, and as a struct of the answer.
    element_bytes: usize,
    /// The request's texts and blobs are copied by its handler.
    copied: bool,
}

const fn cost(key: ApiKey, element_bytes: usize, copied: bool) -> Cost {
    Cost { key, element_bytes, copied }
}

/// In the order of `versions::ROWS`.
const COSTS: &[Cost] = &[
    // Batches stay slices of the frame. An element is a partition: its batch, its place in the queue, its ticket.
    cost(ApiKey::Produce, 1_024, false),
    // Records stay in their files.
    cost(ApiKey::Fetch, 640, false),
    cost(ApiKey::ListOffsets, 640, false),
    cost(ApiKey::Metadata, 256, true),
    cost(ApiKey::OffsetCommit, 384, true),
    cost(ApiKey::OffsetFetch, 640, true),
    cost(ApiKey::FindCoordinator, 768, true),
    cost(ApiKey::JoinGroup, 256, true),
    cost(ApiKey::Heartbeat, 256, true),
    cost(ApiKey::LeaveGroup, 512, true),
    cost(ApiKey::SyncGroup, 256, true),
    cost(ApiKey::DescribeGroups, 640, true),
    cost(ApiKey::ListGroups, 64, true),
    cost(ApiKey::ApiVersions, 64, false),
    cost(ApiKey::CreateTopics, 512, true),
    cost(ApiKey::DeleteTopics, 256, true),
    cost(ApiKey::DeleteRecords, 256, false),
    cost(ApiKey::InitProducerId, 64, true),
    cost(ApiKey::OffsetForLeaderEpoch, 384, false),
    cost(ApiKey::DescribeConfigs, 256, true),
    cost(ApiKey::AlterConfigs, 512, true),
    cost(ApiKey::CreatePartitions, 256, true),
    cost(ApiKey::IncrementalAlterConfigs, 512, true),
    cost(ApiKey::DescribeCluster, 64, false),
    cost(ApiKey::DescribeTopicPartitions, 512, true),
];

/// What a request costs in WORK while it is handled.
pub(super) fn of(key: ApiKey, walked: Walked) -> usize {
    let Some(cost) = COSTS.iter().find(|cost| cost.key == key) else { return 0 };
    let copies = if cost.copied { walked.bytes } else { 0 };
    walked.elements * cost.element_bytes + walked.tags * limits::TAGGED_FIELD_BYTES + copies
}

#[cfg(test)]
mod tests;
