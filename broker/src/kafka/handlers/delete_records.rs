//! DeleteRecords (21): everything below an offset, or below the high watermark (-1), goes. Partitions of one request are
//! worked through one after the other: each waits for its own sync.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::ids::{Offset, PartitionId, TopicRef};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::log::DeleteUntil;

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let named = TopicRef::name(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for part in &topic.partitions {
            let (low, code) = match delete(call, &named, part.partition_index, part.offset).await {
                Ok(log_start) => (log_start.0, 0),
                Err(code) => (-1, code),
            };
            partitions.push(
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(part.partition_index)
                    .with_low_watermark(low)
                    .with_error_code(code),
            );
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

async fn delete(call: &Call<'_>, named: &TopicRef, partition: i32, offset: i64) -> Result<Offset, i16> {
    let until = match offset {
        HIGH_WATERMARK => DeleteUntil::HighWatermark,
        offset if offset < 0 => return Err(ResponseError::OffsetOutOfRange.code()),
        offset => DeleteUntil::Offset(Offset(offset)),
    };
    let deleted = call.engine.delete_records(&call.ctx, named, PartitionId(partition), until).await;
    deleted.map_err(|error| errors::code_of_topic(named, &error))
}
