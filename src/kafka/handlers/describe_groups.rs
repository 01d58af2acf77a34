//! DescribeGroups: classic groups in full.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::text;
use super::{GROUP_OPERATIONS, when_asked};
use crate::engine::GroupError;
use crate::wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

/// From here on a group that there is not is an error; before, it was a dead one.
const NOT_FOUND_FROM: i16 = 6;

/// Describes each group. One that is named twice is refused the second time, so that a small request cannot ask for an
/// answer of any size.
pub(in crate::kafka) fn handle(call: &Call, request: &DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut seen = HashSet::new();
    let groups = request.groups.iter().map(|id| {
        let described = if seen.insert(id.clone()) {
            call.broker.engine.describe_group(&Arc::from(id.as_str()))
        } else {
            Err(GroupError::InvalidRequest { why: "the group was described before".into() })
        };
        match described {
            Ok(description) => {
                let members = description.members.iter().map(|member| DescribedGroupMember {
                    member_id: text(&member.name.member),
                    group_instance_id: member.name.instance.as_ref().map(text),
                    client_id: text(&member.client.id),
                    client_host: text(&member.client.host),
                    member_metadata: member.metadata.clone(),
                    member_assignment: member.assignment.clone(),
                });
                DescribedGroup {
                    members: members.collect(),
                    group_id: id,
                    group_state: description.state.into(),
                    protocol_type: text(&description.protocol_type),
                    protocol_data: text(&description.protocol),
                    authorized_operations: when_asked(
                        request.include_authorized_operations,
                        GROUP_OPERATIONS,
                    ),
                    ..Default::default()
                }
            }
            Err(error) => {
                let not_found = matches!(error, GroupError::GroupIdNotFound { .. });
                let mut described = DescribedGroup {
                    group_id: id,
                    group_state: if not_found { "Dead".into() } else { Default::default() },
                    authorized_operations: when_asked(
                        request.include_authorized_operations,
                        GROUP_OPERATIONS,
                    ),
                    ..Default::default()
                };
                if !not_found || call.version >= NOT_FOUND_FROM {
                    described.error_code = group_error_code(&error);
                    described.error_message = Some(error.to_string().into());
                }
                described
            }
        }
    });
    DescribeGroupsResponse { groups: groups.collect(), ..Default::default() }
}
