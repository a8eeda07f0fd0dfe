//! ListGroups (16): all groups, filtered by state (KIP-518) and type (KIP-848).

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::coordinator::group::GroupState;
use crate::kafka::call::Call;
use crate::kafka::handlers::wire;

/// The only type there is before KIP-848.
const TYPE: &str = "classic";

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let groups = call.engine.list_groups(&call.ctx).into_iter().filter_map(|group| {
        let state = state_name(&group.state);
        let listed = wanted(&request.states_filter, state) && wanted(&request.types_filter, TYPE);
        listed.then(|| {
            ListedGroup::default()
                .with_group_id(GroupId(wire::text(group.group)))
                .with_protocol_type(wire::text(group.protocol_type))
                .with_group_state(wire::text(state))
                .with_group_type(StrBytes::from_static_str(TYPE))
        })
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

/// Kafka's names (ClassicGroupState).
pub(super) fn state_name(state: &GroupState) -> &'static str {
    match state {
        GroupState::Empty => "Empty",
        GroupState::PreparingRebalance => "PreparingRebalance",
        GroupState::CompletingRebalance => "CompletingRebalance",
        GroupState::Stable => "Stable",
        GroupState::Dead => "Dead",
    }
}
