//! Heartbeat (12): a member is alive, and learns of a rebalance.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::auth::{Group, Read};
use crate::coordinator::group::Membership;
use crate::ids::Generation;
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let group = match call.ask::<Read, _>(Group::named(&request.group_id)) {
        Ok(group) => group,
        Err(denied) => return HeartbeatResponse::default().with_error_code(errors::code_of_denied(&denied)),
    };
    let who = Membership {
        generation: Some(Generation(request.generation_id)),
        member: request.member_id.to_string(),
        instance: wire::nonempty(request.group_instance_id.as_ref()),
    };
    let beaten = call.engine.heartbeat(&group, &who).await;
    HeartbeatResponse::default().with_error_code(beaten.map_or_else(|error| errors::code_of_group(&error), |()| 0))
}
