//! IncrementalAlterConfigs (44): single changes to a topic's configs, all or none (KIP-339).

use std::collections::HashSet;

use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::alter_answer::{self, Refused};
use super::describe_configs::invalid;
use crate::kafka::call::Call;
use crate::topics::{ConfigChange, ConfigOp};

pub(in crate::kafka) async fn handle(
    call: &Call<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let outcome = alter(call, resource, request.validate_only).await;
        responses.push(alter_answer::incremental(resource.resource_type, &resource.resource_name, outcome));
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

async fn alter(call: &Call<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refused> {
    let mut seen = HashSet::new();
    if let Some(twice) = resource.configs.iter().find(|config| !seen.insert(config.name.as_str())) {
        return Err(invalid(format!("'{}' is changed twice in one request", twice.name)));
    }
    let changes: Vec<_> = resource.configs.iter().map(change).collect::<Result<_, _>>()?;
    let permit = alter_answer::permit(call, resource.resource_type, &resource.resource_name)?;
    let altered = call.engine.alter_topic_configs(&permit, &changes, validate_only).await;
    altered.map_err(|error| alter_answer::refused(&error))
}

fn change(config: &AlterableConfig) -> Result<ConfigChange, Refused> {
    let key = config.name.to_string();
    let value = || {
        let missing = || invalid(format!("'{}' is to be changed to null", config.name));
        config.value.as_ref().map(ToString::to_string).ok_or_else(missing)
    };
    let op = match config.config_operation {
        0 => ConfigOp::Set(value()?),
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append(value()?),
        3 => ConfigOp::Subtract(value()?),
        other => return Err(invalid(format!("there is no operation {other}"))),
    };
    Ok(ConfigChange { key, op })
}
