//! LeaveGroup: members go.

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::{member_name, text};
use crate::engine::GroupError;
use crate::wire::ErrorCode;
use crate::wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

/// From here on a request names many members.
const BATCHED_FROM: i16 = 3;

/// Takes the members out.
pub(in crate::kafka) fn handle(call: &Call, request: &LeaveGroupRequest) -> LeaveGroupResponse {
    let batched = call.version >= BATCHED_FROM;
    let leaving: Vec<_> = if batched {
        let members = request.members.iter();
        members.map(|member| member_name(&member.member_id, member.group_instance_id.as_ref())).collect()
    } else {
        vec![member_name(&request.member_id, None)]
    };
    let code = |outcome: &Result<(), GroupError>| match outcome {
        Ok(()) => ErrorCode::NONE,
        Err(error) => group_error_code(error),
    };
    match call.broker.engine.leave_group(request.group_id.as_str(), &leaving) {
        Err(error) => LeaveGroupResponse { error_code: group_error_code(&error), ..Default::default() },
        Ok(outcomes) if !batched => LeaveGroupResponse {
            error_code: outcomes.first().map_or(ErrorCode::NONE, code),
            ..Default::default()
        },
        Ok(outcomes) => {
            let members = leaving.iter().zip(&outcomes).map(|(name, outcome)| MemberResponse {
                member_id: text(&name.member),
                group_instance_id: name.instance.as_ref().map(text),
                error_code: code(outcome),
            });
            LeaveGroupResponse { members: members.collect(), ..Default::default() }
        }
    }
}
