//! OffsetCommit: how far a group has come.

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    OffsetCommit: versions 2..=10, flexible from 8;

    /// Offsets, and who commits them.
    request OffsetCommitRequest => OffsetCommitResponse {
        group_id: Str,
        generation_id_or_member_epoch: i32 = -1,
        member_id: Str,
        group_instance_id: Option<Str> [7..],
        retention_time_ms: i64 [2..=4] = -1,
        topics: Array<OffsetCommitRequestTopic>,
    }

    /// The offsets of one topic.
    struct OffsetCommitRequestTopic {
        name: Str [0..=9],
        topic_id: TopicId [10..],
        partitions: Array<OffsetCommitRequestPartition>,
    }

    /// The offset of one partition.
    struct OffsetCommitRequestPartition {
        partition_index: i32,
        committed_offset: i64,
        committed_leader_epoch: i32 [6..] = -1,
        committed_metadata: Option<Str>,
    }

    /// What became of each offset.
    response OffsetCommitResponse {
        throttle_time_ms: i32 [3..],
        topics: Array<OffsetCommitResponseTopic>,
    }

    /// What became of one topic's offsets.
    struct OffsetCommitResponseTopic {
        name: Str [0..=9],
        topic_id: TopicId [10..],
        partitions: Array<OffsetCommitResponsePartition>,
    }

    /// What became of one partition's offset.
    struct OffsetCommitResponsePartition {
        partition_index: i32,
        error_code: ErrorCode,
    }
}
