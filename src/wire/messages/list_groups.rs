//! ListGroups: the groups there are.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    ListGroups: versions 0..=5, flexible from 3;

    /// Which groups; an empty filter takes all.
    request ListGroupsRequest => ListGroupsResponse {
        states_filter: Array<Str> [4..],
        types_filter: Array<Str> [5..],
    }

    /// The groups.
    response ListGroupsResponse {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode,
        groups: Array<ListedGroup>,
    }

    /// A group.
    struct ListedGroup {
        group_id: Str,
        protocol_type: Str,
        group_state: Str [4..],
        group_type: Str [5..],
    }
}
