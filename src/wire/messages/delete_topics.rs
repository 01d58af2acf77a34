//! DeleteTopics: deletes topics, from version 6 also by id.

use crate::types::TopicId;
use crate::wire::{Array, ErrorCode, Str};

messages! {
    DeleteTopics: versions 1..=6, flexible from 4;

    /// Asks for topics to be deleted.
    request DeleteTopicsRequest => DeleteTopicsResponse {
        topics: Array<DeleteTopicState> [6..],
        topic_names: Array<Str> [1..=5],
        timeout_ms: i32,
    }

    /// One topic, by name or by id.
    struct DeleteTopicState {
        name: Option<Str>,
        topic_id: TopicId,
    }

    /// What became of each topic.
    response DeleteTopicsResponse {
        throttle_time_ms: i32,
        responses: Array<DeletableTopicResult>,
    }

    /// What became of one topic.
    struct DeletableTopicResult {
        /// Null for an unknown id.
        name: Option<Str> [1.., null 6..],
        topic_id: TopicId [6..],
        error_code: ErrorCode,
        error_message: Option<Str> [5..],
    }
}
