//! AlterConfigs (33): the legacy way, which kafkajs still uses: the whole set of a topic's configs is replaced.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::alter_answer;
use crate::kafka::answer::Rows;
use crate::kafka::call::Call;
use crate::kafka::connection::Outcome;
use crate::kafka::handlers::wire::{self, Refused};

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: AlterConfigsRequest) -> Outcome {
    let mut times = wire::times(request.resources.iter().map(|one| (one.resource_type, one.resource_name.as_str())));
    let mut rows = Rows::new(call);
    for resource in &request.resources {
        let (kind, name) = (resource.resource_type, resource.resource_name.as_str());
        let outcome = match wire::once(times.remove(&(kind, name)), "resource") {
            None => continue,
            Some(Ok(())) => replace(call, resource, request.validate_only).await,
            Some(Err(twice)) => Err(twice),
        };
        if !rows.push(&alter_answer::legacy(kind, name, outcome)) {
            break;
        }
    }
    rows.finish(AlterConfigsResponse::default(), 0)
}

async fn replace(call: &Call<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refused> {
    let permit = alter_answer::permit(call, resource.resource_type, &resource.resource_name)?;
    // Null means the default here.
    let set = resource.configs.iter().map(|one| (one.name.to_string(), one.value.as_ref().map(ToString::to_string)));
    let replaced = call.engine.replace_topic_configs(&permit, set.collect(), validate_only).await;
    replaced.map_err(|error| alter_answer::refused(&error))
}
