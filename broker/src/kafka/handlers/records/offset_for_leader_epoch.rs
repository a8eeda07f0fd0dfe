//! OffsetForLeaderEpoch (23): where an epoch ends, so that a consumer can see that a log was cut (KIP-320).

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::engine::offsets::EpochAsked;
use crate::ids::{LeaderEpoch, Offset, PartitionId, TopicRef};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

pub(in crate::kafka) async fn handle(
    call: &Call<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let named = TopicRef::name(&topic.topic);
        let ends_of_epochs = ends(call, &named, &topic.partitions);
        let partitions = topic.partitions.iter().zip(ends_of_epochs).map(|(part, end)| {
            // The codec's defaults are Kafka's UNDEFINED_EPOCH and UNDEFINED_EPOCH_OFFSET, both -1.
            let answer = EpochEndOffset::default().with_partition(part.partition);
            match end {
                Ok(Some((epoch, end))) => answer.with_leader_epoch(epoch.0).with_end_offset(end.0),
                Ok(None) => answer,
                Err(code) => answer.with_error_code(code),
            }
        });
        let partitions = partitions.collect();
        topics.push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions));
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

/// The end of an epoch, or a code.
type End = Result<Option<(LeaderEpoch, Offset)>, i16>;

/// One end a partition, in order.
fn ends(call: &Call<'_>, topic: &TopicRef, partitions: &[OffsetForLeaderPartition]) -> Vec<End> {
    let permit = match call.ask(topic.clone()) {
        Ok(permit) => permit,
        Err(denied) => return partitions.iter().map(|_| Err(errors::code_of_denied(&denied))).collect(),
    };
    let asked = partitions.iter().map(|part| EpochAsked {
        partition: PartitionId(part.partition),
        current: wire::epoch(part.current_leader_epoch),
        epoch: LeaderEpoch(part.leader_epoch),
    });
    let ends = call.engine.epoch_ends(&permit, asked.collect()).into_iter();
    ends.map(|end| end.map_err(|error| errors::code_of_topic(topic, &error))).collect()
}
