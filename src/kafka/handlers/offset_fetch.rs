//! OffsetFetch: how far groups have come.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use super::groups::{member_name, text};
use super::offset_commit::EPOCHS_FROM;
use crate::engine::GroupError;
use crate::engine::api::TopicRef;
use crate::engine::api::group::{CommittedOffset, Committer, FetchOffsetsRequest, FetchedOffsets};
use crate::types::TopicId;
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use crate::wire::{Array, ErrorCode, Str};

/// From here on null instead of topics asks for all of them.
const ALL_TOPICS_FROM: i16 = 2;
/// From here on a request asks for many groups.
const BATCHED_FROM: i16 = 8;
/// From here on topics are named by id.
const TOPIC_IDS_FROM: i16 = 10;

/// Answers with what is committed.
pub(in crate::kafka) fn handle(call: &Call, request: &OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version >= BATCHED_FROM {
        let mut seen = HashSet::new();
        let groups = request.groups.iter().map(|group| {
            if seen.insert(group.group_id.clone()) {
                return fetch_group(call, &group);
            }
            // As with DescribeConfigs: a small request cannot ask for an answer of any size.
            OffsetFetchResponseGroup {
                group_id: group.group_id,
                error_code: ErrorCode::INVALID_REQUEST,
                ..Default::default()
            }
        });
        return OffsetFetchResponse { groups: groups.collect(), ..Default::default() };
    }
    let topics = request.topics.as_ref().map(|topics| wanted(call, topics));
    let fetch = FetchOffsetsRequest { group: request.group_id.as_str().into(), member: None, topics };
    match call.broker.engine.fetch_offsets(&fetch) {
        Ok(fetched) => OffsetFetchResponse { topics: told(call, &fetched), ..Default::default() },
        Err(error) => old_refusal(call, &fetch, group_error_code(&error)),
    }
}

/// Before there was a place for an error of the whole request, each partition carried it.
fn old_refusal(call: &Call, fetch: &FetchOffsetsRequest, error_code: ErrorCode) -> OffsetFetchResponse {
    if call.version >= ALL_TOPICS_FROM {
        return OffsetFetchResponse { error_code, ..Default::default() };
    }
    let topics = fetch.topics.iter().flatten().map(|(topic, partitions)| {
        let refused = partitions.iter().map(|&partition_index| OffsetFetchResponsePartition {
            partition_index,
            committed_offset: -1,
            metadata: Some(Str::default()),
            error_code,
            ..Default::default()
        });
        let partitions = refused.collect();
        OffsetFetchResponseTopic { name: name_of(topic), partitions, ..Default::default() }
    });
    OffsetFetchResponse { topics: topics.collect(), ..Default::default() }
}

fn fetch_group(call: &Call, group: &OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let topics = group.topics.as_ref().map(|topics| wanted(call, topics));
    let member = (call.version >= EPOCHS_FROM).then(|| Committer {
        name: member_name(&group.member_id.clone().unwrap_or_default(), None),
        generation: group.member_epoch,
        knows_epochs: true,
    });
    let fetch = FetchOffsetsRequest { group: group.group_id.as_str().into(), member, topics };
    match call.broker.engine.fetch_offsets(&fetch) {
        Ok(fetched) => OffsetFetchResponseGroup {
            group_id: group.group_id.clone(),
            topics: told(call, &fetched),
            ..Default::default()
        },
        Err(error) => OffsetFetchResponseGroup {
            group_id: group.group_id.clone(),
            error_code: group_error_code(&error),
            ..Default::default()
        },
    }
}

/// The topics asked for, with their partitions.
fn wanted(call: &Call, topics: &Array<OffsetFetchRequestTopic>) -> Vec<(TopicRef, Vec<i32>)> {
    let topic = |topic: OffsetFetchRequestTopic| {
        let reference = if call.version >= TOPIC_IDS_FROM {
            TopicRef::Id(topic.topic_id)
        } else {
            TopicRef::Name(Arc::from(topic.name.as_str()))
        };
        (reference, topic.partition_indexes.iter().collect())
    };
    topics.iter().map(topic).collect()
}

/// What was found, as it is told.
fn told(call: &Call, fetched: &[FetchedOffsets]) -> Array<OffsetFetchResponseTopic> {
    let topic = |topic: &FetchedOffsets| OffsetFetchResponseTopic {
        name: name_of(&topic.topic),
        topic_id: id_of(call, &topic.topic),
        partitions: topic.partitions.iter().map(partition_told).collect(),
    };
    fetched.iter().map(topic).collect()
}

fn id_of(call: &Call, topic: &TopicRef) -> TopicId {
    match topic {
        TopicRef::Id(id) => *id,
        // All were asked for, by one who knows topics by id.
        TopicRef::Name(name) if call.version >= TOPIC_IDS_FROM => {
            call.broker.engine.image().topic_by_name(name).map(|topic| topic.id).unwrap_or_default()
        }
        TopicRef::Name(_) => TopicId::default(),
    }
}

fn name_of(topic: &TopicRef) -> Str {
    match topic {
        TopicRef::Name(name) => text(name),
        TopicRef::Id(_) => Str::default(),
    }
}

fn partition_told(
    (partition_index, fetched): &(i32, Result<Option<CommittedOffset>, GroupError>),
) -> OffsetFetchResponsePartition {
    let (committed_offset, committed_leader_epoch, metadata, error_code) = match fetched {
        Ok(Some(committed)) => {
            (committed.offset, committed.leader_epoch, Str::from(&*committed.metadata), ErrorCode::NONE)
        }
        Ok(None) => (-1, -1, Str::default(), ErrorCode::NONE),
        Err(error) => (-1, -1, Str::default(), group_error_code(error)),
    };
    OffsetFetchResponsePartition {
        partition_index: *partition_index,
        committed_offset,
        committed_leader_epoch,
        metadata: Some(metadata),
        error_code,
    }
}
