//! CreatePartitions: gives topics more partitions.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    CreatePartitions: versions 0..=3, flexible from 2;

    /// Asks for more partitions.
    request CreatePartitionsRequest => CreatePartitionsResponse {
        topics: Array<CreatePartitionsTopic>,
        timeout_ms: i32,
        /// Check everything and make nothing.
        validate_only: bool,
    }

    /// One topic.
    struct CreatePartitionsTopic {
        name: Str,
        /// How many partitions it is to have in the end.
        count: i32,
        /// Which brokers hold the new partitions; null leaves it to the cluster.
        assignments: Option<Array<CreatePartitionsAssignment>>,
    }

    /// The brokers of one new partition.
    struct CreatePartitionsAssignment {
        broker_ids: Array<i32>,
    }

    /// What became of each topic.
    response CreatePartitionsResponse {
        throttle_time_ms: i32,
        results: Array<CreatePartitionsTopicResult>,
    }

    /// What became of one topic.
    struct CreatePartitionsTopicResult {
        name: Str,
        error_code: ErrorCode,
        error_message: Option<Str>,
    }
}
