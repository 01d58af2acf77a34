//! DescribeGroups: classic groups in full.

use bytes::Bytes;

use crate::wire::{Array, ErrorCode, Str};

messages! {
    DescribeGroups: versions 0..=6, flexible from 5;

    /// The groups.
    request DescribeGroupsRequest => DescribeGroupsResponse {
        groups: Array<Str>,
        include_authorized_operations: bool [3..],
    }

    /// What is known of each.
    response DescribeGroupsResponse {
        throttle_time_ms: i32 [1..],
        groups: Array<DescribedGroup>,
    }

    /// A group.
    struct DescribedGroup {
        error_code: ErrorCode,
        error_message: Option<Str> [6..],
        group_id: Str,
        group_state: Str,
        protocol_type: Str,
        protocol_data: Str,
        members: Array<DescribedGroupMember>,
        /// One bit per operation; the minimum for "not asked".
        authorized_operations: i32 [3..] = i32::MIN,
    }

    /// A member.
    struct DescribedGroupMember {
        member_id: Str,
        group_instance_id: Option<Str> [4..],
        client_id: Str,
        client_host: Str,
        member_metadata: Bytes,
        member_assignment: Bytes,
    }
}
