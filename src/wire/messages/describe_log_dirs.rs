//! DescribeLogDirs: the sizes of partitions' logs, by directory.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    DescribeLogDirs: versions 1..=5, flexible from 2;

    /// Asks for sizes.
    request DescribeLogDirsRequest => DescribeLogDirsResponse {
        /// Null for all topics.
        topics: Option<Array<DescribableLogDirTopic>>,
    }

    /// The partitions of one topic.
    struct DescribableLogDirTopic {
        topic: Str,
        partitions: Array<i32>,
    }

    /// The sizes.
    response DescribeLogDirsResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode [3..],
        results: Array<DescribeLogDirsResult>,
    }

    /// One directory.
    struct DescribeLogDirsResult {
        error_code: ErrorCode,
        /// The absolute path.
        log_dir: Str,
        topics: Array<DescribeLogDirsTopic>,
        /// Of the volume the directory is on; -1 for unknown (KIP-827).
        total_bytes: i64 [4..] = -1,
        usable_bytes: i64 [4..] = -1,
        /// Whether the directory takes no new partitions (KIP-1066).
        is_cordoned: bool [5..],
    }

    /// The partitions of one topic.
    struct DescribeLogDirsTopic {
        name: Str,
        partitions: Array<DescribeLogDirsPartition>,
    }

    /// One partition's log.
    struct DescribeLogDirsPartition {
        partition_index: i32,
        /// Its size in bytes.
        partition_size: i64,
        /// How far the log is behind the high watermark, or behind the log it is to replace.
        offset_lag: i64,
        /// Whether the log is to replace the one in another directory.
        is_future_key: bool,
    }
}
