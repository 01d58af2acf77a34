//! JoinGroup: a member wants to be in its group's next generation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::{client, member_name, text};
use crate::engine::GroupError;
use crate::engine::api::group::{JoinRequest, Joined};
use crate::wire::Str;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};

/// From here on a new member comes back with the id it is given.
const KNOWN_MEMBERS_FROM: i16 = 4;
/// From here on a leader can be told to leave the assignment alone.
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// From here on a response need not name a protocol.
const NO_PROTOCOL_FROM: i16 = 7;

/// Joins, and answers when the generation begins.
pub(in crate::kafka) async fn handle(call: Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let millis = |millis: i32| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    // Version 0 knows one timeout for both.
    let rebalance = if request.rebalance_timeout_ms < 0 {
        request.session_timeout_ms
    } else {
        request.rebalance_timeout_ms
    };
    // Copied: a member lives longer than the frame its request came in.
    let protocols = request
        .protocols
        .iter()
        .map(|protocol| (Arc::from(protocol.name.as_str()), Bytes::copy_from_slice(&protocol.metadata)));
    let join = JoinRequest {
        group: request.group_id.as_str().into(),
        name: member_name(&request.member_id, request.group_instance_id.as_ref()),
        client: client(&call),
        session_timeout: millis(request.session_timeout_ms),
        rebalance_timeout: millis(rebalance),
        protocol_type: request.protocol_type.as_str().into(),
        protocols: protocols.collect(),
        needs_known_member: call.version >= KNOWN_MEMBERS_FROM,
        can_skip_assignment: call.version >= SKIP_ASSIGNMENT_FROM,
    };
    let no_protocol = if call.version >= NO_PROTOCOL_FROM { None } else { Some(Str::default()) };
    match call.broker.engine.join_group(join).await {
        Ok(joined) => answer(&joined, no_protocol),
        Err(error) => {
            let member_id = match &error {
                GroupError::MemberIdRequired { member } => text(member),
                _ => request.member_id.clone(),
            };
            JoinGroupResponse {
                error_code: group_error_code(&error),
                generation_id: -1,
                protocol_name: no_protocol,
                member_id,
                ..Default::default()
            }
        }
    }
}

fn answer(joined: &Joined, no_protocol: Option<Str>) -> JoinGroupResponse {
    let members = joined.members.iter().map(|member| JoinGroupResponseMember {
        member_id: text(&member.name.member),
        group_instance_id: member.name.instance.as_ref().map(text),
        metadata: member.metadata.clone(),
    });
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.as_ref().map(text),
        protocol_name: joined.protocol.as_ref().map(text).or(no_protocol),
        leader: text(&joined.leader),
        skip_assignment: joined.skip_assignment,
        member_id: text(&joined.member),
        members: members.collect(),
        ..Default::default()
    }
}
