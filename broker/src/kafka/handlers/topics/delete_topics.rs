//! DeleteTopics (20): by name, and from version 6 on by name or id (KIP-516).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use uuid::Uuid;

use crate::ids::{TopicId, TopicRef};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

/// Topics carry name or id.
const BY_ID_SINCE: i16 = 6;
/// An error text.
const TEXT_SINCE: i16 = 5;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut responses = Vec::new();
    if call.version < BY_ID_SINCE {
        for name in &request.topic_names {
            responses.push(delete(call, TopicRef::name(name)).await);
        }
    } else {
        for topic in &request.topics {
            responses.push(match &topic.name {
                Some(name) if topic.topic_id.is_nil() => delete(call, TopicRef::name(name)).await,
                None if !topic.topic_id.is_nil() => delete(call, TopicRef::Id(TopicId(topic.topic_id))).await,
                _ => {
                    let code = ResponseError::InvalidRequest.code();
                    let text = wire::text("a topic is deleted by its name or by its id, not by both or neither");
                    DeletableTopicResult::default().with_error_code(code).with_error_message(Some(text))
                }
            });
        }
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

async fn delete(call: &Call<'_>, named: TopicRef) -> DeletableTopicResult {
    let deleted = match call.ask(named.clone()) {
        Ok(permit) => call.engine.delete_topic(&permit).await,
        Err(denied) => Err(denied.into()),
    };
    match deleted {
        Ok(topic) => DeletableTopicResult::default()
            .with_name(Some(wire::topic_name(topic.name.as_str())))
            .with_topic_id(topic.id.0),
        Err(error) => {
            let (name, id) = match &named {
                TopicRef::Name(name) => (Some(wire::topic_name(&**name)), Uuid::nil()),
                TopicRef::Id(id) => (None, id.0),
            };
            DeletableTopicResult::default()
                .with_name(name)
                .with_topic_id(id)
                .with_error_code(errors::code_of_topic(&named, &error))
                .with_error_message((call.version >= TEXT_SINCE).then(|| errors::text(&error)))
        }
    }
}
