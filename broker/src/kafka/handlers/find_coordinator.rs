//! FindCoordinator (10): always this broker. A transactional id is refused here already, with the reason: this answer has a text
//! that clients show, InitProducerId's has none.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::wire;
use crate::engine::EngineError;
use crate::kafka::call::Call;
use crate::kafka::errors;

/// Several keys at once (KIP-699).
const BATCHED_SINCE: i16 = 4;
/// `key_type` of a consumer group; the only kind of version 0.
const GROUP: i8 = 0;
/// `key_type` of a transactional id.
const TRANSACTION: i8 = 1;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let (code, message) = match refusal(call.version, request.key_type) {
        None => (0, None),
        Some((code, message)) => (code, Some(message)),
    };
    let found = code == 0;
    let node = BrokerId(if found { call.node_id() } else { -1 });
    let host = if found { wire::text(&call.advertised.host) } else { StrBytes::new() };
    let port = if found { i32::from(call.advertised.port) } else { -1 };
    if call.version < BATCHED_SINCE {
        return FindCoordinatorResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_node_id(node)
            .with_host(host)
            .with_port(port);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(node)
            .with_host(host.clone())
            .with_port(port)
            .with_error_code(code)
            .with_error_message(message.clone())
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn refusal(version: i16, key_type: i8) -> Option<(i16, StrBytes)> {
    match key_type {
        GROUP => None,
        TRANSACTION => {
            let error = EngineError::NoTransactions { what: "FindCoordinator for a transactional id" };
            // librdkafka (which sends version 2) gives up for one code alone and retries on all others; the Java client
            // (version 4 and later) shows the text for any code but that one.
            let batched = ResponseError::InvalidRequest.code();
            let code = if version < BATCHED_SINCE { errors::code(&error) } else { batched };
            Some((code, errors::text(&error)))
        }
        other => {
            let text = format!("there is no coordinator of type {other} here");
            Some((ResponseError::InvalidRequest.code(), wire::text(text)))
        }
    }
}
