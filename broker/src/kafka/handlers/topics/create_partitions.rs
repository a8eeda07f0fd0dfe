//! CreatePartitions (37): adds partitions to topics.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::create_topics::check_brokers;
use crate::engine::EngineError;
use crate::ids::TopicRef;
use crate::kafka::answer::Rows;
use crate::kafka::call::Call;
use crate::kafka::connection::Outcome;
use crate::kafka::errors;
use crate::kafka::handlers::wire::{self, Refused};

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: CreatePartitionsRequest) -> Outcome {
    let mut times = wire::times(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut rows = Rows::new(call);
    for topic in &request.topics {
        let result = CreatePartitionsTopicResult::default().with_name(wire::topic_name(topic.name.as_str()));
        let grown = match wire::once(times.remove(topic.name.as_str()), "topic") {
            None => continue,
            Some(Ok(())) => grow(call, topic, request.validate_only).await,
            Some(Err(twice)) => Err(twice),
        };
        let row = match grown {
            Ok(()) => result,
            Err((code, text)) => result.with_error_code(code).with_error_message(Some(errors::told(text))),
        };
        if !rows.push(&row) {
            break;
        }
    }
    rows.finish(CreatePartitionsResponse::default(), 0)
}

async fn grow(call: &Call<'_>, topic: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refused> {
    let refused = |error: &EngineError| {
        call.note(error);
        (errors::code(error), errors::text(error).to_string())
    };
    let named = TopicRef::name(&topic.name);
    let permit = call.ask(named.clone()).map_err(|denied| refused(&denied.into()))?;
    if let Some(assignments) = &topic.assignments {
        let describe = call.ask(named).map_err(|denied| refused(&denied.into()))?;
        let existing = call.engine.describe_topic(&describe).map_err(|error| refused(&error))?;
        let new = i64::from(topic.count) - i64::from(existing.partition_count());
        if i64::try_from(assignments.len()) != Ok(new) {
            let text = format!("{} assignments for {new} new partitions", assignments.len());
            return Err((ResponseError::InvalidReplicaAssignment.code(), text));
        }
        check_brokers(call.node_id(), assignments.iter().map(|one| one.broker_ids.iter().map(|id| id.0).collect()))?;
    }
    let grown = call.engine.grow_topic(&permit, topic.count, validate_only).await;
    grown.map_err(|error| refused(&error))
}
