//! CreateTopics: makes topics, or only checks whether they could be made.

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    CreateTopics: versions 2..=7, flexible from 5;

    /// Asks for topics to be made.
    request CreateTopicsRequest => CreateTopicsResponse {
        topics: Array<CreatableTopic>,
        timeout_ms: i32 = 60_000,
        /// Check everything and make nothing.
        validate_only: bool,
    }

    /// One topic to make.
    struct CreatableTopic {
        name: Str,
        /// -1 for the broker's default (version 4 on), or with `assignments`.
        num_partitions: i32,
        /// -1 for the broker's default (version 4 on), or with `assignments`.
        replication_factor: i16,
        /// Which brokers hold which partition; empty leaves it to the cluster.
        assignments: Array<CreatableReplicaAssignment>,
        configs: Array<CreatableTopicConfig>,
    }

    /// The brokers of one partition.
    struct CreatableReplicaAssignment {
        partition_index: i32,
        broker_ids: Array<i32>,
    }

    /// One setting of the topic.
    struct CreatableTopicConfig {
        name: Str,
        value: Option<Str>,
    }

    /// What became of each topic.
    response CreateTopicsResponse {
        throttle_time_ms: i32,
        topics: Array<CreatableTopicResult>,
    }

    /// What became of one topic.
    struct CreatableTopicResult {
        name: Str,
        topic_id: TopicId [7..],
        error_code: ErrorCode,
        error_message: Option<Str>,
        /// Why `configs` is null, if it is.
        topic_config_error_code: ErrorCode [5.., tag 0],
        num_partitions: i32 [5..] = -1,
        replication_factor: i16 [5..] = -1,
        configs: Option<Array<CreatableTopicConfigs>> [5..],
    }

    /// One setting that the topic has now.
    struct CreatableTopicConfigs {
        name: Str,
        value: Option<Str>,
        read_only: bool,
        /// As in [`describe_configs`](super::describe_configs).
        config_source: i8 = -1,
        is_sensitive: bool,
    }
}
