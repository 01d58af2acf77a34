//! AlterReplicaLogDirs: moves replicas between the log directories of a broker.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    AlterReplicaLogDirs: versions 1..=2, flexible from 2;

    /// Asks for replicas to be moved.
    request AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse {
        dirs: Array<AlterReplicaLogDir>,
    }

    /// A directory and what is to lie in it.
    struct AlterReplicaLogDir {
        /// Absolute.
        path: Str,
        topics: Array<AlterReplicaLogDirTopic>,
    }

    /// The partitions of one topic.
    struct AlterReplicaLogDirTopic {
        name: Str,
        partitions: Array<i32>,
    }

    /// What became of the replicas.
    response AlterReplicaLogDirsResponse {
        throttle_time_ms: i32,
        results: Array<AlterReplicaLogDirTopicResult>,
    }

    /// The partitions of one topic.
    struct AlterReplicaLogDirTopicResult {
        topic_name: Str,
        partitions: Array<AlterReplicaLogDirPartitionResult>,
    }

    /// What became of one replica.
    struct AlterReplicaLogDirPartitionResult {
        partition_index: i32,
        error_code: ErrorCode,
    }
}
