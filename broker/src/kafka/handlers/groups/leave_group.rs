//! LeaveGroup (13): one member, or several at once (KIP-345).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::auth::{Group, Read};
use crate::coordinator::group::LeavingMember;
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;
use crate::limits;

/// Several members.
const BATCHED_SINCE: i16 = 3;
/// A group has no more members and promised ids than that. Each is answered with its own error, which names the group.
const LEAVING_MAX: usize = 2 * limits::GROUP_MEMBERS_MAX;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let group = match call.ask::<Read, _>(Group::named(&request.group_id)) {
        Ok(group) => group,
        Err(denied) => return LeaveGroupResponse::default().with_error_code(errors::code_of_denied(&denied)),
    };
    let batched = call.version >= BATCHED_SINCE;
    let leaving: Vec<_> = if batched {
        let one = |member: &kafka_protocol::messages::leave_group_request::MemberIdentity| LeavingMember {
            member: member.member_id.to_string(),
            instance: wire::nonempty(member.group_instance_id.as_ref()),
        };
        if request.members.len() > LEAVING_MAX {
            return LeaveGroupResponse::default().with_error_code(ResponseError::InvalidRequest.code());
        }
        request.members.iter().map(one).collect()
    } else {
        vec![LeavingMember { member: request.member_id.to_string(), instance: None }]
    };
    let outcomes = match call.engine.leave_group(&group, &leaving).await {
        Ok(outcomes) => outcomes,
        Err(error) => return LeaveGroupResponse::default().with_error_code(errors::code_of_group(&error)),
    };
    let code = |outcome: &Result<(), _>| outcome.as_ref().map_or_else(errors::code_of_group, |()| 0);
    if !batched {
        return LeaveGroupResponse::default().with_error_code(outcomes.first().map_or(0, code));
    }
    let members = leaving.into_iter().zip(&outcomes).map(|(member, outcome)| {
        MemberResponse::default()
            .with_member_id(wire::text(member.member))
            .with_group_instance_id(member.instance.map(wire::text))
            .with_error_code(code(outcome))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}
