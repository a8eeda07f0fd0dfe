//! What AlterConfigs and IncrementalAlterConfigs have in common: which resources have configs that can be changed, the permit, and
//! the answer to each resource.

use kafka_protocol::messages::{alter_configs_response, incremental_alter_configs_response};

use super::describe_configs::{BROKER, TOPIC, invalid};
use crate::auth::{AlterConfigs, Granted};
use crate::engine::EngineError;
use crate::ids::TopicRef;
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire::{self, Refused};

/// The permit to change the configs of a resource. Topics have configs that can be changed, this broker has none.
pub(super) fn permit(call: &Call<'_>, kind: i8, name: &str) -> Result<Granted<AlterConfigs, TopicRef>, Refused> {
    match kind {
        TOPIC => call.ask(TopicRef::name(name)).map_err(|denied| refused(&denied.into())),
        BROKER => Err(invalid("the broker's own configs are set where it is started (sluice.toml, flags)".into())),
        other => Err(invalid(format!("resources of type {other} have no configs here"))),
    }
}

/// An error of the engine.
pub(super) fn refused(error: &EngineError) -> Refused {
    (errors::code(error), errors::text(error).to_string())
}

/// The answer to one resource. Both responses have the same fields, in types of their own.
macro_rules! answer {
    ($name:ident, $response:ident) => {
        pub(super) fn $name(
            kind: i8,
            name: &str,
            outcome: Result<(), Refused>,
        ) -> $response::AlterConfigsResourceResponse {
            let (code, text) = outcome.map_or_else(|(code, text)| (code, Some(errors::told(text))), |()| (0, None));
            $response::AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(text)
                .with_resource_type(kind)
                .with_resource_name(wire::text(name))
        }
    };
}

answer!(legacy, alter_configs_response);
answer!(incremental, incremental_alter_configs_response);
