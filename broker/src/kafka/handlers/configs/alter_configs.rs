//! AlterConfigs (33): the legacy way, which kafkajs still uses: the whole set of a topic's configs is replaced.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::alter_answer::{self, Refused};
use crate::kafka::call::Call;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let outcome = replace(call, resource, request.validate_only).await;
        responses.push(alter_answer::legacy(resource.resource_type, &resource.resource_name, outcome));
    }
    AlterConfigsResponse::default().with_responses(responses)
}

async fn replace(call: &Call<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refused> {
    let permit = alter_answer::permit(call, resource.resource_type, &resource.resource_name)?;
    // Null means the default here.
    let set = resource.configs.iter().map(|one| (one.name.to_string(), one.value.as_ref().map(ToString::to_string)));
    let replaced = call.engine.replace_topic_configs(&permit, set.collect(), validate_only).await;
    replaced.map_err(|error| alter_answer::refused(&error))
}
