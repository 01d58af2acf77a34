//! JoinGroup: a member wants to be in the next generation of its group.

use bytes::Bytes;

use crate::wire::{Array, ErrorCode, Str};

messages! {
    JoinGroup: versions 0..=9, flexible from 6;

    /// What a member brings.
    request JoinGroupRequest => JoinGroupResponse {
        group_id: Str,
        session_timeout_ms: i32,
        rebalance_timeout_ms: i32 [1..] = -1,
        /// Empty for one that has no id yet.
        member_id: Str,
        group_instance_id: Option<Str> [5..],
        protocol_type: Str,
        protocols: Array<JoinGroupRequestProtocol>,
        reason: Option<Str> [8..],
    }

    /// Something that a member can do.
    struct JoinGroupRequestProtocol {
        name: Str,
        metadata: Bytes,
    }

    /// The generation, and to its leader all members.
    response JoinGroupResponse {
        throttle_time_ms: i32 [2..],
        error_code: ErrorCode,
        generation_id: i32 = -1,
        protocol_type: Option<Str> [7..],
        protocol_name: Option<Str> [0.., null 7..],
        leader: Str,
        skip_assignment: bool [9..],
        member_id: Str,
        members: Array<JoinGroupResponseMember>,
    }

    /// A member as its leader sees it.
    struct JoinGroupResponseMember {
        member_id: Str,
        group_instance_id: Option<Str> [5..],
        metadata: Bytes,
    }
}
