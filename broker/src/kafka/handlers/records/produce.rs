//! Produce (0): batches to the log now, the answer when they are durable. The one request whose answers overlap (rule 7).

use std::sync::Arc;

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::auth::Denied;
use crate::engine::EngineError;
use crate::engine::produce::{BegunProduce, ProducePartition, ProduceRecords, ProduceTopic};
use crate::ids::{PartitionId, TopicRef};
use crate::kafka::call::{Call, Envelope};
use crate::kafka::connection::{InFlight, Outcome};
use crate::kafka::errors;
use crate::kafka::handlers::wire::{self, Told};
use crate::kafka::refusing::Closing;
use crate::log::Appended;
use crate::record::raw::RawHeader;
use crate::record::{Compression, RecordError};
use crate::refusals::RefusalClass;
use crate::tasks::Parts;

/// Topics are named by id (KIP-516).
const BY_ID_SINCE: i16 = 13;
/// Partitions have an error text, and records too (KIP-467).
const TEXT_SINCE: i16 = 8;
/// Clients below know nothing of zstd, and could read what they are about to write as little as the others of their age
/// (KIP-110; `ProduceRequest.validateRecords` in Kafka's sources).
const ZSTD_SINCE: i16 = 7;

/// One topic of the request, as the answer has to repeat it. Holds nothing of the request's frame.
struct Asked {
    topic: TopicRef,
    partitions: Vec<AskedPartition>,
    /// The answer to all of its partitions: the engine is not asked.
    denied: Option<Denied>,
}

struct AskedPartition {
    index: i32,
    /// The answer: the engine is not asked.
    refused: Option<i16>,
}

/// Returns when every partition has appended, has failed, or holds its place; the future, when what it answers is durable.
/// The request's frame is dropped with its batches: when none of them waits for its turn any more.
pub(in crate::kafka) async fn begin(call: &Call<'_>, request: ProduceRequest) -> InFlight {
    let (envelope, acks) = (call.envelope(), request.acks);
    let refused = refusal(&request);
    let (asked, topics) = split(call, request);
    let version = call.version;
    if let Some(code) = refused {
        let topics = asked
            .iter()
            .map(|topic| topic_response(topic, topic.partitions.iter().map(|part| failed(part.index, code)).collect()));
        return std::future::ready(respond(envelope, acks, topics.collect())).boxed();
    }
    let refusing = call.refusing();
    let answer = move |outcomes: Vec<Result<Appended, EngineError>>| {
        outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).for_each(|error| refusing.note(error));
        respond(envelope, acks, topic_responses(version, &asked, outcomes))
    };
    match call.engine.begin_produce(&call.ctx, topics).await {
        BegunProduce::Appended(in_flight) => async move { answer(in_flight.outcome().await) }.boxed(),
        BegunProduce::Queued(queued) => {
            // A task of its own: the connection polls its oldest answer only, and a place that nobody polls would hold up
            // the other connections behind it.
            let engine = Arc::clone(call.engine);
            let mut task = Parts::default();
            task.spawn(async move { engine.finish_produce(queued).await });
            async move {
                match task.next_ended().await {
                    Some(in_flight) => answer(in_flight.outcome().await),
                    // Only the end of the runtime.
                    None => Outcome::Close(Closing::ours("the broker is shutting down")),
                }
            }
            .boxed()
        }
    }
}

fn topic_responses(
    version: i16,
    asked: &[Asked],
    outcomes: Vec<Result<Appended, EngineError>>,
) -> Vec<TopicProduceResponse> {
    // The engine returns one outcome a partition, in order, of the topics that it was asked for.
    let mut outcomes = outcomes.into_iter();
    let mut told = Told::default();
    let answer = |topic: &Asked| {
        let partitions = topic.partitions.iter().map(|part| {
            let outcome = match (&topic.denied, part.refused) {
                (Some(denied), _) => Err(denied.clone().into()),
                (None, Some(code)) => return failed(part.index, code),
                (None, None) => outcomes.next().unwrap_or(Err(EngineError::internal("a partition had no outcome"))),
            };
            partition_response(version, &topic.topic, part.index, outcome, &mut told)
        });
        topic_response(topic, partitions.collect())
    };
    asked.iter().map(answer).collect()
}

/// A code for the whole request.
fn refusal(request: &ProduceRequest) -> Option<i16> {
    if !(-1..=1).contains(&request.acks) {
        return Some(ResponseError::InvalidRequiredAcks.code());
    }
    let transactional = request.transactional_id.as_ref().map(|_| EngineError::NoTransactions { what: "Produce" });
    transactional.map(|error| errors::code(&error))
}

fn split(call: &Call<'_>, request: ProduceRequest) -> (Vec<Asked>, Vec<ProduceTopic>) {
    let mut asked = Vec::with_capacity(request.topic_data.len());
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic = wire::topic_ref(call.version >= BY_ID_SINCE, &data.name, data.topic_id);
        let refused = |part: &PartitionProduceData| too_new(call.version, part.records.as_deref());
        let partitions: Vec<_> = data
            .partition_data
            .iter()
            .map(|part| AskedPartition { index: part.index, refused: refused(part) })
            .collect();
        let denied = match call.ask(topic.clone()) {
            Ok(permit) => {
                let create = call.ask(topic.clone()).ok();
                let wanted =
                    data.partition_data.into_iter().zip(&partitions).filter(|(_, part)| part.refused.is_none());
                let wanted = wanted.map(|(part, _)| ProducePartition {
                    partition: PartitionId(part.index),
                    records: ProduceRecords::Received(part.records),
                });
                let wanted: Vec<_> = wanted.collect();
                // A topic is not created for what is refused.
                if !wanted.is_empty() {
                    topics.push(ProduceTopic { topic: permit, create, partitions: wanted });
                }
                None
            }
            Err(denied) => Some(denied),
        };
        asked.push(Asked { topic, partitions, denied });
    }
    (asked, topics)
}

/// The code of a batch whose compression this version of the request does not know.
fn too_new(version: i16, records: Option<&[u8]>) -> Option<i16> {
    if version >= ZSTD_SINCE {
        return None;
    }
    let header = RawHeader::read(records?.first_chunk()?);
    let zstd = header.magic == 2 && matches!(header.compression(), Ok(Compression::Zstd));
    zstd.then(|| ResponseError::UnsupportedCompressionType.code())
}

fn partition_response(
    version: i16,
    named: &TopicRef,
    index: i32,
    outcome: Result<Appended, EngineError>,
    told: &mut Told,
) -> PartitionProduceResponse {
    match outcome {
        Ok(appended) => PartitionProduceResponse::default()
            .with_index(index)
            .with_base_offset(appended.base_offset.0)
            .with_log_append_time_ms(appended.append_time.map_or(-1, |time| time.0))
            .with_log_start_offset(appended.log_start.0),
        Err(error) => {
            let response = failed(index, errors::code_of_topic(named, &error));
            if version < TEXT_SINCE || !told.one_more() {
                return response;
            }
            response.with_record_errors(record_errors(&error)).with_error_message(Some(errors::text(&error)))
        }
    }
}

/// Which records of the batch are at fault: producers give up these and send the others again (KIP-467).
fn record_errors(error: &EngineError) -> Vec<BatchIndexAndErrorMessage> {
    let EngineError::Record(RecordError::Rejected { why, records, .. }) = error else { return Vec::new() };
    let text = StrBytes::from_string(why.to_string());
    let of_record = |index: &i32| {
        BatchIndexAndErrorMessage::default().with_batch_index(*index).with_batch_index_error_message(Some(text.clone()))
    };
    records.iter().map(of_record).collect()
}

fn failed(index: i32, code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse::default().with_index(index).with_error_code(code).with_base_offset(-1)
}

fn topic_response(topic: &Asked, partitions: Vec<PartitionProduceResponse>) -> TopicProduceResponse {
    let (name, id) = match &topic.topic {
        TopicRef::Name(name) => (wire::topic_name(&**name), Uuid::nil()),
        TopicRef::Id(id) => (wire::topic_name(""), id.0),
    };
    TopicProduceResponse::default().with_name(name).with_topic_id(id).with_partition_responses(partitions)
}

fn respond(envelope: Envelope, acks: i16, responses: Vec<TopicProduceResponse>) -> Outcome {
    if acks == 0 {
        // Nothing is sent; a failure closes the connection, as in Kafka, so that the client looks at its metadata again.
        let failure = responses.iter().flat_map(|topic| &topic.partition_responses).find(|part| part.error_code != 0);
        return match failure {
            Some(part) => {
                let reason = format!("a produce without acks failed with error {}", part.error_code);
                Outcome::Close(Closing::refused(RefusalClass::BadRequest, reason))
            }
            None => Outcome::Silent,
        };
    }
    envelope.seal(ProduceResponse::default().with_responses(responses))
}
