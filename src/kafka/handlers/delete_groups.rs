//! DeleteGroups: groups without members go, with their offsets.

use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

/// Deletes each, and answers when that is on the disk.
pub(in crate::kafka) async fn handle(call: Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::new();
    for group_id in &request.groups_names {
        let group: Arc<str> = group_id.as_str().into();
        let deleted = call.broker.engine.delete_group(&group).await;
        let error_code = deleted.map_or_else(|error| group_error_code(&error), |()| ErrorCode::NONE);
        results.push(DeletableGroupResult { group_id, error_code });
    }
    DeleteGroupsResponse { results: results.into(), ..Default::default() }
}
