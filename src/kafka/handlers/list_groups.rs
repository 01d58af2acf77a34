//! ListGroups: the groups there are.

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::text;
use crate::wire::Str;
use crate::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

/// Lists the groups in the states and of the types asked for; none asked for means all.
pub(in crate::kafka) fn handle(call: &Call, request: &ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[Str], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.as_str().eq_ignore_ascii_case(value))
    };
    let states: Vec<Str> = request.states_filter.iter().collect();
    let types: Vec<Str> = request.types_filter.iter().collect();
    match call.broker.engine.list_groups() {
        Ok(groups) => {
            let groups = groups
                .iter()
                .filter(|group| wanted(&states, group.state) && wanted(&types, group.group_type))
                .map(|group| ListedGroup {
                    group_id: text(&group.group),
                    protocol_type: text(&group.protocol_type),
                    group_state: group.state.into(),
                    group_type: group.group_type.into(),
                });
            ListGroupsResponse { groups: groups.collect(), ..Default::default() }
        }
        Err(error) => ListGroupsResponse { error_code: group_error_code(&error), ..Default::default() },
    }
}
