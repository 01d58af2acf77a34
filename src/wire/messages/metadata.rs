//! Metadata: the brokers, and the partitions of topics with their leaders.

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    Metadata: versions 0..=13, flexible from 9;

    /// Asks for topics by name, from version 12 also by id.
    request MetadataRequest => MetadataResponse {
        /// Null asks for all topics; in version 0, which has no null, the empty array does.
        topics: Option<Array<MetadataRequestTopic>> [0.., null 1..],
        /// Versions before 4 imply true.
        allow_auto_topic_creation: bool [4..] = true,
        include_cluster_authorized_operations: bool [8..=10],
        include_topic_authorized_operations: bool [8..],
    }

    /// One topic asked for.
    struct MetadataRequestTopic {
        topic_id: TopicId [10..],
        name: Option<Str> [0.., null 10..],
    }

    /// The cluster as this broker sees it.
    response MetadataResponse {
        throttle_time_ms: i32 [3..],
        brokers: Array<MetadataResponseBroker>,
        cluster_id: Option<Str> [2..],
        controller_id: i32 [1..] = -1,
        topics: Array<MetadataResponseTopic>,
        /// One bit per operation; the minimum for "not asked".
        cluster_authorized_operations: i32 [8..=10] = i32::MIN,
        error_code: ErrorCode [13..],
    }

    /// One broker.
    struct MetadataResponseBroker {
        node_id: i32,
        host: Str,
        port: i32,
        rack: Option<Str> [1..],
    }

    /// One topic.
    struct MetadataResponseTopic {
        error_code: ErrorCode,
        /// Null for an unknown id.
        name: Option<Str> [0.., null 12..],
        topic_id: TopicId [10..],
        is_internal: bool [1..],
        partitions: Array<MetadataResponsePartition>,
        /// One bit per operation; the minimum for "not asked".
        topic_authorized_operations: i32 [8..] = i32::MIN,
    }

    /// One partition.
    struct MetadataResponsePartition {
        error_code: ErrorCode,
        partition_index: i32,
        /// -1 for none.
        leader_id: i32,
        leader_epoch: i32 [7..] = -1,
        replica_nodes: Array<i32>,
        isr_nodes: Array<i32>,
        offline_replicas: Array<i32> [5..],
    }
}
