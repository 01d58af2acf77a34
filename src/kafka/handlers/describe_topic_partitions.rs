//! DescribeTopicPartitions: partitions of topics, page by page (KIP-966).

use std::collections::BTreeSet;

use super::super::dispatch::Call;
use super::TOPIC_OPERATIONS;
use crate::engine::MetadataImage;
use crate::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::wire::{ErrorCode, Str};

/// Partitions of one page at most, `max.request.partition.size.limit` in Kafka.
const PAGE_MAX: i32 = 2000;

/// Answers a page of the topics asked for, or of all, in the order of their names.
pub(in crate::kafka) fn handle(
    call: &Call,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = call.broker.engine.image();
    let mut names: BTreeSet<Str> = request.topics.iter().map(|topic| topic.name).collect();
    if names.is_empty() {
        names = image.topics().map(|topic| Str::from(&*topic.name)).collect();
    }
    let (from_topic, from_partition) = match &request.cursor {
        Some(cursor) if cursor.partition_index < 0 => return bad_cursor(names),
        Some(cursor) => (cursor.topic_name.clone(), cursor.partition_index),
        None => (Str::default(), 0),
    };
    page(
        &image,
        names.into_iter().filter(|name| *name >= from_topic),
        &from_topic,
        from_partition,
        request.response_partition_limit,
    )
}

fn page(
    image: &MetadataImage,
    names: impl Iterator<Item = Str>,
    from_topic: &Str,
    from_partition: i32,
    limit: i32,
) -> DescribeTopicPartitionsResponse {
    let mut left = usize::try_from(limit.clamp(1, PAGE_MAX)).expect("at least 1");
    let mut topics = Vec::new();
    let mut next_cursor = None;
    let broker = image.broker_id.0;
    for name in names {
        let Some(topic) = image.topic_by_name(&name) else {
            topics.push(missing(name));
            continue;
        };
        let first = if name == *from_topic { from_partition } else { 0 };
        if left == 0 {
            next_cursor = Some(Cursor { topic_name: name, partition_index: first });
            break;
        }
        let rest: Vec<_> = topic.partitions().filter(|partition| partition.index >= first).collect();
        let taken = rest.len().min(left);
        left -= taken;
        let partitions = rest[..taken].iter().map(|partition| DescribeTopicPartitionsResponsePartition {
            partition_index: partition.index,
            leader_id: broker,
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: vec![broker].into(),
            isr_nodes: vec![broker].into(),
            eligible_leader_replicas: Some(vec![].into()),
            last_known_elr: Some(vec![].into()),
            ..Default::default()
        });
        topics.push(DescribeTopicPartitionsResponseTopic {
            partitions: partitions.collect(),
            name: Some(name.clone()),
            topic_id: topic.id,
            is_internal: topic.is_internal,
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..Default::default()
        });
        if let Some(next) = rest.get(taken) {
            next_cursor = Some(Cursor { topic_name: name, partition_index: next.index });
            break;
        }
    }
    DescribeTopicPartitionsResponse { topics: topics.into(), next_cursor, ..Default::default() }
}

fn missing(name: Str) -> DescribeTopicPartitionsResponseTopic {
    let error_code = if crate::engine::is_topic_name(&name) {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    } else {
        ErrorCode::INVALID_TOPIC_EXCEPTION
    };
    DescribeTopicPartitionsResponseTopic {
        error_code,
        name: Some(name),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

/// As Kafka: every topic carries the error.
fn bad_cursor(names: BTreeSet<Str>) -> DescribeTopicPartitionsResponse {
    let topics = names.into_iter().map(|name| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST,
        name: Some(name),
        ..Default::default()
    });
    DescribeTopicPartitionsResponse { topics: topics.collect(), ..Default::default() }
}
