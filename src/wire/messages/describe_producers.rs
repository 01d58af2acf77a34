//! DescribeProducers: the producers that a partition remembers.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    DescribeProducers: versions 0..=0, flexible from 0;

    /// Asks for producers by partition.
    request DescribeProducersRequest => DescribeProducersResponse {
        topics: Array<TopicRequest>,
    }

    /// The partitions of one topic.
    struct TopicRequest {
        name: Str,
        partition_indexes: Array<i32>,
    }

    /// The producers.
    response DescribeProducersResponse {
        throttle_time_ms: i32,
        topics: Array<TopicResponse>,
    }

    /// The partitions of one topic.
    struct TopicResponse {
        name: Str,
        partitions: Array<PartitionResponse>,
    }

    /// The producers of one partition.
    struct PartitionResponse {
        partition_index: i32,
        error_code: ErrorCode,
        error_message: Option<Str>,
        active_producers: Array<ProducerState>,
    }

    /// One producer.
    struct ProducerState {
        producer_id: i64,
        producer_epoch: i32,
        /// -1 for none.
        last_sequence: i32 = -1,
        last_timestamp: i64 = -1,
        coordinator_epoch: i32,
        /// -1 without an open transaction.
        current_txn_start_offset: i64 = -1,
    }
}
