//! IncrementalAlterConfigs (44): single changes to a topic's configs, all or none (KIP-339).

use std::collections::HashSet;

use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::alter_answer;
use super::describe_configs::invalid;
use crate::kafka::answer::Rows;
use crate::kafka::call::Call;
use crate::kafka::connection::Outcome;
use crate::kafka::handlers::wire::{self, Refused};
use crate::topics::{ConfigChange, ConfigOp};

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: IncrementalAlterConfigsRequest) -> Outcome {
    let mut times = wire::times(request.resources.iter().map(|one| (one.resource_type, one.resource_name.as_str())));
    let mut rows = Rows::new(call);
    for resource in &request.resources {
        let (kind, name) = (resource.resource_type, resource.resource_name.as_str());
        let outcome = match wire::once(times.remove(&(kind, name)), "resource") {
            None => continue,
            Some(Ok(())) => alter(call, resource, request.validate_only).await,
            Some(Err(twice)) => Err(twice),
        };
        if !rows.push(&alter_answer::incremental(kind, name, outcome)) {
            break;
        }
    }
    rows.finish(IncrementalAlterConfigsResponse::default(), 0)
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
