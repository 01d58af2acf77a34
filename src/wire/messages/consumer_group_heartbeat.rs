//! ConsumerGroupHeartbeat: a member of a group of the consumer protocol joins, lives and leaves (KIP-848).

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    ConsumerGroupHeartbeat: versions 0..=1, flexible from 0;

    /// What a member says; null means "as before".
    request ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse {
        group_id: Str,
        /// From version 1 on the member makes it.
        member_id: Str,
        /// 0 to join, -1 to leave, -2 for a static member to leave and come back.
        member_epoch: i32,
        instance_id: Option<Str>,
        rack_id: Option<Str>,
        /// -1 for "as before".
        rebalance_timeout_ms: i32 = -1,
        subscribed_topic_names: Option<Array<Str>>,
        subscribed_topic_regex: Option<Str> [1..],
        server_assignor: Option<Str>,
        topic_partitions: Option<Array<HeartbeatTopicPartitions>>,
    }

    /// Partitions of one topic.
    struct HeartbeatTopicPartitions {
        topic_id: TopicId,
        partitions: Array<i32>,
    }

    /// What the member is told.
    response ConsumerGroupHeartbeatResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        error_message: Option<Str>,
        member_id: Option<Str>,
        member_epoch: i32,
        heartbeat_interval_ms: i32,
        /// Null when it is as before.
        assignment: Option<HeartbeatAssignment>,
    }

    /// What the member may read.
    struct HeartbeatAssignment {
        topic_partitions: Array<HeartbeatTopicPartitions>,
    }
}
