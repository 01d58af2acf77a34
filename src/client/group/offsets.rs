//! Committed offsets of one group: committing them, fetching them.
//!
//! Each function here is one attempt; who calls it decides whether to try again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::coordinator::{Coordinator, LAST_OFFSETS_VERSION_WITH_NAMES};
use crate::client::consumer::TopicPartition;
use crate::client::error::Error;
use crate::types::Offset;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchResponse,
};
use crate::wire::{Array, ErrorCode, Str};

/// Where a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the next record to read.
    pub offset: Offset,
    /// The leader epoch of the record before it, when it is known.
    pub leader_epoch: Option<i32>,
    /// A word of the application, empty for none.
    pub metadata: String,
}

/// Who commits or fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Empty for whoever is no member.
    pub(crate) member_id: String,
    /// The generation, or the member epoch of the consumer protocol; -1 for whoever is no member.
    pub(crate) generation: i32,
    pub(crate) instance_id: Option<String>,
}

// === impl CommittedOffset ===

impl CommittedOffset {
    /// An offset with nothing more to say.
    #[must_use]
    pub fn new(offset: Offset) -> Self {
        Self { offset, leader_epoch: None, metadata: String::new() }
    }
}

// === impl Identity ===

impl Identity {
    /// Not a member: an administrator, or an application that assigns its partitions by hand.
    pub(crate) const NOBODY: Self = Self { member_id: String::new(), generation: -1, instance_id: None };
}

/// Commits offsets; an answer for each of them, in their order.
pub(crate) async fn commit(
    coordinator: &Coordinator,
    identity: &Identity,
    offsets: &[(TopicPartition, CommittedOffset)],
) -> Result<Vec<Result<(), Error>>, Error> {
    let topics = by_topic(offsets.iter().map(|(key, offset)| (key, offset)));
    let topics = topics.into_iter().map(|(name, partitions)| OffsetCommitRequestTopic {
        name,
        partitions: partitions
            .into_iter()
            .map(|(partition_index, offset)| OffsetCommitRequestPartition {
                partition_index,
                committed_offset: offset.offset,
                committed_leader_epoch: offset.leader_epoch.unwrap_or(-1),
                committed_metadata: Some(offset.metadata.as_str().into()),
            })
            .collect(),
        ..OffsetCommitRequestTopic::default()
    });
    let request = OffsetCommitRequest {
        group_id: coordinator.group_id().into(),
        generation_id_or_member_epoch: identity.generation,
        member_id: identity.member_id.as_str().into(),
        group_instance_id: identity.instance_id.as_deref().map(Str::from),
        topics: topics.collect(),
        ..OffsetCommitRequest::default()
    };
    let response = coordinator.call(&request, LAST_OFFSETS_VERSION_WITH_NAMES, Duration::ZERO).await?;
    let mut codes = HashMap::new();
    for topic in &response.topics {
        let name: Arc<str> = Arc::from(&*topic.name);
        for partition in &topic.partitions {
            codes.insert((Arc::clone(&name), partition.partition_index), partition.error_code);
        }
    }
    let answer = |(key, _): &(TopicPartition, CommittedOffset)| {
        let code = codes.get(key).copied().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
        let context =
            || format!("committing an offset of {}-{} in group {}", key.0, key.1, coordinator.group_id());
        coordinator.check(code, None, context)
    };
    Ok(offsets.iter().map(answer).collect())
}

/// What a group has committed: of `keys`, or of everything. Partitions without a committed offset are left out.
pub(crate) async fn fetch(
    coordinator: &Coordinator,
    identity: &Identity,
    keys: Option<&[TopicPartition]>,
    require_stable: bool,
) -> Result<Vec<(TopicPartition, CommittedOffset)>, Error> {
    let topics: Option<Array<OffsetFetchRequestTopic>> = keys.map(|keys| {
        let topics = by_topic(keys.iter().map(|key| (key, ()))).into_iter();
        let topic = |(name, partitions): (Str, Vec<(i32, ())>)| OffsetFetchRequestTopic {
            name,
            partition_indexes: partitions.into_iter().map(|(partition, ())| partition).collect(),
            ..OffsetFetchRequestTopic::default()
        };
        topics.map(topic).collect()
    });
    let group = OffsetFetchRequestGroup {
        group_id: coordinator.group_id().into(),
        // The consumer protocol fences by it; nobody is a null member of epoch -1.
        member_id: Some(identity.member_id.as_str()).filter(|id| !id.is_empty()).map(Str::from),
        member_epoch: if identity.member_id.is_empty() { -1 } else { identity.generation },
        topics: topics.clone(),
    };
    // Versions before 8 have one group at the top, the later ones a list of them; each writes what it has.
    let request = OffsetFetchRequest {
        group_id: coordinator.group_id().into(),
        topics,
        groups: vec![group].into(),
        require_stable,
    };
    let response = coordinator.call(&request, LAST_OFFSETS_VERSION_WITH_NAMES, Duration::ZERO).await?;
    fetched(coordinator, &response)
}

fn fetched(
    coordinator: &Coordinator,
    response: &OffsetFetchResponse,
) -> Result<Vec<(TopicPartition, CommittedOffset)>, Error> {
    let context = || format!("fetching the committed offsets of group {}", coordinator.group_id());
    coordinator.check(response.error_code, None, context)?;
    let mut offsets = Vec::new();
    for group in &response.groups {
        coordinator.check(group.error_code, None, context)?;
    }
    for topic in response.groups.iter().flat_map(|group| group.topics).chain(&response.topics) {
        let name: Arc<str> = Arc::from(&*topic.name);
        for found in &topic.partitions {
            let partition = found.partition_index;
            let context = || format!("fetching the committed offset of {name}-{partition}");
            coordinator.check(found.error_code, None, context)?;
            if found.committed_offset >= 0 {
                let committed = CommittedOffset {
                    offset: found.committed_offset,
                    leader_epoch: Some(found.committed_leader_epoch).filter(|&epoch| epoch >= 0),
                    metadata: found.metadata.map(String::from).unwrap_or_default(),
                };
                offsets.push(((Arc::clone(&name), partition), committed));
            }
        }
    }
    Ok(offsets)
}

/// Grouped by topic, each topic once.
pub(crate) fn by_topic<'a, T>(
    partitions: impl Iterator<Item = (&'a TopicPartition, T)>,
) -> Vec<(Str, Vec<(i32, T)>)> {
    let mut topics: Vec<(Str, Vec<(i32, T)>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for ((topic, partition), value) in partitions {
        let place = *places.entry(topic).or_insert_with(|| {
            topics.push(((&**topic).into(), Vec::new()));
            topics.len() - 1
        });
        topics[place].1.push((*partition, value));
    }
    topics
}
