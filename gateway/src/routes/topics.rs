//! Topics listed, described, made and deleted, and their configs read and patched.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use sluice_broker::door::topics::{
    ConfigChange, ConfigEntry, ConfigOp, ConfigSource, ConfigType, NewTopic, TopicInfo, TopicRef,
};

use super::{answer, nothing};
use crate::app::{App, Caller, Segments};
use crate::body::{self, Limit};
use crate::limits::ADMIN_BYTES_MAX;
use crate::problem::Problem;
use crate::query::Query;
use crate::schemas::{
    ConfigDescription, PartitionDescription, ProblemDocument, Replica, TopicConfigsAnswer, TopicDescription,
    TopicRequest,
};

const BODY: Limit = Limit { bytes: ADMIN_BYTES_MAX, what: "the body of an administration request" };

/// The names of all topics.
#[utoipa::path(get, path = "/topics", tag = "topics", operation_id = "listTopics",
    params(
        ("detail" = Option<bool>, Query, description = "Whole topics instead of their names"),
        ("internal" = Option<bool>, Query, description = "The broker's own as well"),
    ),
    responses((status = 200, description = "An array of names, or of topics with detail=true", body = Vec<String>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["detail", "internal"], &[])?;
    let topics = app.door.topics(&caller.0, query.flag("internal")?);
    if query.flag("detail")? {
        let all: Vec<TopicDescription> = topics.into_iter().map(|topic| description(&app, topic)).collect();
        return answer(&headers, StatusCode::OK, &all);
    }
    let names: Vec<String> = topics.into_iter().map(|topic| topic.name).collect();
    answer(&headers, StatusCode::OK, &names)
}

/// Make a topic.
#[utoipa::path(post, path = "/topics", tag = "topics", operation_id = "createTopic", request_body = TopicRequest,
    responses(
        (status = 201, description = "Made, durably", body = TopicDescription),
        (status = 400, description = "A name, count or config that cannot be", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "There is one of that name", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    make(app, caller, query, headers, body).await
}

/// Make a topic, under Strimzi Bridge's path.
#[utoipa::path(post, path = "/admin/topics", tag = "topics", operation_id = "createTopicAdmin", request_body = TopicRequest,
    responses(
        (status = 201, description = "Made, durably", body = TopicDescription),
        (status = "4XX", description = "As `POST /topics`", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_admin(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    make(app, caller, query, headers, body).await
}

async fn make(
    app: Arc<App>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    query.only(&[], &[])?;
    let body = body::read(&app.memory, &caller.1, &headers, body, BODY).await?;
    let asked: TopicRequest = body::json(&body)?;
    let configs = asked.config.into_iter().map(|(key, value)| Ok((key.clone(), scalar(&key, value)?)));
    let request = NewTopic {
        name: asked.topic_name,
        partitions: asked.partitions_count,
        replication: asked.replication_factor,
        configs: configs.collect::<Result<_, Problem>>()?,
    };
    let door = app.door.clone();
    let topic = app.finish(async move { Ok(door.create_topic(&caller.0, request).await?) }).await?;
    let location = HeaderValue::try_from(format!("/topics/{}", topic.name));
    let mut response = answer(&headers, StatusCode::CREATED, &description(&app, topic))?;
    if let Ok(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// One topic.
#[utoipa::path(get, path = "/topics/{topic}", tag = "topics", operation_id = "showTopic", params(("topic" = String, Path, description = "The topic")),
    responses(
        (status = 200, description = "The topic", body = TopicDescription),
        (status = 404, description = "No such topic", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(topic): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let topic = app.door.topic(&caller.0, &TopicRef::name(&topic))?;
    answer(&headers, StatusCode::OK, &description(&app, topic))
}

/// Delete a topic with everything in it.
#[utoipa::path(delete, path = "/topics/{topic}", tag = "topics", operation_id = "deleteTopic", params(("topic" = String, Path, description = "The topic")),
    responses(
        (status = 204, description = "Gone, durably"),
        (status = 404, description = "No such topic", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(topic): Segments<String>,
) -> Result<Response, Problem> {
    let door = app.door.clone();
    app.finish(async move { Ok(door.delete_topic(&caller.0, &topic).await?) }).await?;
    Ok(nothing())
}

/// The partitions of a topic.
#[utoipa::path(get, path = "/topics/{topic}/partitions", tag = "topics", operation_id = "listPartitions",
    params(("topic" = String, Path, description = "The topic")),
    responses(
        (status = 200, description = "Its partitions", body = Vec<PartitionDescription>),
        (status = 404, description = "No such topic", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn partitions(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(topic): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let topic = app.door.topic(&caller.0, &TopicRef::name(&topic))?;
    answer(&headers, StatusCode::OK, &description(&app, topic).partitions)
}

/// One partition of a topic.
#[utoipa::path(get, path = "/topics/{topic}/partitions/{partition}", tag = "topics", operation_id = "showPartition",
    params(("topic" = String, Path, description = "The topic"), ("partition" = i32, Path, description = "The partition")),
    responses(
        (status = 200, description = "The partition", body = PartitionDescription),
        (status = 404, description = "No such topic or partition", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn partition(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments((topic, partition)): Segments<(String, i32)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let topic = app.door.topic(&caller.0, &TopicRef::name(&topic))?;
    let name = topic.name.clone();
    let all = description(&app, topic).partitions;
    let Some(found) = all.into_iter().find(|one| one.partition == partition) else {
        let detail = format!("topic '{name}' has no partition {partition}");
        return Err(Problem::coded(StatusCode::NOT_FOUND, 40402, detail));
    };
    answer(&headers, StatusCode::OK, &found)
}

/// A topic's configs: what is set, and everything in force.
#[utoipa::path(get, path = "/topics/{topic}/configs", tag = "topics", operation_id = "topicConfigs",
    params(("topic" = String, Path, description = "The topic")),
    responses(
        (status = 200, description = "Its configs", body = TopicConfigsAnswer),
        (status = 404, description = "No such topic", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn configs(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(topic): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entries = app.door.topic_configs(&caller.0, &topic)?;
    answer(&headers, StatusCode::OK, &configs_answer(entries))
}

/// Set configs, or take them back with null. All or nothing: binding a plugin that fails refuses the whole change.
#[utoipa::path(patch, path = "/topics/{topic}/configs", tag = "topics", operation_id = "patchTopicConfigs",
    params(("topic" = String, Path, description = "The topic")),
    request_body(content = Object, description = "`{\"configs\":{\"name\":\"value\" or null}}`, or the inner object alone",
        example = json!({"configs": {"sluice.partitioner": "geo"}})),
    responses(
        (status = 200, description = "Changed, durably; the configs now", body = TopicConfigsAnswer),
        (status = 400, description = "No such config, or a value that it cannot have", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such topic", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn patch_configs(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(topic): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = body::read(&app.memory, &caller.1, &headers, body, BODY).await?;
    let changes = config_changes(body::json(&body)?)?;
    let door = app.door.clone();
    let entries = app
        .finish(async move {
            door.alter_topic_configs(&caller.0, &topic, &changes).await?;
            Ok(door.topic_configs(&caller.0, &topic)?)
        })
        .await?;
    answer(&headers, StatusCode::OK, &configs_answer(entries))
}

fn config_changes(mut body: Map<String, Value>) -> Result<Vec<ConfigChange>, Problem> {
    if body.len() == 1
        && let Some(Value::Object(inner)) = body.get_mut("configs")
    {
        body = std::mem::take(inner);
    }
    let change = |(key, value): (String, Value)| {
        let op = scalar(&key, value)?.map_or(ConfigOp::Delete, ConfigOp::Set);
        Ok(ConfigChange { key, op })
    };
    body.into_iter().map(change).collect()
}

/// Configs are text; numbers and booleans may be written without quotes.
fn scalar(key: &str, value: Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            Err(Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, format!("the value of '{key}' is not a text")))
        }
    }
}

fn configs_answer(entries: Vec<ConfigEntry>) -> TopicConfigsAnswer {
    let set = entries.iter().filter(|entry| entry.source == ConfigSource::Topic);
    TopicConfigsAnswer {
        configs: set.map(|entry| (entry.key.to_string(), entry.value.clone().into())).collect(),
        all: entries.into_iter().map(config_description).collect(),
    }
}

fn config_description(entry: ConfigEntry) -> ConfigDescription {
    let source = match entry.source {
        ConfigSource::Topic => "topic",
        ConfigSource::Default => "default",
    };
    let kind = match entry.kind {
        ConfigType::Boolean => "boolean",
        ConfigType::String => "string",
        ConfigType::Int => "int",
        ConfigType::Long => "long",
        ConfigType::Double => "double",
        ConfigType::List => "list",
    };
    ConfigDescription {
        name: entry.key.into_owned(),
        value: entry.value,
        default: entry.default,
        source: source.to_owned(),
        r#type: kind.to_owned(),
        documentation: entry.doc.to_owned(),
    }
}

fn description(app: &App, topic: TopicInfo) -> TopicDescription {
    let broker = app.node.node_id();
    let partitions = (0..topic.partitions).map(|partition| PartitionDescription {
        partition,
        leader: broker,
        replicas: vec![Replica { broker, leader: true, in_sync: true }],
    });
    TopicDescription {
        id: topic.id.to_string(),
        internal: topic.internal,
        configs: topic.configs.into_iter().map(|(key, value)| (key, value.into())).collect(),
        partitions: partitions.collect(),
        name: topic.name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(body: Value) -> Result<Vec<(String, ConfigOp)>, u32> {
        let Value::Object(body) = body else { panic!("an object") };
        let changes = config_changes(body).map_err(|problem| problem.code)?;
        Ok(changes.into_iter().map(|change| (change.key, change.op)).collect())
    }

    #[test]
    fn configs_are_patched_with_or_without_a_wrapper() {
        let set = |key: &str, value: &str| (key.to_owned(), ConfigOp::Set(value.to_owned()));
        for body in [
            json!({"configs": {"a": "1", "b": null, "c": 2, "d": true}}),
            json!({"a": "1", "b": null, "c": 2, "d": true}),
        ] {
            let expect = vec![set("a", "1"), ("b".to_owned(), ConfigOp::Delete), set("c", "2"), set("d", "true")];
            assert_eq!(changes(body), Ok(expect));
        }
        assert_eq!(
            changes(json!({"configs": "x"})),
            Ok(vec![set("configs", "x")]),
            "a config of that name, if there were one"
        );
        assert_eq!(changes(json!({"a": ["x"]})), Err(42206));
    }

    #[test]
    fn a_topic_is_requested_in_strimzis_words_or_plain_ones() {
        for text in [
            r#"{"topic_name":"t","partitions_count":3,"replication_factor":1,"config":{"retention.ms":5}}"#,
            r#"{"name":"t","partitions":3,"replication_factor":1,"configs":{"retention.ms":5}}"#,
        ] {
            let request: TopicRequest = serde_json::from_str(text).expect("a request");
            assert_eq!(
                (request.topic_name.as_str(), request.partitions_count, request.replication_factor),
                ("t", Some(3), Some(1))
            );
            assert_eq!(scalar("retention.ms", request.config["retention.ms"].clone()), Ok(Some("5".to_owned())));
        }
        assert!(serde_json::from_str::<TopicRequest>(r#"{"name":"t","partitons":3}"#).is_err(), "a mistyped member");
    }
}
