//! SyncGroup: the leader brings the assignment, every member gets its part.

use bytes::Bytes;

use crate::wire::{Array, ErrorCode, Str};

messages! {
    SyncGroup: versions 0..=5, flexible from 4;

    /// A member of a generation, with everybody's assignment if it leads.
    request SyncGroupRequest => SyncGroupResponse {
        group_id: Str,
        generation_id: i32,
        member_id: Str,
        group_instance_id: Option<Str> [3..],
        protocol_type: Option<Str> [5..],
        protocol_name: Option<Str> [5..],
        assignments: Array<SyncGroupRequestAssignment>,
    }

    /// What the leader assigns to one member.
    struct SyncGroupRequestAssignment {
        member_id: Str,
        assignment: Bytes,
    }

    /// The member's part.
    response SyncGroupResponse {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode,
        protocol_type: Option<Str> [5..],
        protocol_name: Option<Str> [5..],
        assignment: Bytes,
    }
}
