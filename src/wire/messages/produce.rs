//! Produce: a client appends record batches.

use bytes::Bytes;

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    Produce: versions 3..=13, flexible from 9;

    /// Record batches for partitions that this broker leads.
    request ProduceRequest => ProduceResponse {
        /// Set when the batches belong to a transaction.
        transactional_id: Option<Str>,
        /// When to answer: 0 never, 1 after the append, -1 after the commit.
        acks: i16,
        /// How long the broker may wait for the commit.
        timeout_ms: i32,
        /// The batches by topic.
        topic_data: Array<TopicProduceData>,
    }

    /// The batches for one topic.
    struct TopicProduceData {
        name: Str [3..=12],
        topic_id: TopicId [13..],
        partition_data: Array<PartitionProduceData>,
    }

    /// The batches for one partition.
    struct PartitionProduceData {
        index: i32,
        /// One record batch, a slice of the frame.
        records: Option<Bytes>,
    }

    /// What became of each partition's batches.
    response ProduceResponse {
        responses: Array<TopicProduceResponse>,
        throttle_time_ms: i32,
        /// Where the leaders named in `current_leader` listen.
        node_endpoints: Array<NodeEndpoint> [10.., tag 0],
    }

    /// The results of one topic.
    struct TopicProduceResponse {
        name: Str [3..=12],
        topic_id: TopicId [13..],
        partition_responses: Array<PartitionProduceResponse>,
    }

    /// The result of one partition.
    struct PartitionProduceResponse {
        index: i32,
        error_code: ErrorCode,
        /// The offset given to the first record.
        base_offset: i64,
        /// The broker's time where the topic uses LogAppendTime, else -1.
        log_append_time_ms: i64 = -1,
        log_start_offset: i64 [5..] = -1,
        /// The records that made the broker refuse the batch.
        record_errors: Array<BatchIndexAndErrorMessage> [8..],
        error_message: Option<Str> [8..],
        /// The leader, where this broker is not.
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    /// Why one record was refused.
    struct BatchIndexAndErrorMessage {
        /// The record's index in the batch.
        batch_index: i32,
        batch_index_error_message: Option<Str>,
    }

    /// A partition's leader; -1 where it is not known.
    struct LeaderIdAndEpoch {
        leader_id: i32 = -1,
        leader_epoch: i32 = -1,
    }

    /// Where a broker listens.
    struct NodeEndpoint {
        node_id: i32,
        host: Str,
        port: i32,
        rack: Option<Str>,
    }
}
