//! DescribeGroups (15): state, protocol, members. An unknown group is `Dead`, and from version 6 on an error (KIP-1043).
//! A group that is named again is described once, where Kafka repeats it: its name would fetch all its members each time.

use std::collections::HashSet;

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use crate::auth::Group;
use crate::coordinator::group::{GroupDescription, GroupError, GroupState, MemberDescription};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

/// GROUP_ID_NOT_FOUND, with a text, in place of a dead group.
const NOT_FOUND_SINCE: i16 = 6;
/// Static members are shown.
const INSTANCE_SINCE: i16 = 4;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut named = HashSet::new();
    let groups = request.groups.iter().filter(|group| named.insert(group.as_str())).map(|group| {
        let described = match call.ask(Group::named(group)) {
            Ok(permit) => match call.engine.describe_group(&permit) {
                Ok(description) => described(call.version, description),
                Err(error) => failed(call.version, &error),
            },
            Err(denied) => DescribedGroup::default().with_error_code(errors::code_of_denied(&denied)),
        };
        described.with_group_id(GroupId(wire::text(group.as_str())))
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn described(version: i16, group: GroupDescription) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_state(wire::text(group.state.name()))
        .with_protocol_type(wire::text(group.protocol_type))
        .with_protocol_data(wire::text(group.protocol))
        .with_members(group.members.into_iter().map(|one| member(version, one)).collect())
}

fn member(version: i16, member: MemberDescription) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(wire::text(member.member))
        .with_group_instance_id(member.instance.filter(|_| version >= INSTANCE_SINCE).map(wire::text))
        .with_client_id(wire::text(member.client_id))
        .with_client_host(wire::text(member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}

fn failed(version: i16, error: &GroupError) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(wire::text(GroupState::Dead.name()));
    match error {
        GroupError::NotFound { .. } if version < NOT_FOUND_SINCE => dead,
        _ => {
            let text = (version >= NOT_FOUND_SINCE).then(|| errors::text(error));
            dead.with_error_code(errors::code_of_group(error)).with_error_message(text)
        }
    }
}
