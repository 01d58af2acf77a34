//! FindCoordinator: which broker looks after a group or a transaction.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    FindCoordinator: versions 0..=6, flexible from 3;

    /// Asks for the coordinator of one key, from version 4 of many.
    request FindCoordinatorRequest => FindCoordinatorResponse {
        key: Str [0..=3],
        /// 0 for groups, 1 for transactions, 2 for share groups.
        key_type: i8 [1..],
        coordinator_keys: Array<Str> [4..],
    }

    /// The coordinator of one key, or of each.
    response FindCoordinatorResponse {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..=3],
        error_message: Option<Str> [1..=3, null 1..],
        node_id: i32 [0..=3],
        host: Str [0..=3],
        port: i32 [0..=3],
        coordinators: Array<Coordinator> [4..],
    }

    /// The coordinator of one key.
    struct Coordinator {
        key: Str [4..],
        node_id: i32 [4..],
        host: Str [4..],
        port: i32 [4..],
        error_code: ErrorCode [4..],
        error_message: Option<Str> [4..],
    }
}
