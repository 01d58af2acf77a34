//! ListPartitionReassignments: the moves of partitions that are under way.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    ListPartitionReassignments: versions 0..=0, flexible from 0;

    /// Asks for the moves.
    request ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse {
        timeout_ms: i32 = 60_000,
        /// Null for all topics.
        topics: Option<Array<ListPartitionReassignmentsTopics>>,
    }

    /// The partitions of one topic.
    struct ListPartitionReassignmentsTopics {
        name: Str,
        partition_indexes: Array<i32>,
    }

    /// The moves.
    response ListPartitionReassignmentsResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        error_message: Option<Str>,
        topics: Array<OngoingTopicReassignment>,
    }

    /// The partitions of one topic.
    struct OngoingTopicReassignment {
        name: Str,
        partitions: Array<OngoingPartitionReassignment>,
    }

    /// The move of one partition.
    struct OngoingPartitionReassignment {
        partition_index: i32,
        replicas: Array<i32>,
        adding_replicas: Array<i32>,
        removing_replicas: Array<i32>,
    }
}
