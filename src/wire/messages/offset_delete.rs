//! OffsetDelete: takes committed offsets away.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    OffsetDelete: versions 0..=0, flexible from 32767;

    /// The group and the partitions.
    request OffsetDeleteRequest => OffsetDeleteResponse {
        group_id: Str,
        topics: Array<OffsetDeleteRequestTopic>,
    }

    /// The partitions of one topic.
    struct OffsetDeleteRequestTopic {
        name: Str,
        partitions: Array<OffsetDeleteRequestPartition>,
    }

    /// One partition.
    struct OffsetDeleteRequestPartition {
        partition_index: i32,
    }

    /// What became of each.
    response OffsetDeleteResponse {
        error_code: ErrorCode,
        throttle_time_ms: i32,
        topics: Array<OffsetDeleteResponseTopic>,
    }

    /// What became of one topic's.
    struct OffsetDeleteResponseTopic {
        name: Str,
        partitions: Array<OffsetDeleteResponsePartition>,
    }

    /// What became of one partition's.
    struct OffsetDeleteResponsePartition {
        partition_index: i32,
        error_code: ErrorCode,
    }
}
