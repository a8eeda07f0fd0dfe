//! AlterConfigs (33): the legacy way, which kafkajs still uses: the whole set of a topic's configs is replaced.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::describe_configs::TOPIC;
use super::incremental_alter_configs::alter_topic;
use super::wire;
use crate::ids::TopicRef;
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::topics::{ConfigChange, ConfigOp};

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let (code, text) = match replace(call, resource, request.validate_only).await {
            Ok(()) => (0, None),
            Err((code, text)) => (code, Some(wire::text(text))),
        };
        responses.push(
            AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(text)
                .with_resource_type(resource.resource_type)
                .with_resource_name(wire::text(resource.resource_name.as_str())),
        );
    }
    AlterConfigsResponse::default().with_responses(responses)
}

async fn replace(call: &Call<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), (i16, String)> {
    let mut changes = Vec::new();
    if resource.resource_type == TOPIC {
        let named = TopicRef::name(&resource.resource_name);
        let topic = call.engine.resolve(&named);
        let topic = topic.map_err(|error| (errors::code(&error), errors::text(&error).to_string()))?;
        let kept = |key: &str| resource.configs.iter().any(|config| config.name.as_str() == key);
        let dropped = topic.configs().set().keys().filter(|key| !kept(key)).cloned().collect::<Vec<_>>();
        changes.extend(dropped.into_iter().map(|key| ConfigChange { key, op: ConfigOp::Delete }));
    }
    changes.extend(resource.configs.iter().map(|config| ConfigChange {
        key: config.name.to_string(),
        // Null means the default here.
        op: config.value.as_ref().map_or(ConfigOp::Delete, |value| ConfigOp::Set(value.to_string())),
    }));
    alter_topic(call, resource.resource_type, &resource.resource_name, &changes, validate_only).await
}
