//! JoinGroup (11): returns when the group's join phase ends; then a leader exists and knows all members.

use std::time::Duration;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::auth::{Group, Read};
use crate::coordinator::group::{GroupError, JoinAnswer, JoinRequest};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;
use crate::memory::Owner;

/// A member without an id gets one first (KIP-394); static members (KIP-345) are known by their instance.
const KNOWN_MEMBER_SINCE: i16 = 4;
/// The answer may tell the leader to skip the assignment (KIP-814).
const SKIP_SINCE: i16 = 9;
/// Protocol type and a null protocol (KIP-559).
const PROTOCOL_TYPE_SINCE: i16 = 7;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let member = request.member_id.to_string();
    let group = match call.ask::<Read, _>(Group::named(&request.group_id)) {
        Ok(group) => group,
        Err(denied) => return refused(call, &member, errors::code_of_denied(&denied)),
    };
    let join = translate(call, &request);
    // A join waits for minutes: it does not hold its frame.
    drop(request);
    match call.engine.join_group(&call.ctx, group, join).await {
        Ok(answer) => joined(call, answer),
        Err(error) => {
            let member = match &error {
                GroupError::MemberIdRequired { member } => member.as_str(),
                _ => &member,
            };
            refused(call, member, errors::code_of_group(&error))
        }
    }
}

fn translate(call: &Call<'_>, request: &JoinGroupRequest) -> JoinRequest {
    // Version 0 has one time-out for both.
    let rebalance_ms = if request.rebalance_timeout_ms < 0 || call.version == 0 {
        request.session_timeout_ms
    } else {
        request.rebalance_timeout_ms
    };
    let instance = wire::nonempty(request.group_instance_id.as_ref());
    JoinRequest {
        group: request.group_id.to_string(),
        member: wire::nonempty(Some(&request.member_id)),
        require_known_member: call.version >= KNOWN_MEMBER_SINCE && instance.is_none(),
        instance,
        client_id: call.ctx.client_id().to_string(),
        client_host: call.ctx.client_host(),
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.iter().map(|p| (p.name.to_string(), wire::detached(&p.metadata))).collect(),
        session_timeout: millis(request.session_timeout_ms),
        rebalance_timeout: millis(rebalance_ms),
        supports_skip_assignment: call.version >= SKIP_SINCE,
        in_process: false,
        owner: Owner::of(&call.ctx),
    }
}

/// A negative time-out means 0; the coordinator refuses what is too short.
fn millis(wire: i32) -> Duration {
    Duration::from_millis(u64::try_from(wire).unwrap_or(0))
}

fn joined(call: &Call<'_>, answer: JoinAnswer) -> JoinGroupResponse {
    let members = answer.members.into_iter().map(|(member, instance, metadata)| {
        JoinGroupResponseMember::default()
            .with_member_id(wire::text(member))
            .with_group_instance_id(instance.map(wire::text))
            .with_metadata(metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(answer.generation.0)
        .with_protocol_type((call.version >= PROTOCOL_TYPE_SINCE).then(|| wire::text(answer.protocol_type)))
        .with_protocol_name(Some(wire::text(answer.protocol)))
        .with_leader(wire::text(answer.leader))
        .with_skip_assignment(answer.skip_assignment && call.version >= SKIP_SINCE)
        .with_member_id(wire::text(answer.member))
        .with_members(members.collect())
}

fn refused(call: &Call<'_>, member: &str, code: i16) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(code)
        .with_member_id(wire::text(member))
        // Nullable since version 7.
        .with_protocol_name((call.version < PROTOCOL_TYPE_SINCE).then(StrBytes::new))
}
