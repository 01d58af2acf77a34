//! DeleteGroups: groups without members go, with their offsets.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    DeleteGroups: versions 0..=2, flexible from 2;

    /// The groups.
    request DeleteGroupsRequest => DeleteGroupsResponse {
        groups_names: Array<Str>,
    }

    /// What became of each.
    response DeleteGroupsResponse {
        throttle_time_ms: i32,
        results: Array<DeletableGroupResult>,
    }

    /// What became of one.
    struct DeletableGroupResult {
        group_id: Str,
        error_code: ErrorCode,
    }
}
