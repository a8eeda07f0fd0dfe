//! CreateTopics (19): answered when the topic is durable. Replica assignments are taken when they name this broker alone.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::engine::EngineError;
use crate::ids::TopicRef;
use crate::kafka::answer::Rows;
use crate::kafka::call::Call;
use crate::kafka::connection::Outcome;
use crate::kafka::errors;
use crate::kafka::handlers::configs::describe_configs::source_code;
use crate::kafka::handlers::wire::{self, Refused};
use crate::topics::{NewTopic, TopicConfigs, TopicError};

/// Partitions, replicas and configs of what was created (KIP-525).
const DETAILS_SINCE: i16 = 5;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: CreateTopicsRequest) -> Outcome {
    let mut times = wire::times(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut rows = Rows::new(call);
    for topic in &request.topics {
        let result = match wire::once(times.remove(topic.name.as_str()), "topic") {
            None => continue,
            Some(Ok(())) => create(call, topic, request.validate_only).await,
            Some(Err(twice)) => Err(twice),
        };
        let answer = result.unwrap_or_else(|(code, text)| {
            CreatableTopicResult::default().with_error_code(code).with_error_message(Some(errors::told(text)))
        });
        if !rows.push(&answer.with_name(wire::topic_name(topic.name.as_str()))) {
            break;
        }
    }
    rows.finish(CreateTopicsResponse::default(), 0)
}

async fn create(call: &Call<'_>, topic: &CreatableTopic, validate_only: bool) -> Result<CreatableTopicResult, Refused> {
    let new = new_topic(call, topic)?;
    let refused = |error: &EngineError| {
        call.note(error);
        (errors::code(error), errors::text(error).to_string())
    };
    let planned = new.partitions.unwrap_or(call.engine.config().num_partitions);
    let set = new.configs.clone();
    let permit = call.ask(TopicRef::name(&topic.name)).map_err(|denied| refused(&denied.into()))?;
    let made = call.engine.create_topic(&permit, new, validate_only).await.map_err(|error| refused(&error))?;
    // Null and not the empty text, which some clients take for an error without words.
    let result = CreatableTopicResult::default().with_error_message(None);
    let result = match &made {
        Some(topic) => result.with_topic_id(topic.id.0).with_num_partitions(topic.partition_count()),
        None => result.with_num_partitions(planned),
    };
    if call.version < DETAILS_SINCE {
        return Ok(result);
    }
    let set = set.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
    let configs = match &made {
        Some(topic) => topic.configs.describe(),
        None => TopicConfigs::from_pairs(set).map_err(|bad| refused(&TopicError::from(bad).into()))?.describe(),
    };
    let configs = configs.into_iter().map(|entry| {
        CreatableTopicConfigs::default()
            .with_config_source(source_code(entry.source))
            .with_name(wire::text(entry.key))
            .with_value(Some(wire::text(entry.value)))
    });
    Ok(result.with_replication_factor(1).with_configs(Some(configs.collect())))
}

fn new_topic(call: &Call<'_>, topic: &CreatableTopic) -> Result<NewTopic, Refused> {
    let configs =
        topic.configs.iter().map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)));
    let (partitions, replication) = if topic.assignments.is_empty() {
        // -1 is the broker's default (KIP-464). Anything else that is impossible is refused by the catalog.
        let partitions = (topic.num_partitions != -1).then_some(topic.num_partitions);
        (partitions, (topic.replication_factor != -1).then_some(topic.replication_factor))
    } else {
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            return Err(invalid_request("either assignments, or numbers of partitions and replicas"));
        }
        (Some(assigned(call.node_id(), &topic.assignments)?), None)
    };
    Ok(NewTopic { name: topic.name.to_string(), partitions, replication, configs: configs.collect(), internal: false })
}

/// The partition count of an assignment: 0, 1, 2, …, each on this broker.
fn assigned(node: i32, assignments: &[CreatableReplicaAssignment]) -> Result<i32, Refused> {
    let wrong = |text: String| (ResponseError::InvalidReplicaAssignment.code(), text);
    let mut indexes: Vec<i32> = assignments.iter().map(|one| one.partition_index).collect();
    indexes.sort_unstable();
    if !(0..).zip(&indexes).all(|(expected, index)| expected == *index) {
        return Err(wrong("the assigned partitions are not numbered 0, 1, 2, …".into()));
    }
    check_brokers(node, assignments.iter().map(|one| one.broker_ids.iter().map(|id| id.0).collect()))?;
    i32::try_from(indexes.len()).map_err(|_| wrong("too many partitions".into()))
}

/// Every partition has one replica, on this broker.
pub(super) fn check_brokers(node: i32, assignments: impl Iterator<Item = Vec<i32>>) -> Result<(), Refused> {
    for brokers in assignments {
        if brokers != [node] {
            let brokers = &brokers[..brokers.len().min(10)];
            let text = format!("partitions can be assigned to broker {node} alone, not to {brokers:?}");
            return Err((ResponseError::InvalidReplicaAssignment.code(), text));
        }
    }
    Ok(())
}

fn invalid_request(text: &str) -> Refused {
    (ResponseError::InvalidRequest.code(), text.to_owned())
}
