//! OffsetForLeaderEpoch: where a leader epoch ends, so that a reader notices a lost tail (KIP-320).

use crate::wire::{Array, ErrorCode, Str};

messages! {
    OffsetForLeaderEpoch: versions 2..=4, flexible from 4;

    /// Asks for the ends of leader epochs.
    request OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse {
        /// -1 for a consumer, -2 for "not said".
        replica_id: i32 [3..] = -2,
        topics: Array<OffsetForLeaderTopic>,
    }

    /// The partitions of one topic.
    struct OffsetForLeaderTopic {
        topic: Str,
        partitions: Array<OffsetForLeaderPartition>,
    }

    /// What is asked of one partition.
    struct OffsetForLeaderPartition {
        partition: i32,
        /// The leader epoch of the client's metadata, or -1.
        current_leader_epoch: i32 = -1,
        /// The epoch whose end is asked for.
        leader_epoch: i32,
    }

    /// The ends found.
    response OffsetForLeaderEpochResponse {
        throttle_time_ms: i32,
        topics: Array<OffsetForLeaderTopicResult>,
    }

    /// The ends of one topic.
    struct OffsetForLeaderTopicResult {
        topic: Str,
        partitions: Array<EpochEndOffset>,
    }

    /// The end of the epoch in one partition.
    struct EpochEndOffset {
        error_code: ErrorCode,
        partition: i32,
        /// The largest epoch not above the one asked for; -1 for none.
        leader_epoch: i32 = -1,
        /// Where it ends, exclusive; -1 for none.
        end_offset: i64 = -1,
    }
}
