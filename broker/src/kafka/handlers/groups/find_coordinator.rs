//! FindCoordinator (10): always this broker. A transactional id is refused here already, with the reason: this answer has a text
//! that clients show, InitProducerId's has none.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::auth::{Describe, Group};
use crate::engine::EngineError;
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

/// Several keys at once (KIP-699).
const BATCHED_SINCE: i16 = 4;
/// `key_type` of a consumer group; the only kind of version 0.
const GROUP: i8 = 0;
/// `key_type` of a transactional id.
const TRANSACTION: i8 = 1;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if call.version < BATCHED_SINCE {
        let found = find(call, request.key_type, &request.key);
        return FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_error_message(found.error_message)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| find(call, request.key_type, &key).with_key(key));
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn find(call: &Call<'_>, key_type: i8, key: &str) -> Coordinator {
    match refusal(call, key_type, key) {
        None => Coordinator::default()
            .with_node_id(BrokerId(call.node_id()))
            .with_host(wire::text(&call.advertised.host))
            .with_port(i32::from(call.advertised.port)),
        Some((code, message)) => Coordinator::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(code)
            .with_error_message(Some(message)),
    }
}

fn refusal(call: &Call<'_>, key_type: i8, key: &str) -> Option<(i16, StrBytes)> {
    match key_type {
        GROUP => {
            let denied = call.ask::<Describe, _>(Group::named(key)).err()?;
            Some((errors::code_of_denied(&denied), errors::text(&denied)))
        }
        TRANSACTION => {
            let error = EngineError::NoTransactions { what: "FindCoordinator for a transactional id" };
            // librdkafka (which sends version 2) gives up for one code alone and retries on all others; the Java client
            // (version 4 and later) shows the text for any code but that one.
            let batched = ResponseError::InvalidRequest.code();
            let code = if call.version < BATCHED_SINCE { errors::code(&error) } else { batched };
            Some((code, errors::text(&error)))
        }
        other => {
            let text = format!("there is no coordinator of type {other} here");
            Some((ResponseError::InvalidRequest.code(), wire::text(text)))
        }
    }
}
