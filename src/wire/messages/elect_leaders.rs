//! ElectLeaders: makes preferred replicas the leaders of their partitions.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    ElectLeaders: versions 0..=2, flexible from 2;

    /// Asks for elections.
    request ElectLeadersRequest => ElectLeadersResponse {
        /// 0 for the preferred replica, 1 for any, even one that is not in sync.
        election_type: i8 [1..],
        /// Null for all partitions that need it.
        topic_partitions: Option<Array<TopicPartitions>>,
        timeout_ms: i32 = 60_000,
    }

    /// The partitions of one topic.
    struct TopicPartitions {
        topic: Str,
        partitions: Array<i32>,
    }

    /// What became of the elections.
    response ElectLeadersResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode [1..],
        replica_election_results: Array<ReplicaElectionResult>,
    }

    /// The partitions of one topic.
    struct ReplicaElectionResult {
        topic: Str,
        partition_result: Array<PartitionResult>,
    }

    /// What became of one election.
    struct PartitionResult {
        partition_id: i32,
        error_code: ErrorCode,
        error_message: Option<Str>,
    }
}
