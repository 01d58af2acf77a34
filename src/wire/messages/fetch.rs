//! Fetch: a consumer reads record batches.
//!
//! Version 17 and 18 add fields of replicas only; both stay at their defaults in a consumer's requests.

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Records, Str};

messages! {
    Fetch: versions 4..=18, flexible from 12;

    /// Asks for the batches from given offsets on.
    request FetchRequest => FetchResponse {
        cluster_id: Option<Str> [12.., tag 0],
        /// -1 for a consumer; from version 15 in `replica_state`.
        replica_id: i32 [4..=14] = -1,
        replica_state: ReplicaState [15.., tag 1],
        /// How long to wait for `min_bytes`.
        max_wait_ms: i32,
        min_bytes: i32,
        max_bytes: i32 = i32::MAX,
        /// 0 read_uncommitted, 1 read_committed.
        isolation_level: i8,
        /// The fetch session, or 0 for none (KIP-227).
        session_id: i32 [7..],
        /// -1 asks for no session, 0 for a new one.
        session_epoch: i32 [7..] = -1,
        /// In the order in which the response is to be filled.
        topics: Array<FetchTopic>,
        /// What an incremental fetch drops from its session.
        forgotten_topics_data: Array<ForgottenTopic> [7..],
        /// The consumer's rack, for fetching from a near replica.
        rack_id: Str [11..],
    }

    /// Who fetches, if it is a replica.
    struct ReplicaState {
        replica_id: i32 = -1,
        replica_epoch: i64 = -1,
    }

    /// The partitions of one topic.
    struct FetchTopic {
        topic: Str [4..=12],
        topic_id: TopicId [13..],
        partitions: Array<FetchPartition>,
    }

    /// Where to read one partition.
    struct FetchPartition {
        partition: i32,
        /// The leader epoch of the consumer's metadata, or -1.
        current_leader_epoch: i32 [9..] = -1,
        fetch_offset: i64,
        /// The epoch of the last record the reader has, or -1: the broker says where histories diverge.
        last_fetched_epoch: i32 [12..] = -1,
        /// A replica's own log start offset.
        log_start_offset: i64 [5..] = -1,
        partition_max_bytes: i32,
        /// A replica's directory (KIP-853).
        replica_directory_id: TopicId [17.., tag 0],
        /// The high watermark a replica knows; the maximum for none (KIP-1166).
        high_watermark: i64 [18.., tag 1] = i64::MAX,
    }

    /// Partitions to drop from the session.
    struct ForgottenTopic {
        topic: Str [4..=12],
        topic_id: TopicId [13..],
        partitions: Array<i32>,
    }

    /// The batches found.
    response FetchResponse {
        throttle_time_ms: i32,
        /// An error of the session.
        error_code: ErrorCode [7..],
        /// The session to go on with, or 0.
        session_id: i32 [7..],
        responses: Array<FetchableTopicResponse>,
        /// Where the leaders named in `current_leader` listen.
        node_endpoints: Array<NodeEndpoint> [16.., tag 0],
    }

    /// The batches of one topic.
    struct FetchableTopicResponse {
        topic: Str [4..=12],
        topic_id: TopicId [13..],
        partitions: Array<PartitionData>,
    }

    /// The batches of one partition.
    struct PartitionData {
        partition_index: i32,
        error_code: ErrorCode,
        high_watermark: i64,
        last_stable_offset: i64 = -1,
        log_start_offset: i64 [5..] = -1,
        /// Where the reader's history departs from the log's.
        diverging_epoch: EpochEndOffset [12.., tag 0],
        /// The leader, where this broker is not.
        current_leader: LeaderIdAndEpoch [12.., tag 1],
        /// For replicas of KRaft's own log.
        snapshot_id: SnapshotId [12.., tag 2],
        /// The aborted transactions that overlap the batches; null under read_uncommitted.
        aborted_transactions: Option<Array<AbortedTransaction>>,
        preferred_read_replica: i32 [11..] = -1,
        records: Option<Records>,
    }

    /// The end of an epoch; -1 for none.
    struct EpochEndOffset {
        epoch: i32 = -1,
        end_offset: i64 = -1,
    }

    /// A partition's leader; -1 where it is not known.
    struct LeaderIdAndEpoch {
        leader_id: i32 = -1,
        leader_epoch: i32 = -1,
    }

    /// A snapshot of KRaft's own log; -1 for none.
    struct SnapshotId {
        end_offset: i64 = -1,
        epoch: i32 = -1,
    }

    /// A transaction whose records are to be ignored.
    struct AbortedTransaction {
        producer_id: i64,
        first_offset: i64,
    }

    /// Where a broker listens.
    struct NodeEndpoint {
        node_id: i32,
        host: Str,
        port: i32,
        rack: Option<Str>,
    }
}
