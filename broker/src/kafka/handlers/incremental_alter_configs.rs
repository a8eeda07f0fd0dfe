//! IncrementalAlterConfigs (44): single changes to a topic's configs, all or none (KIP-339).

use std::collections::HashSet;

use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::describe_configs::{BROKER, TOPIC, invalid};
use super::wire;
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::topics::{ConfigChange, ConfigOp};

pub(in crate::kafka) async fn handle(
    call: &Call<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let (code, text) = match alter(call, resource, request.validate_only).await {
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
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

async fn alter(call: &Call<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), (i16, String)> {
    let mut seen = HashSet::new();
    if let Some(twice) = resource.configs.iter().find(|config| !seen.insert(config.name.as_str())) {
        return Err(invalid(format!("'{}' is changed twice in one request", twice.name)));
    }
    let changes: Vec<_> = resource.configs.iter().map(change).collect::<Result<_, _>>()?;
    alter_topic(call, resource.resource_type, &resource.resource_name, &changes, validate_only).await
}

fn change(config: &AlterableConfig) -> Result<ConfigChange, (i16, String)> {
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

/// Both ways to alter configs end here: topics have configs that can be changed, this broker has none.
pub(super) async fn alter_topic(
    call: &Call<'_>,
    resource_type: i8,
    name: &str,
    changes: &[ConfigChange],
    validate_only: bool,
) -> Result<(), (i16, String)> {
    match resource_type {
        TOPIC => {
            let altered = call.engine.alter_topic_configs(&call.ctx, name, changes, validate_only).await;
            altered.map_err(|error| (errors::code(&error), errors::text(&error).to_string()))
        }
        BROKER => Err(invalid("the broker's own configs are set where it is started (sluice.toml, flags)".into())),
        other => Err(invalid(format!("resources of type {other} have no configs here"))),
    }
}
