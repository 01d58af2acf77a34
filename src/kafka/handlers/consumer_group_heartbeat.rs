//! ConsumerGroupHeartbeat: a member of a group of the consumer protocol joins, lives and leaves.

use std::sync::Arc;
use std::time::Duration;

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::{client, text};
use crate::engine::api::consumer_group::{ConsumerHeartbeat, ConsumerHeartbeatOutcome, TopicPartitions};
use crate::wire::Str;
use crate::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatAssignment,
    HeartbeatTopicPartitions,
};

/// From here on a member makes its id.
const NAMES_ITSELF_FROM: i16 = 1;

/// Answers when what the answer stands on is kept.
pub(in crate::kafka) async fn handle(
    call: Call,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let given = |text: &Option<Str>| text.as_ref().map(|text| Arc::from(text.as_str()));
    let owned = request.topic_partitions.as_ref().map(|topics| {
        topics.iter().map(|topic| (topic.topic_id, topic.partitions.iter().collect())).collect()
    });
    let topics = request.subscribed_topic_names.as_ref();
    let heartbeat = ConsumerHeartbeat {
        group: request.group_id.as_str().into(),
        member: request.member_id.as_str().into(),
        epoch: request.member_epoch,
        instance: given(&request.instance_id),
        rack: given(&request.rack_id),
        rebalance_timeout: u64::try_from(request.rebalance_timeout_ms).ok().map(Duration::from_millis),
        topics: topics.map(|names| names.iter().map(|name| Arc::from(name.as_str())).collect()),
        pattern: given(&request.subscribed_topic_regex),
        assignor: given(&request.server_assignor),
        owned,
        client: client(&call),
        names_itself: call.version >= NAMES_ITSELF_FROM,
    };
    match call.broker.engine.consumer_group_heartbeat(&heartbeat).await {
        Ok(outcome) => answer(outcome),
        Err(error) => ConsumerGroupHeartbeatResponse {
            error_code: group_error_code(&error),
            error_message: Some(error.to_string().into()),
            ..Default::default()
        },
    }
}

fn answer(outcome: ConsumerHeartbeatOutcome) -> ConsumerGroupHeartbeatResponse {
    let interval_ms = outcome.heartbeat_interval.as_millis();
    ConsumerGroupHeartbeatResponse {
        member_id: Some(text(&outcome.member)),
        member_epoch: outcome.epoch,
        heartbeat_interval_ms: i32::try_from(interval_ms).unwrap_or(i32::MAX),
        assignment: outcome.assignment.map(assignment),
        ..Default::default()
    }
}

fn assignment(topics: TopicPartitions) -> HeartbeatAssignment {
    let topics = topics
        .into_iter()
        .map(|(topic_id, partitions)| HeartbeatTopicPartitions { topic_id, partitions: partitions.into() });
    HeartbeatAssignment { topic_partitions: topics.collect() }
}
