//! ListOffsets (2): earliest, latest, by timestamp. Nothing above HW is returned (rule 2); latest is the last stable offset, which is
//! HW for both isolation levels until there are transactions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::wire;
use crate::engine::offsets::{OffsetAnswer, OffsetQuery};
use crate::ids::{PartitionId, TimestampMs, TopicRef};
use crate::kafka::call::Call;
use crate::kafka::errors;

/// Leader epochs are known (KIP-320).
const EPOCH_SINCE: i16 = 4;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let named = TopicRef::name(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for part in &topic.partitions {
            let (answer, code) = match look_up(call, &named, part).await {
                Ok(answer) => (answer, 0),
                Err(code) => (OffsetAnswer::default(), code),
            };
            let epoch = if call.version >= EPOCH_SINCE { wire::epoch_or_none(answer.epoch) } else { -1 };
            partitions.push(
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(part.partition_index)
                    .with_error_code(code)
                    .with_timestamp(answer.timestamp.map_or(-1, |time| time.0))
                    .with_offset(answer.offset.map_or(-1, |offset| offset.0))
                    .with_leader_epoch(epoch),
            );
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

async fn look_up(call: &Call<'_>, named: &TopicRef, part: &ListOffsetsPartition) -> Result<OffsetAnswer, i16> {
    let query = query(call.version, part.timestamp).ok_or(ResponseError::UnsupportedVersion.code())?;
    // Nothing is tiered: the latest tiered offset is not known, and Kafka says so with -1 and no error.
    let Some(query) = query else { return Ok(OffsetAnswer::default()) };
    let (partition, epoch) = (PartitionId(part.partition_index), wire::epoch(part.current_leader_epoch));
    let found = call.engine.list_offset(&call.ctx, named, partition, epoch, query).await;
    found.map_err(|error| errors::code_of_topic(named, &error))
}

/// The special timestamps, each from the version on that has it (ListOffsetsRequest.java). The outer `None`: not in this
/// version; the inner: a question that has no answer here.
fn query(version: i16, timestamp: i64) -> Option<Option<OffsetQuery>> {
    match timestamp {
        -1 => Some(Some(OffsetQuery::Latest)),
        -2 => Some(Some(OffsetQuery::Earliest)),
        -3 if version >= 7 => Some(Some(OffsetQuery::MaxTimestamp)),
        // Everything is local.
        -4 if version >= 8 => Some(Some(OffsetQuery::Earliest)),
        -5 if version >= 9 => Some(None),
        time if time >= 0 => Some(Some(OffsetQuery::At(TimestampMs(time)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_mean_what_kafka_means_and_only_in_versions_that_have_them() {
        assert_eq!(query(1, -1), Some(Some(OffsetQuery::Latest)));
        assert_eq!(query(1, -2), Some(Some(OffsetQuery::Earliest)));
        assert_eq!(query(7, -3), Some(Some(OffsetQuery::MaxTimestamp)));
        assert_eq!(query(8, -4), Some(Some(OffsetQuery::Earliest)));
        assert_eq!(query(9, -5), Some(None));
        assert_eq!(query(1, 0), Some(Some(OffsetQuery::At(TimestampMs(0)))));
        for (version, timestamp) in [(6, -3), (7, -4), (8, -5), (10, -6), (10, i64::MIN)] {
            assert_eq!(query(version, timestamp), None);
        }
    }
}
