//! Metadata (3): this broker, and the topics asked for, made where the client and the broker allow it.

use std::collections::HashSet;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use crate::engine::topics::DescribedTopic;
use crate::engine::{EngineError, InvalidRequest};
use crate::ids::{TopicId, TopicRef};
use crate::kafka::answer::Rows;
use crate::kafka::call::Call;
use crate::kafka::connection::Outcome;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

/// Look-ups by id; two older versions have the field, but it could not be used with them (KIP-516).
const BY_ID_SINCE: i16 = 12;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: MetadataRequest) -> Outcome {
    let mut rows = Rows::new(call);
    match request.topics {
        None => all(call, &mut rows),
        // Version 0 has no null: the empty list means all.
        Some(asked) if asked.is_empty() && call.version == 0 => all(call, &mut rows),
        Some(asked) => {
            // A topic that is named twice is answered once, as in Kafka, which makes a set of them.
            let mut named = HashSet::with_capacity(asked.len().min(1_000));
            for topic in asked.iter().filter(|topic| named.insert((topic.name.as_ref(), topic.topic_id))) {
                let row = one(call, topic, request.allow_auto_topic_creation).await;
                if !rows.push(&row) {
                    break;
                }
            }
        }
    }
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(call.node_id()))
        .with_host(wire::text(&call.advertised.host))
        .with_port(i32::from(call.advertised.port));
    let response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(wire::text(call.engine.cluster_id())))
        .with_controller_id(BrokerId(call.node_id()));
    rows.finish(response, behind_topics(call.version))
}

/// Bytes of what follows the topics: what the client may do with the cluster (versions 8 to 10), an error code (from 13 on).
fn behind_topics(version: i16) -> usize {
    match version {
        8..=10 => 4,
        13.. => 2,
        _ => 0,
    }
}

fn all(call: &Call<'_>, rows: &mut Rows<'_>) {
    for topic in call.engine.describe_topics(&call.ctx) {
        if !rows.push(&found(call, &topic)) {
            break;
        }
    }
}

async fn one(call: &Call<'_>, asked: &MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let named = match &asked.name {
        _ if call.version >= BY_ID_SINCE && !asked.topic_id.is_nil() => TopicRef::Id(TopicId(asked.topic_id)),
        Some(name) => TopicRef::name(name),
        None => {
            let error = EngineError::from(InvalidRequest::NoTopicName);
            return failed(call, asked, &TopicRef::name(""), &error);
        }
    };
    match look_up(call, &named, may_create).await {
        Ok(topic) => found(call, &topic),
        Err(error) => failed(call, asked, &named, &error),
    }
}

async fn look_up(call: &Call<'_>, topic: &TopicRef, may_create: bool) -> Result<DescribedTopic, EngineError> {
    let describe = call.ask(topic.clone())?;
    let create = if may_create { call.ask(topic.clone()).ok() } else { None };
    call.engine.describe_or_create_topic(&describe, create).await
}

fn failed(
    call: &Call<'_>,
    asked: &MetadataRequestTopic,
    named: &TopicRef,
    error: &EngineError,
) -> MetadataResponseTopic {
    call.note(error);
    // Names are nullable from version 12 on only.
    let name = match named {
        TopicRef::Id(_) if call.version >= BY_ID_SINCE => None,
        _ => Some(wire::topic_name(asked.name.as_ref().map_or("", |name| name.as_str()))),
    };
    let id = if matches!(named, TopicRef::Id(_)) { asked.topic_id } else { Uuid::nil() };
    MetadataResponseTopic::default()
        .with_error_code(errors::code_of_topic(named, error))
        .with_name(name)
        .with_topic_id(id)
}

fn found(call: &Call<'_>, topic: &DescribedTopic) -> MetadataResponseTopic {
    let node = BrokerId(call.node_id());
    let partitions = (0..).zip(topic.epochs()).map(|(index, epoch)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_leader_epoch(epoch.0)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    });
    MetadataResponseTopic::default()
        .with_name(Some(wire::topic_name(topic.name.as_str())))
        .with_topic_id(topic.id.0)
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
}
