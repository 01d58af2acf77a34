//! DescribeQuorum: who votes on the cluster's metadata, and how far each voter is.

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    DescribeQuorum: versions 0..=2, flexible from 0;

    /// Asks for the quorum of a partition, which is partition 0 of `__cluster_metadata`.
    request DescribeQuorumRequest => DescribeQuorumResponse {
        topics: Array<DescribeQuorumRequestTopic>,
    }

    /// The partitions of one topic.
    struct DescribeQuorumRequestTopic {
        topic_name: Str,
        partitions: Array<DescribeQuorumRequestPartition>,
    }

    /// One partition.
    struct DescribeQuorumRequestPartition {
        partition_index: i32,
    }

    /// The quorum.
    response DescribeQuorumResponse {
        error_code: ErrorCode,
        error_message: Option<Str> [2..],
        topics: Array<DescribeQuorumResponseTopic>,
        /// Where the voters and observers listen.
        nodes: Array<Node> [2..],
    }

    /// The partitions of one topic.
    struct DescribeQuorumResponseTopic {
        topic_name: Str,
        partitions: Array<DescribeQuorumResponsePartition>,
    }

    /// The quorum of one partition.
    struct DescribeQuorumResponsePartition {
        partition_index: i32,
        error_code: ErrorCode,
        error_message: Option<Str> [2..],
        /// -1 for none.
        leader_id: i32,
        leader_epoch: i32,
        high_watermark: i64,
        current_voters: Array<ReplicaState>,
        observers: Array<ReplicaState>,
    }

    /// How far one voter or observer is.
    struct ReplicaState {
        replica_id: i32,
        replica_directory_id: TopicId [2..],
        /// -1 for unknown.
        log_end_offset: i64,
        /// By the leader's clock; -1 for unknown.
        last_fetch_timestamp: i64 [1..] = -1,
        last_caught_up_timestamp: i64 [1..] = -1,
    }

    /// One node.
    struct Node {
        node_id: i32,
        listeners: Array<Listener>,
    }

    /// One listener of a node.
    struct Listener {
        name: Str,
        host: Str,
        port: u16,
    }
}
