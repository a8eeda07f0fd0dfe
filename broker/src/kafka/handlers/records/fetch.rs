//! Fetch (1): whole batches as they are stored. Sessions are declined (KIP-227: session id 0), so each fetch is a full one.
//! The answer is put together by hand, because the codec would copy every record into it; a test holds it to the codec's bytes.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use kafka_protocol::protocol::Encodable;

use crate::auth::Denied;
use crate::engine::EngineError;
use crate::engine::fetch::{FetchPartition, FetchRequest as EngineFetch, FetchTopic, Fetched, Form, Records};
use crate::ids::{Offset, PartitionId, TopicRef};
use crate::kafka::answer::put_count;
use crate::kafka::call::{Call, Envelope};
use crate::kafka::connection::Outcome;
use crate::kafka::errors;
use crate::kafka::handlers::wire;
use crate::kafka::throttle::Throttle;
use crate::kafka::write::{EncodeError, Reply, ReplyBuilder};
use crate::limits;
use crate::memory::{Owner, StatePermit, WorkPermit};
use crate::refusals::RefusalClass;
use crate::varint;

/// Topics are named by id (KIP-516).
const BY_ID_SINCE: i16 = 13;
/// Compact lengths and tagged fields (KIP-482).
const FLEXIBLE_SINCE: i16 = 12;
/// An error code and a session for the whole answer (KIP-227).
const SESSION_SINCE: i16 = 7;
/// Epochs of a fetch session that mean a full fetch: a first one, and a last one.
const FULL_FETCH_EPOCHS: [i32; 2] = [0, -1];

/// One topic of the request, in the order of the answer.
struct Asked {
    topic: TopicRef,
    partitions: Vec<i32>,
    /// The answer to all of its partitions: the engine is not asked.
    denied: Option<Denied>,
}

/// `work`: what the request has of WORK, given back before it waits.
pub(in crate::kafka) async fn handle(call: &Call<'_>, request: FetchRequest, work: WorkPermit) -> Outcome {
    if request.session_id != 0 && !FULL_FETCH_EPOCHS.contains(&request.session_epoch) {
        let code = ResponseError::FetchSessionIdNotFound.code();
        return call.encode(FetchResponse::default().with_error_code(code));
    }
    let (asked, topics) = split(call, &request);
    let mut fetch = limited(&request, topics);
    let committed = request.isolation_level == 1;
    // A long poll does not hold its frame.
    drop(request);
    let partitions = asked.iter().map(|topic| topic.partitions.len()).sum();
    let polled = poll(call, partitions, fetch.max_wait);
    if polled.is_err() {
        fetch.max_wait = Duration::ZERO;
    }
    let work = fetch.max_wait.is_zero().then_some(work);
    let outcomes = call.engine.fetch(&call.ctx, fetch).await;
    let empty = outcomes.iter().all(|outcome| matches!(outcome, Ok(fetched) if fetched.records.is_empty()));
    let throttle = if empty { polled.err().unwrap_or(Throttle::NONE) } else { Throttle::NONE };
    let envelope = Envelope { throttle: throttle.max(call.throttle), ..call.envelope() };
    let outcome = envelope.reply(encode(envelope, committed, &asked, outcomes));
    drop(work);
    outcome
}

/// What a long poll holds while it waits, of its owner's share of STATE. An owner above its share does not wait here: it is
/// answered at once, and its connection is not read for a moment instead, which costs no memory.
fn poll(call: &Call<'_>, partitions: usize, max_wait: Duration) -> Result<Option<StatePermit>, Throttle> {
    if max_wait.is_zero() || partitions <= limits::POLLED_PARTITIONS_FREE {
        return Ok(None);
    }
    let bytes = partitions * limits::POLLED_PARTITION_BYTES;
    call.engine.memory().state().hold(Owner::of(&call.ctx), bytes).map(Some).map_err(|over| {
        call.engine.refusals().note(RefusalClass::MemoryState, &call.ctx, &over);
        Throttle::of(max_wait.min(limits::POLL_PAUSE_MAX))
    })
}

fn split(call: &Call<'_>, request: &FetchRequest) -> (Vec<Asked>, Vec<FetchTopic>) {
    let mut asked = Vec::with_capacity(request.topics.len());
    let mut topics = Vec::with_capacity(request.topics.len());
    for fetched in &request.topics {
        let topic = wire::topic_ref(call.version >= BY_ID_SINCE, &fetched.topic, fetched.topic_id);
        let denied = match call.ask(topic.clone()) {
            Ok(permit) => {
                let partitions = fetched.partitions.iter().map(|part| FetchPartition {
                    partition: PartitionId(part.partition),
                    // No record has a negative offset: asked for as one that is outside of every log.
                    offset: Offset(if part.fetch_offset < 0 { i64::MAX } else { part.fetch_offset }),
                    max_bytes: size(part.partition_max_bytes),
                    epoch: wire::epoch(part.current_leader_epoch),
                });
                topics.push(FetchTopic { topic: permit, partitions: partitions.collect() });
                None
            }
            Err(denied) => Some(denied),
        };
        let partitions = fetched.partitions.iter().map(|part| part.partition).collect();
        asked.push(Asked { topic, partitions, denied });
    }
    (asked, topics)
}

/// A topic that is refused does not end the wait for another, as in Kafka.
fn limited(request: &FetchRequest, topics: Vec<FetchTopic>) -> EngineFetch {
    EngineFetch {
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: size(request.min_bytes),
        max_bytes: size(request.max_bytes).min(limits::FETCH_BYTES_MAX),
        topics,
        form: Form::Ranges,
    }
}

/// A negative number of bytes means 0.
fn size(wire: i32) -> usize {
    usize::try_from(wire).unwrap_or(0)
}

fn encode(
    envelope: Envelope,
    committed: bool,
    asked: &[Asked],
    outcomes: Vec<Result<Fetched, EngineError>>,
) -> Result<Reply, EncodeError> {
    let Envelope { correlation, version, throttle } = envelope;
    let flexible = version >= FLEXIBLE_SINCE;
    let mut outcomes = outcomes.into_iter();
    let mut reply = ReplyBuilder::new(correlation, flexible, 64 + 64 * outcomes.len());
    reply.buffer().put_i32(throttle.ms());
    if version >= SESSION_SINCE {
        // No error; no session.
        reply.buffer().put_i16(0);
        reply.buffer().put_i32(0);
    }
    put_count(reply.buffer(), flexible, asked.len());
    for topic in asked {
        put_topic(reply.buffer(), flexible, &topic.topic);
        put_count(reply.buffer(), flexible, topic.partitions.len());
        for index in &topic.partitions {
            let outcome = match &topic.denied {
                Some(denied) => Err(denied.clone().into()),
                None => outcomes.next().unwrap_or(Err(EngineError::internal("a partition had no outcome"))),
            };
            put_partition(&mut reply, version, committed, &topic.topic, *index, outcome)?;
        }
        put_no_tags(reply.buffer(), flexible);
    }
    put_no_tags(reply.buffer(), flexible);
    reply.finish()
}

/// Everything of a partition but its records is the codec's; they come last, before the tagged fields, of which there are none.
fn put_partition(
    reply: &mut ReplyBuilder,
    version: i16,
    committed: bool,
    named: &TopicRef,
    index: i32,
    outcome: Result<Fetched, EngineError>,
) -> Result<(), EncodeError> {
    let flexible = version >= FLEXIBLE_SINCE;
    let data = PartitionData::default().with_partition_index(index).with_records(Some(Bytes::new()));
    let (data, records) = match outcome {
        Ok(Fetched { records, offsets }) => {
            let data = data
                .with_high_watermark(offsets.hw.0)
                .with_last_stable_offset(offsets.lso.0)
                .with_log_start_offset(offsets.log_start.0)
                .with_aborted_transactions(committed.then(Vec::new));
            (data, records)
        }
        Err(error) => {
            let code = errors::code_of_topic(named, &error);
            (data.with_error_code(code).with_high_watermark(-1), Records::Copied(Bytes::new()))
        }
    };
    data.encode(reply.buffer(), version).map_err(|error| EncodeError::new(&error))?;
    // The empty records that the codec wrote: a length of 4 bytes, or of one (0 is 1) and the count of tagged fields.
    let behind = if flexible { 2 } else { 4 };
    let end = reply.buffer().len() - behind;
    reply.buffer().truncate(end);
    if flexible {
        varint::write_unsigned(reply.buffer(), records.len() as u64 + 1);
    } else {
        let length = i32::try_from(records.len()).map_err(|error| EncodeError::new(&error))?;
        reply.buffer().put_i32(length);
    }
    match records {
        Records::Copied(bytes) => reply.share(bytes),
        Records::Range(slice) => reply.send(slice),
    }
    put_no_tags(reply.buffer(), flexible);
    Ok(())
}

fn put_topic(buffer: &mut BytesMut, flexible: bool, named: &TopicRef) {
    match named {
        TopicRef::Id(id) => buffer.put_slice(id.0.as_bytes()),
        TopicRef::Name(name) => {
            if flexible {
                varint::write_unsigned(buffer, name.len() as u64 + 1);
            } else {
                // It came in a field of the same width.
                buffer.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
            }
            buffer.put_slice(name.as_bytes());
        }
    }
}

fn put_no_tags(buffer: &mut BytesMut, flexible: bool) {
    if flexible {
        buffer.put_u8(0);
    }
}

#[cfg(test)]
mod tests;
