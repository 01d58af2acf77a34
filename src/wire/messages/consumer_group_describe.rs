//! ConsumerGroupDescribe: groups of the consumer protocol in full (KIP-848).

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    ConsumerGroupDescribe: versions 0..=1, flexible from 0;

    /// The groups.
    request ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse {
        group_ids: Array<Str>,
        include_authorized_operations: bool,
    }

    /// What is known of each.
    response ConsumerGroupDescribeResponse {
        throttle_time_ms: i32,
        groups: Array<DescribedConsumerGroup>,
    }

    /// A group.
    struct DescribedConsumerGroup {
        error_code: ErrorCode,
        error_message: Option<Str>,
        group_id: Str,
        group_state: Str,
        group_epoch: i32,
        assignment_epoch: i32,
        assignor_name: Str,
        members: Array<ConsumerGroupMember>,
        /// One bit per operation; the minimum for "not asked".
        authorized_operations: i32 = i32::MIN,
    }

    /// A member.
    struct ConsumerGroupMember {
        member_id: Str,
        instance_id: Option<Str>,
        rack_id: Option<Str>,
        member_epoch: i32,
        client_id: Str,
        client_host: Str,
        subscribed_topic_names: Array<Str>,
        subscribed_topic_regex: Option<Str>,
        assignment: ConsumerGroupAssignment,
        target_assignment: ConsumerGroupAssignment,
        /// 0 for one that speaks the classic protocol, 1 for one that does not.
        member_type: i8 [1..] = -1,
    }

    /// What a member reads, or is to read.
    struct ConsumerGroupAssignment {
        topic_partitions: Array<ConsumerGroupTopicPartitions>,
    }

    /// Partitions of one topic.
    struct ConsumerGroupTopicPartitions {
        topic_id: TopicId,
        topic_name: Str,
        partitions: Array<i32>,
    }
}
