//! AlterPartitionReassignments: moves partitions to other brokers, or stops a move.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    AlterPartitionReassignments: versions 0..=1, flexible from 0;

    /// Asks for partitions to be moved.
    request AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse {
        timeout_ms: i32 = 60_000,
        /// Whether a partition may have more or fewer replicas afterwards.
        allow_replication_factor_change: bool [1..] = true,
        topics: Array<ReassignableTopic>,
    }

    /// The partitions of one topic.
    struct ReassignableTopic {
        name: Str,
        partitions: Array<ReassignablePartition>,
    }

    /// Where one partition is to be.
    struct ReassignablePartition {
        partition_index: i32,
        /// Null to stop a move that is under way.
        replicas: Option<Array<i32>>,
    }

    /// What became of the moves.
    response AlterPartitionReassignmentsResponse {
        throttle_time_ms: i32,
        allow_replication_factor_change: bool [1..] = true,
        error_code: ErrorCode,
        error_message: Option<Str>,
        responses: Array<ReassignableTopicResponse>,
    }

    /// The partitions of one topic.
    struct ReassignableTopicResponse {
        name: Str,
        partitions: Array<ReassignablePartitionResponse>,
    }

    /// What became of the move of one partition.
    struct ReassignablePartitionResponse {
        partition_index: i32,
        error_code: ErrorCode,
        error_message: Option<Str>,
    }
}
