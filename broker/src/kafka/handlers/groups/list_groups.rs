//! ListGroups (16): all groups, filtered by state (KIP-518) and type (KIP-848).

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::coordinator::group::{GroupListing, GroupState};
use crate::kafka::call::Call;
use crate::kafka::handlers::wire;

/// The only type there is before KIP-848.
const TYPE: &str = "classic";
/// Every state that a group can be in.
const STATES: [GroupState; 5] = [
    GroupState::Empty,
    GroupState::PreparingRebalance,
    GroupState::CompletingRebalance,
    GroupState::Stable,
    GroupState::Dead,
];

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let among = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    // The filters may have very many names; each group is compared with what is left of them.
    let states: Vec<GroupState> =
        STATES.into_iter().filter(|state| among(&request.states_filter, state.name())).collect();
    let wanted_type = among(&request.types_filter, TYPE);
    let wanted = |group: &GroupListing| wanted_type && states.contains(&group.state);
    let groups = call.engine.list_groups(&call.ctx, wanted).await.into_iter().map(|group| {
        ListedGroup::default()
            .with_group_id(GroupId(wire::text(&*group.group)))
            .with_protocol_type(wire::text(group.protocol_type))
            .with_group_state(StrBytes::from_static_str(group.state.name()))
            .with_group_type(StrBytes::from_static_str(TYPE))
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}
