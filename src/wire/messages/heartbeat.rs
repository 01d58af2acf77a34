//! Heartbeat: a member of a classic group is alive.

use crate::wire::{ErrorCode, Str};

messages! {
    Heartbeat: versions 0..=4, flexible from 4;

    /// The member and its generation.
    request HeartbeatRequest => HeartbeatResponse {
        group_id: Str,
        generation_id: i32,
        member_id: Str,
        group_instance_id: Option<Str> [3..],
    }

    /// Whether it has to join again.
    response HeartbeatResponse {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode,
    }
}
