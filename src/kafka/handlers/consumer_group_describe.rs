//! ConsumerGroupDescribe: groups of the consumer protocol in full.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::text;
use super::{GROUP_OPERATIONS, NOT_ASKED, when_asked};
use crate::engine::GroupError;
use crate::engine::api::consumer_group::{
    ConsumerGroupDescription, ConsumerMemberDescription, NamedPartitions,
};
use crate::wire::messages::consumer_group_describe::{
    ConsumerGroupAssignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
    ConsumerGroupMember, ConsumerGroupTopicPartitions, DescribedConsumerGroup,
};
use crate::wire::{Array, Str};

/// What kind of member one is.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

/// Describes each group. One that is named twice is refused the second time, so that a small request cannot ask for an
/// answer of any size.
pub(in crate::kafka) fn handle(
    call: &Call,
    request: &ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let operations = when_asked(request.include_authorized_operations, GROUP_OPERATIONS);
    let mut seen = HashSet::new();
    let groups = request.group_ids.iter().map(|id| {
        let described = if seen.insert(id.clone()) {
            call.broker.engine.describe_consumer_group(&Arc::from(id.as_str()))
        } else {
            Err(GroupError::InvalidRequest { why: "the group was described before".into() })
        };
        match described {
            Ok(description) => DescribedConsumerGroup {
                group_id: id,
                authorized_operations: operations,
                ..group(description)
            },
            Err(error) => DescribedConsumerGroup {
                error_code: group_error_code(&error),
                error_message: Some(error.to_string().into()),
                group_id: id,
                authorized_operations: NOT_ASKED,
                ..Default::default()
            },
        }
    });
    ConsumerGroupDescribeResponse { groups: groups.collect(), ..Default::default() }
}

fn group(description: ConsumerGroupDescription) -> DescribedConsumerGroup {
    DescribedConsumerGroup {
        group_state: description.state.into(),
        group_epoch: description.epoch,
        assignment_epoch: description.assignment_epoch,
        assignor_name: description.assignor.into(),
        members: description.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn member(described: ConsumerMemberDescription) -> ConsumerGroupMember {
    ConsumerGroupMember {
        member_id: text(&described.member),
        instance_id: described.instance.as_ref().map(text),
        rack_id: described.rack.as_ref().map(text),
        member_epoch: described.epoch,
        client_id: text(&described.client.id),
        client_host: text(&described.client.host),
        subscribed_topic_names: described.topics.iter().map(text).collect(),
        // As Kafka: an empty pattern rather than none.
        subscribed_topic_regex: Some(described.pattern.as_ref().map(text).unwrap_or_default()),
        assignment: ConsumerGroupAssignment { topic_partitions: topics(described.assignment) },
        target_assignment: ConsumerGroupAssignment { topic_partitions: topics(described.target) },
        member_type: if described.is_classic { CLASSIC } else { CONSUMER },
    }
}

fn topics(topics: Vec<NamedPartitions>) -> Array<ConsumerGroupTopicPartitions> {
    let topics = topics.into_iter().map(|topic| ConsumerGroupTopicPartitions {
        topic_id: topic.topic,
        topic_name: Str::from(&*topic.name),
        partitions: topic.partitions.into(),
    });
    topics.collect()
}
