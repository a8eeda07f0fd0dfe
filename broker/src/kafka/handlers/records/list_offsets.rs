//! ListOffsets (2): earliest, latest, by timestamp. Nothing above HW is returned (rule 2); latest is the last stable offset, which is
//! HW for both isolation levels until there are transactions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::engine::EngineError;
use crate::engine::offsets::{OffsetAnswer, OffsetAsked, OffsetQuery};
use crate::ids::{PartitionId, TimestampMs, TopicRef};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

/// Leader epochs are known (KIP-320).
const EPOCH_SINCE: i16 = 4;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let named = |topic: &ListOffsetsTopic| {
        let name = topic.name.clone();
        topic.partitions.iter().map(move |part| (name.clone(), part.partition_index)).collect::<Vec<_>>()
    };
    // A partition that is named twice is not looked up, as in Kafka (`ListOffsetsRequest.duplicatePartitions`).
    let times = wire::times(request.topics.iter().flat_map(named));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let twice = |part: &ListOffsetsPartition| times.get(&(topic.name.clone(), part.partition_index)) != Some(&1);
        let answers = look_up(call, &TopicRef::name(&topic.name), &topic.partitions, twice).await;
        let partitions = topic.partitions.iter().zip(answers).map(|(part, answer)| {
            let (answer, code) = answer.map_or_else(|code| (OffsetAnswer::default(), code), |answer| (answer, 0));
            let epoch = if call.version >= EPOCH_SINCE { wire::epoch_or_none(answer.epoch) } else { -1 };
            ListOffsetsPartitionResponse::default()
                .with_partition_index(part.partition_index)
                .with_error_code(code)
                .with_timestamp(answer.timestamp.map_or(-1, |time| time.0))
                .with_offset(answer.offset.map_or(-1, |offset| offset.0))
                .with_leader_epoch(epoch)
        });
        let partitions = partitions.collect();
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// One answer a partition, in order: an offset or a code.
async fn look_up(
    call: &Call<'_>,
    topic: &TopicRef,
    partitions: &[ListOffsetsPartition],
    twice: impl Fn(&ListOffsetsPartition) -> bool,
) -> Vec<Result<OffsetAnswer, i16>> {
    let permit = match call.ask(topic.clone()) {
        Ok(permit) => permit,
        Err(denied) => return partitions.iter().map(|_| Err(errors::code_of_denied(&denied))).collect(),
    };
    let query = |part: &ListOffsetsPartition| match twice(part) {
        true => Err(ResponseError::InvalidRequest.code()),
        false => query(call.version, part.timestamp).ok_or(ResponseError::UnsupportedVersion.code()),
    };
    let queries: Vec<_> = partitions.iter().map(query).collect();
    let asked = partitions.iter().zip(&queries).filter_map(|(part, query)| {
        let (partition, epoch) = (PartitionId(part.partition_index), wire::epoch(part.current_leader_epoch));
        Some(OffsetAsked { partition, epoch, query: (*query).ok()?? })
    });
    let mut found = call.engine.list_offsets(&call.ctx, &permit, asked.collect()).await.into_iter();
    let mut next = || found.next().unwrap_or(Err(EngineError::internal("a look-up had no outcome")));
    let answer = |query: Result<Option<OffsetQuery>, i16>| match query? {
        // Nothing is tiered: the latest tiered offset is not known, and Kafka says so with -1 and no error.
        None => Ok(OffsetAnswer::default()),
        Some(_) => next().map_err(|error| errors::code_of_topic(topic, &error)),
    };
    queries.into_iter().map(answer).collect()
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
