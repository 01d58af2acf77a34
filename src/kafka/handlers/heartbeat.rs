//! Heartbeat: a member of a classic group is alive.

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::member_name;
use crate::wire::ErrorCode;
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

/// Renews the member's session.
pub(in crate::kafka) fn handle(call: &Call, request: &HeartbeatRequest) -> HeartbeatResponse {
    let name = member_name(&request.member_id, request.group_instance_id.as_ref());
    let outcome = call.broker.engine.heartbeat(request.group_id.as_str(), &name, request.generation_id);
    let error_code = outcome.map_or_else(|error| group_error_code(&error), |()| ErrorCode::NONE);
    HeartbeatResponse { error_code, ..Default::default() }
}
