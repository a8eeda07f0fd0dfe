//! DeleteTopics (20): by name, and from version 6 on by name or id (KIP-516).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use uuid::Uuid;

use crate::ids::{TopicId, TopicRef};
use crate::kafka::answer::Rows;
use crate::kafka::call::Call;
use crate::kafka::connection::Outcome;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

/// Topics carry name or id.
const BY_ID_SINCE: i16 = 6;
/// An error text.
const TEXT_SINCE: i16 = 5;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: DeleteTopicsRequest) -> Outcome {
    let named: Vec<_> = match call.version < BY_ID_SINCE {
        true => request.topic_names.iter().map(|name| (Some(name), Uuid::nil())).collect(),
        false => request.topics.iter().map(|topic| (topic.name.as_ref(), topic.topic_id)).collect(),
    };
    let mut times = wire::times(named.iter().copied());
    let mut rows = Rows::new(call);
    for (name, id) in named {
        let topic = match (name, id.is_nil()) {
            (Some(name), true) => Ok(TopicRef::name(name)),
            (None, false) => Ok(TopicRef::Id(TopicId(id))),
            _ => Err("a topic is deleted by its name or by its id, not by both or neither"),
        };
        let row = match (wire::once(times.remove(&(name, id)), "topic"), topic) {
            (None, _) => continue,
            (Some(Ok(())), Ok(topic)) => delete(call, topic).await,
            (Some(Ok(())), Err(text)) => invalid(call, name, id, text),
            (Some(Err((_, twice))), _) => invalid(call, name, id, &twice),
        };
        if !rows.push(&row) {
            break;
        }
    }
    rows.finish(DeleteTopicsResponse::default(), 0)
}

fn invalid(call: &Call<'_>, name: Option<&TopicName>, id: Uuid, text: &str) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(name.cloned())
        .with_topic_id(id)
        .with_error_code(ResponseError::InvalidRequest.code())
        .with_error_message((call.version >= TEXT_SINCE).then(|| wire::text(text)))
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
