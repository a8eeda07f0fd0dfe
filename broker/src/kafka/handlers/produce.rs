//! Produce (0): batches to the log now, the answer when they are durable. The one request whose answers overlap (rule 7).

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::wire;
use crate::engine::EngineError;
use crate::engine::produce::ProducePartition;
use crate::ids::{PartitionId, TopicRef};
use crate::kafka::call::{self, Call};
use crate::kafka::connection::{InFlight, Outcome};
use crate::kafka::errors;
use crate::kafka::write::Reply;
use crate::log::Appended;
use crate::record::RecordError;

/// Topics are named by id (KIP-516).
const BY_ID_SINCE: i16 = 13;
/// Partitions have an error text, and records too (KIP-467).
const TEXT_SINCE: i16 = 8;

/// One topic of the request, as the answer has to repeat it. Holds nothing of the request's frame.
struct Asked {
    named: TopicRef,
    partitions: Vec<i32>,
}

/// Returns when every partition has appended or failed; the future, when what it answers is durable.
pub(in crate::kafka) async fn begin(call: &Call<'_>, request: ProduceRequest) -> InFlight {
    let (correlation, acks) = (call.correlation, request.acks);
    let refused = refusal(&request);
    let (asked, parts) = split(call, request);
    let version = call.version;
    if let Some(code) = refused {
        let topics = asked
            .iter()
            .map(|topic| topic_response(topic, topic.partitions.iter().map(|index| failed(*index, code)).collect()));
        return std::future::ready(respond(correlation, version, acks, topics.collect())).boxed();
    }
    let in_flight = call.engine.produce(&call.ctx, parts).await;
    async move {
        let mut outcomes = in_flight.outcome().await.into_iter();
        let mut topics = Vec::with_capacity(asked.len());
        for topic in &asked {
            // The engine gives one outcome a partition, in order.
            let answered = topic.partitions.iter().zip(&mut outcomes);
            let answered = answered.map(|(index, outcome)| partition_response(version, &topic.named, *index, outcome));
            topics.push(topic_response(topic, answered.collect()));
        }
        respond(correlation, version, acks, topics)
    }
    .boxed()
}

/// A code for the whole request.
fn refusal(request: &ProduceRequest) -> Option<i16> {
    if !(-1..=1).contains(&request.acks) {
        return Some(ResponseError::InvalidRequiredAcks.code());
    }
    let transactional = request.transactional_id.as_ref().map(|_| EngineError::NoTransactions { what: "Produce" });
    transactional.map(|error| errors::code(&error))
}

fn split(call: &Call<'_>, request: ProduceRequest) -> (Vec<Asked>, Vec<ProducePartition>) {
    let mut asked = Vec::with_capacity(request.topic_data.len());
    let mut parts = Vec::new();
    for topic in request.topic_data {
        let named = wire::topic_ref(call.version >= BY_ID_SINCE, &topic.name, topic.topic_id);
        let partitions = topic.partition_data.iter().map(|part| part.index).collect();
        parts.extend(topic.partition_data.into_iter().map(|part| ProducePartition {
            topic: named.clone(),
            partition: PartitionId(part.index),
            records: part.records,
        }));
        asked.push(Asked { named, partitions });
    }
    (asked, parts)
}

fn partition_response(
    version: i16,
    named: &TopicRef,
    index: i32,
    outcome: Result<Appended, EngineError>,
) -> PartitionProduceResponse {
    match outcome {
        Ok(appended) => PartitionProduceResponse::default()
            .with_index(index)
            .with_base_offset(appended.base_offset.0)
            .with_log_append_time_ms(appended.append_time.map_or(-1, |time| time.0))
            .with_log_start_offset(appended.log_start.0),
        Err(error) => {
            let response = failed(index, errors::code_of_topic(named, &error));
            if version < TEXT_SINCE {
                return response;
            }
            response.with_record_errors(record_errors(&error)).with_error_message(Some(errors::text(&error)))
        }
    }
}

/// Which records of the batch are at fault: producers give up these and send the others again (KIP-467).
fn record_errors(error: &EngineError) -> Vec<BatchIndexAndErrorMessage> {
    let EngineError::Record(RecordError::Rejected { records, reason, .. }) = error else { return Vec::new() };
    let of_record = |index: &i32| {
        let text = StrBytes::from_string(reason.clone());
        BatchIndexAndErrorMessage::default().with_batch_index(*index).with_batch_index_error_message(Some(text))
    };
    records.iter().map(of_record).collect()
}

fn failed(index: i32, code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse::default().with_index(index).with_error_code(code).with_base_offset(-1)
}

fn topic_response(topic: &Asked, partitions: Vec<PartitionProduceResponse>) -> TopicProduceResponse {
    let (name, id) = match &topic.named {
        TopicRef::Name(name) => (wire::topic_name(&**name), Uuid::nil()),
        TopicRef::Id(id) => (wire::topic_name(""), id.0),
    };
    TopicProduceResponse::default().with_name(name).with_topic_id(id).with_partition_responses(partitions)
}

fn respond(correlation: i32, version: i16, acks: i16, responses: Vec<TopicProduceResponse>) -> Outcome {
    if acks == 0 {
        // Nothing is sent; a failure closes the connection, as in Kafka, so that the client looks at its metadata again.
        let failure = responses.iter().flat_map(|topic| &topic.partition_responses).find(|part| part.error_code != 0);
        return match failure {
            Some(part) => Outcome::Close(format!("a produce without acks failed with error {}", part.error_code)),
            None => Outcome::Silent,
        };
    }
    call::reply(Reply::encode(correlation, version, &ProduceResponse::default().with_responses(responses)))
}
