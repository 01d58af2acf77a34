//! Committed offsets: commit, fetch, delete.

use std::sync::Arc;

use super::super::core::{Core, Engine};
use super::super::image::MetadataImage;
use super::{Group, answer_channel, check_group_id};
use crate::engine::api::TopicRef;
use crate::engine::api::group::{
    CommitOffsetsRequest, CommittedOffset, Committer, FetchOffsetsRequest, FetchedOffsets, OffsetToCommit,
};
use crate::engine::group::offsets::Committed;
use crate::engine::group::{GroupError, GroupRecord};
use crate::types::TopicId;

/// What became of one offset of a request.
pub(super) type OffsetOutcome = Result<(), GroupError>;

// === impl Engine ===

impl Engine {
    /// Commits offsets; answered when they are on the disk. One outcome for each, in order.
    ///
    /// # Errors
    /// When none of them could be committed, for the group's sake: see [`GroupError`].
    pub fn commit_offsets(
        &self,
        request: CommitOffsetsRequest,
    ) -> impl Future<Output = Result<Vec<OffsetOutcome>, GroupError>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let (answer, outcome) = answer_channel();
        let now = core.env.clock.monotonic();
        let CommitOffsetsRequest { group: id, committer, offsets } = request;
        let (records, outcomes) = core.offset_records(&id, offsets);
        let there = core.coordinator.find(&id).is_some();
        let begun = if there || is_nobody(&committer) {
            core.change_group(&id, |group, effects| {
                let allowed = group.kind.check_commit(&committer, now);
                let outcome = allowed.map(|()| {
                    effects.records.extend(records);
                    outcomes
                });
                effects.answer(answer, outcome);
            })
        } else {
            core.check_coordinator(&id).and_then(|()| Err(no_such_group(&id, &committer)))
        };
        async move {
            begun?;
            outcome.await
        }
    }

    /// The offsets a group has committed.
    ///
    /// # Errors
    /// When the group cannot be asked at all: see [`GroupError`]. A group that there is not has no offsets, which is no
    /// error.
    pub fn fetch_offsets(&self, request: &FetchOffsetsRequest) -> Result<Vec<FetchedOffsets>, GroupError> {
        let image = self.core.image.load();
        let asker = request.member.as_ref().filter(|asker| !is_nobody(asker));
        self.core.check_coordinator(&request.group)?;
        let Some(cell) = self.core.coordinator.find(&request.group) else {
            return match asker {
                Some(asker) => Err(no_such_group(&request.group, asker)),
                None => Ok(no_offsets(&image, request)),
            };
        };
        let group = cell.group.lock();
        if let Some(asker) = asker {
            group.kind.check_fetch(asker)?;
        }
        Ok(match &request.topics {
            None => all_offsets(&image, &group),
            Some(topics) => topics
                .iter()
                .map(|(topic, partitions)| offsets_of(&image, Some(&group), topic, partitions))
                .collect(),
        })
    }

    /// Takes committed offsets away; answered when that is on the disk. One outcome for each partition, in order.
    ///
    /// # Errors
    /// `GroupIdNotFound`; `NonEmptyGroup` of members that are no consumers.
    pub fn delete_offsets(
        &self,
        id: &Arc<str>,
        partitions: Vec<(TopicRef, i32)>,
    ) -> impl Future<Output = Result<Vec<OffsetOutcome>, GroupError>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let (answer, outcome) = answer_channel();
        let image = core.image.load_full();
        let group_id = Arc::clone(id);
        let begun = check_group_id(id).and_then(|()| {
            core.change_existing(id, |group, effects| {
                let outcomes = partitions.into_iter().map(|(topic, partition)| {
                    let (name, known) = find_partition(&image, &topic, partition)?;
                    if group.kind.subscribes_to(&name) {
                        return Err(GroupError::SubscribedToTopic { topic: name });
                    }
                    if group.offsets.get(known, partition).is_some() {
                        effects.records.push(GroupRecord::Offset {
                            group: group_id.to_string(),
                            topic: known.0,
                            partition,
                            committed: None,
                        });
                    }
                    Ok(())
                });
                let outcomes: Vec<_> = outcomes.collect();
                effects.answer(answer, Ok(outcomes));
            })
        });
        let group = Arc::clone(id);
        async move {
            match begun? {
                Some(()) => outcome.await,
                None => Err(GroupError::GroupIdNotFound { group }),
            }
        }
    }
}

// === impl Core ===

impl Core {
    /// What is to be kept of the offsets that can be committed, and an outcome for each.
    fn offset_records(
        &self,
        id: &Arc<str>,
        offsets: Vec<OffsetToCommit>,
    ) -> (Vec<GroupRecord>, Vec<OffsetOutcome>) {
        let image = self.image.load();
        let (bytes_max, at_ms) = (self.coordinator.metadata_bytes_max, self.env.clock.now_ms());
        let mut records = Vec::with_capacity(offsets.len());
        let outcomes = offsets.into_iter().map(|asked| {
            let (_, topic) = find_partition(&image, &asked.topic, asked.partition)?;
            if asked.metadata.len() > bytes_max {
                return Err(GroupError::MetadataTooLarge { bytes_max });
            }
            records.push(GroupRecord::Offset {
                group: id.to_string(),
                topic: topic.0,
                partition: asked.partition,
                committed: Some(Committed {
                    offset: asked.offset,
                    leader_epoch: asked.leader_epoch,
                    metadata: asked.metadata,
                    at_ms,
                }),
            });
            Ok(())
        });
        let outcomes = outcomes.collect();
        (records, outcomes)
    }
}

/// Whether it speaks for no member.
fn is_nobody(committer: &Committer) -> bool {
    committer.generation < 0 && committer.name.member.is_empty() && committer.name.instance.is_none()
}

fn no_such_group(id: &Arc<str>, committer: &Committer) -> GroupError {
    if committer.knows_epochs {
        GroupError::GroupIdNotFound { group: Arc::clone(id) }
    } else {
        GroupError::IllegalGeneration { asked: committer.generation, current: -1 }
    }
}

fn find_partition(
    image: &MetadataImage,
    topic: &TopicRef,
    partition: i32,
) -> Result<(Arc<str>, TopicId), GroupError> {
    let unknown = || match topic {
        TopicRef::Id(id) => GroupError::UnknownTopicId { id: id.to_string() },
        TopicRef::Name(name) => GroupError::UnknownTopicOrPartition { topic: format!("{name}-{partition}") },
    };
    let known = image.topic(topic).map_err(|_| unknown())?;
    if !(0..known.partition_count()).contains(&partition) {
        return Err(GroupError::UnknownTopicOrPartition { topic: format!("{}-{partition}", known.name) });
    }
    Ok((Arc::clone(&known.name), known.id))
}

fn no_offsets(image: &MetadataImage, request: &FetchOffsetsRequest) -> Vec<FetchedOffsets> {
    let topics = request.topics.iter().flatten();
    topics.map(|(topic, partitions)| offsets_of(image, None, topic, partitions)).collect()
}

fn offsets_of(
    image: &MetadataImage,
    group: Option<&Group>,
    topic: &TopicRef,
    partitions: &[i32],
) -> FetchedOffsets {
    let id = match topic {
        TopicRef::Id(id) => image.topic_by_id(*id).map(|topic| topic.id),
        TopicRef::Name(name) => image.topic_by_name(name).map(|topic| topic.id),
    };
    let fetched = partitions.iter().map(|&partition| {
        let found = match (id, topic) {
            (None, TopicRef::Id(id)) => Err(GroupError::UnknownTopicId { id: id.to_string() }),
            // Of a topic that there is not, nothing is committed.
            (None, TopicRef::Name(_)) => Ok(None),
            (Some(id), _) => {
                Ok(group.and_then(|group| group.offsets.get(id, partition)).map(CommittedOffset::from))
            }
        };
        (partition, found)
    });
    FetchedOffsets { topic: topic.clone(), partitions: fetched.collect() }
}

fn all_offsets(image: &MetadataImage, group: &Group) -> Vec<FetchedOffsets> {
    let mut topics: Vec<(TopicId, FetchedOffsets)> = Vec::new();
    for (id, partition, committed) in group.offsets.iter() {
        // What is left of a deleted topic is nobody's any more.
        let Some(topic) = image.topic_by_id(id) else { continue };
        if topics.last().is_none_or(|(last, _)| *last != id) {
            let topic = TopicRef::Name(Arc::clone(&topic.name));
            topics.push((id, FetchedOffsets { topic, partitions: Vec::new() }));
        }
        let (_, fetched) = topics.last_mut().expect("just pushed");
        fetched.partitions.push((partition, Ok(Some(committed.into()))));
    }
    topics.into_iter().map(|(_, fetched)| fetched).collect()
}

impl From<&Committed> for CommittedOffset {
    fn from(committed: &Committed) -> Self {
        Self {
            offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            metadata: committed.metadata.clone(),
        }
    }
}
