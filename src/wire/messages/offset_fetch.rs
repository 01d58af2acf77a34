//! OffsetFetch: how far groups have come.
//!
//! Up to version 7 about one group, from version 8 on about many; what is said of each topic is the same.

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    OffsetFetch: versions 1..=10, flexible from 6;

    /// Asks for one group's offsets, from version 8 for many groups'.
    request OffsetFetchRequest => OffsetFetchResponse {
        group_id: Str [0..=7],
        /// Null asks for all topics.
        topics: Option<Array<OffsetFetchRequestTopic>> [0..=7, null 2..],
        groups: Array<OffsetFetchRequestGroup> [8..],
        require_stable: bool [7..],
    }

    /// The partitions of one topic.
    struct OffsetFetchRequestTopic {
        name: Str [0..=9],
        topic_id: TopicId [10..],
        partition_indexes: Array<i32>,
    }

    /// What is asked of one group.
    struct OffsetFetchRequestGroup {
        group_id: Str [8..],
        member_id: Option<Str> [9..],
        member_epoch: i32 [9..] = -1,
        /// Null asks for all topics.
        topics: Option<Array<OffsetFetchRequestTopic>> [8..],
    }

    /// The offsets of the group, or of each.
    response OffsetFetchResponse {
        throttle_time_ms: i32 [3..],
        topics: Array<OffsetFetchResponseTopic> [0..=7],
        error_code: ErrorCode [2..=7],
        groups: Array<OffsetFetchResponseGroup> [8..],
    }

    /// The offsets of one topic.
    struct OffsetFetchResponseTopic {
        name: Str [0..=9],
        topic_id: TopicId [10..],
        partitions: Array<OffsetFetchResponsePartition>,
    }

    /// The offset of one partition.
    struct OffsetFetchResponsePartition {
        partition_index: i32,
        /// -1 when there is none.
        committed_offset: i64,
        committed_leader_epoch: i32 [5..] = -1,
        metadata: Option<Str>,
        error_code: ErrorCode,
    }

    /// The offsets of one group.
    struct OffsetFetchResponseGroup {
        group_id: Str [8..],
        topics: Array<OffsetFetchResponseTopic> [8..],
        error_code: ErrorCode [8..],
    }
}
