//! DescribeTopicPartitions: topics in full, a page at a time (KIP-966).

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    DescribeTopicPartitions: versions 0..=0, flexible from 0;

    /// Asks for a page.
    request DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse {
        /// Empty for all topics.
        topics: Array<TopicRequest>,
        response_partition_limit: i32 = 2000,
        /// Where the page begins; null for the first.
        cursor: Option<Cursor>,
    }

    /// One topic asked for.
    struct TopicRequest {
        name: Str,
    }

    /// A partition to go on from.
    struct Cursor {
        topic_name: Str,
        partition_index: i32,
    }

    /// A page.
    response DescribeTopicPartitionsResponse {
        throttle_time_ms: i32,
        topics: Array<DescribeTopicPartitionsResponseTopic>,
        /// Where the next page begins; null after the last.
        next_cursor: Option<Cursor>,
    }

    /// One topic.
    struct DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode,
        name: Option<Str>,
        topic_id: TopicId,
        is_internal: bool,
        partitions: Array<DescribeTopicPartitionsResponsePartition>,
        /// One bit per operation; the minimum for "not asked".
        topic_authorized_operations: i32 = i32::MIN,
    }

    /// One partition.
    struct DescribeTopicPartitionsResponsePartition {
        error_code: ErrorCode,
        partition_index: i32,
        /// -1 for none.
        leader_id: i32,
        leader_epoch: i32 = -1,
        replica_nodes: Array<i32>,
        isr_nodes: Array<i32>,
        /// Null where the cluster does not keep them.
        eligible_leader_replicas: Option<Array<i32>>,
        last_known_elr: Option<Array<i32>>,
        offline_replicas: Array<i32>,
    }
}
