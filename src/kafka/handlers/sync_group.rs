//! SyncGroup: the leader brings the assignment, every member gets its part.

use std::sync::Arc;

use bytes::Bytes;

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::{member_name, text};
use crate::engine::api::group::SyncRequest;
use crate::wire::Str;
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

/// Answers when the leader has brought the assignment.
pub(in crate::kafka) async fn handle(call: Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let shared = |text: &Option<Str>| text.as_ref().map(|text| Arc::from(text.as_str()));
    // Copied: an assignment lives longer than the frame it came in.
    let assignments = request.assignments.iter().map(|assigned| {
        (Arc::from(assigned.member_id.as_str()), Bytes::copy_from_slice(&assigned.assignment))
    });
    let sync = SyncRequest {
        group: request.group_id.as_str().into(),
        name: member_name(&request.member_id, request.group_instance_id.as_ref()),
        generation: request.generation_id,
        protocol_type: shared(&request.protocol_type),
        protocol: shared(&request.protocol_name),
        assignments: assignments.collect(),
    };
    match call.broker.engine.sync_group(sync).await {
        Ok(synced) => SyncGroupResponse {
            protocol_type: synced.protocol_type.as_ref().map(text),
            protocol_name: synced.protocol.as_ref().map(text),
            assignment: synced.assignment,
            ..Default::default()
        },
        Err(error) => SyncGroupResponse { error_code: group_error_code(&error), ..Default::default() },
    }
}
