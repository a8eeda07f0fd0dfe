//! DeleteRecords (21): everything below an offset, or below the high watermark (-1), is deleted.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::engine::EngineError;
use crate::ids::{Offset, PartitionId, TopicRef};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::log::DeleteUntil;

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let outcomes = delete(call, &TopicRef::name(&topic.name), &topic.partitions).await;
        let partitions = topic.partitions.iter().zip(outcomes).map(|(part, outcome)| {
            let (low, code) = outcome.map_or_else(|code| (-1, code), |log_start| (log_start.0, 0));
            DeleteRecordsPartitionResult::default()
                .with_partition_index(part.partition_index)
                .with_low_watermark(low)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

/// The new log start of each partition, in order, or a code.
async fn delete(call: &Call<'_>, topic: &TopicRef, partitions: &[DeleteRecordsPartition]) -> Vec<Result<Offset, i16>> {
    let permit = match call.ask(topic.clone()) {
        Ok(permit) => permit,
        Err(denied) => return partitions.iter().map(|_| Err(errors::code_of_denied(&denied))).collect(),
    };
    let until: Vec<_> = partitions.iter().map(|part| until(part.offset)).collect();
    let asked = partitions
        .iter()
        .zip(&until)
        .filter_map(|(part, until)| Some((PartitionId(part.partition_index), until.as_ref().ok().copied()?)));
    let mut outcomes = call.engine.delete_records(&permit, asked.collect()).await.into_iter();
    let mut next = || outcomes.next().unwrap_or(Err(EngineError::internal("a partition had no outcome")));
    let outcome = |until: Result<DeleteUntil, i16>| match until {
        Ok(_) => next().map_err(|error| errors::code_of_topic(topic, &error)),
        Err(code) => Err(code),
    };
    until.into_iter().map(outcome).collect()
}

fn until(offset: i64) -> Result<DeleteUntil, i16> {
    match offset {
        HIGH_WATERMARK => Ok(DeleteUntil::HighWatermark),
        offset if offset < 0 => Err(ResponseError::OffsetOutOfRange.code()),
        offset => Ok(DeleteUntil::Offset(Offset(offset))),
    }
}
