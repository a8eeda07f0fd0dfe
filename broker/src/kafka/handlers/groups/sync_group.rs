//! SyncGroup (14): the leader's assignments in, this member's own out.

use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::auth::{Group, Read};
use crate::coordinator::group::{SyncAnswer, SyncRequest};
use crate::ids::Generation;
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;
use crate::memory::Owner;

/// Protocol type and name, in both directions (KIP-559).
const PROTOCOL_SINCE: i16 = 5;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let group = match call.ask::<Read, _>(Group::named(&request.group_id)) {
        Ok(group) => group,
        Err(denied) => return SyncGroupResponse::default().with_error_code(errors::code_of_denied(&denied)),
    };
    let sync = SyncRequest {
        group: request.group_id.to_string(),
        generation: Generation(request.generation_id),
        member: request.member_id.to_string(),
        instance: wire::nonempty(request.group_instance_id.as_ref()),
        protocol_type: request.protocol_type.as_ref().map(ToString::to_string),
        protocol: request.protocol_name.as_ref().map(ToString::to_string),
        assignments: assignments(&request),
        owner: Owner::of(&call.ctx),
    };
    // A sync waits for the leader's: it does not hold its frame.
    drop(request);
    match call.engine.sync_group(&call.ctx, group, sync).await {
        Ok(SyncAnswer { protocol_type, protocol, assignment }) => {
            let known = |text: String| (call.version >= PROTOCOL_SINCE).then(|| wire::text(text));
            SyncGroupResponse::default()
                .with_protocol_type(known(protocol_type))
                .with_protocol_name(known(protocol))
                .with_assignment(assignment)
        }
        Err(error) => SyncGroupResponse::default().with_error_code(errors::code_of_group(&error)),
    }
}

fn assignments(request: &SyncGroupRequest) -> Vec<(String, Bytes)> {
    request.assignments.iter().map(|one| (one.member_id.to_string(), wire::detached(&one.assignment))).collect()
}
