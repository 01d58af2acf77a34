//! ListOffsets: the offset of a timestamp, or of one of the log's ends.
//!
//! Versions 7, 8, 9 and 11 change no field: each adds a special timestamp (-3, -4, -5, -6).

use crate::wire::{Array, ErrorCode, Str};

messages! {
    ListOffsets: versions 1..=11, flexible from 6;

    /// Asks for offsets by timestamp.
    request ListOffsetsRequest => ListOffsetsResponse {
        /// -1 for a consumer.
        replica_id: i32,
        /// 0 read_uncommitted, 1 read_committed.
        isolation_level: i8 [2..],
        topics: Array<ListOffsetsTopic>,
        /// How long a broker may wait for remote storage.
        timeout_ms: i32 [10..],
    }

    /// The partitions of one topic.
    struct ListOffsetsTopic {
        name: Str,
        partitions: Array<ListOffsetsPartition>,
    }

    /// What is asked of one partition.
    struct ListOffsetsPartition {
        partition_index: i32,
        /// The leader epoch of the client's metadata, or -1.
        current_leader_epoch: i32 [4..] = -1,
        /// Milliseconds; or -1 latest, -2 earliest, -3 of the largest timestamp, -4 earliest local, -5 latest tiered,
        /// -6 earliest not yet uploaded.
        timestamp: i64,
    }

    /// The offsets found.
    response ListOffsetsResponse {
        throttle_time_ms: i32 [2..],
        topics: Array<ListOffsetsTopicResponse>,
    }

    /// The offsets of one topic.
    struct ListOffsetsTopicResponse {
        name: Str,
        partitions: Array<ListOffsetsPartitionResponse>,
    }

    /// The offset of one partition.
    struct ListOffsetsPartitionResponse {
        partition_index: i32,
        error_code: ErrorCode,
        /// Of the record found; -1 for none.
        timestamp: i64 = -1,
        /// -1 for none.
        offset: i64 = -1,
        leader_epoch: i32 [4..] = -1,
    }
}
