//! OffsetForLeaderEpoch (23): where an epoch ends, so that a consumer can see that a log was cut (KIP-320).

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::wire;
use crate::ids::{LeaderEpoch, PartitionId, TopicRef};
use crate::kafka::call::Call;
use crate::kafka::errors;

pub(in crate::kafka) async fn handle(
    call: &Call<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let named = TopicRef::name(&topic.topic);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for part in &topic.partitions {
            partitions.push(one(call, &named, part).await);
        }
        topics.push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions));
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

async fn one(call: &Call<'_>, named: &TopicRef, part: &OffsetForLeaderPartition) -> EpochEndOffset {
    let (partition, current) = (PartitionId(part.partition), wire::epoch(part.current_leader_epoch));
    let asked = LeaderEpoch(part.leader_epoch);
    // The codec's defaults are Kafka's UNDEFINED_EPOCH and UNDEFINED_EPOCH_OFFSET, both -1.
    let answer = EpochEndOffset::default().with_partition(part.partition);
    match call.engine.epoch_end(&call.ctx, named, partition, current, asked).await {
        Ok(Some((epoch, end))) => answer.with_leader_epoch(epoch.0).with_end_offset(end.0),
        Ok(None) => answer,
        Err(error) => answer.with_error_code(errors::code_of_topic(named, &error)),
    }
}
