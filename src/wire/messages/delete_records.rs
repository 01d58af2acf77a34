//! DeleteRecords: moves the start of partitions' logs.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    DeleteRecords: versions 0..=2, flexible from 2;

    /// Asks for the records before given offsets to be deleted.
    request DeleteRecordsRequest => DeleteRecordsResponse {
        topics: Array<DeleteRecordsTopic>,
        timeout_ms: i32,
    }

    /// The partitions of one topic.
    struct DeleteRecordsTopic {
        name: Str,
        partitions: Array<DeleteRecordsPartition>,
    }

    /// Where one partition is to begin.
    struct DeleteRecordsPartition {
        partition_index: i32,
        /// -1 for the high watermark.
        offset: i64,
    }

    /// What became of each partition.
    response DeleteRecordsResponse {
        throttle_time_ms: i32,
        topics: Array<DeleteRecordsTopicResult>,
    }

    /// The results of one topic.
    struct DeleteRecordsTopicResult {
        name: Str,
        partitions: Array<DeleteRecordsPartitionResult>,
    }

    /// The result of one partition.
    struct DeleteRecordsPartitionResult {
        partition_index: i32,
        /// The log start offset now.
        low_watermark: i64,
        error_code: ErrorCode,
    }
}
