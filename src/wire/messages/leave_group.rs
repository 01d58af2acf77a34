//! LeaveGroup: members go.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    LeaveGroup: versions 0..=5, flexible from 4;

    /// One member, from version 3 many.
    request LeaveGroupRequest => LeaveGroupResponse {
        group_id: Str,
        member_id: Str [0..=2],
        members: Array<MemberIdentity> [3..],
    }

    /// Somebody who leaves.
    struct MemberIdentity {
        member_id: Str [3..],
        group_instance_id: Option<Str> [3..],
        reason: Option<Str> [5..],
    }

    /// What became of them.
    response LeaveGroupResponse {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode,
        members: Array<MemberResponse> [3..],
    }

    /// What became of one.
    struct MemberResponse {
        member_id: Str [3..],
        group_instance_id: Option<Str> [3..],
        error_code: ErrorCode [3..],
    }
}
