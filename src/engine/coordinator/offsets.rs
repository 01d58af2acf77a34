//! Committed offsets: commit, fetch, delete.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::core::{Core, Engine};
use super::super::image::MetadataImage;
use super::{Group, answer_channel, check_group_id, check_length};
use crate::engine::api::TopicRef;
use crate::engine::api::group::{
    CommitOffsetsRequest, CommittedOffset, Committer, FetchOffsetsRequest, FetchedOffsets, OffsetToCommit,
};
use crate::engine::group::offsets::Committed;
use crate::engine::group::{Answer, GroupError, GroupRecord};
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
        let begun = core.begin_commit(request, now, answer);
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
            Some(topics) => {
                let mut told = HashSet::new();
                let topics = topics.iter();
                topics
                    .map(|(topic, partitions)| offsets_of(&image, &group, topic, partitions, &mut told))
                    .collect()
            }
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
    fn begin_commit(
        self: &Arc<Self>,
        request: CommitOffsetsRequest,
        now: Duration,
        answer: Answer<Vec<OffsetOutcome>>,
    ) -> Result<(), GroupError> {
        let CommitOffsetsRequest { group: id, committer, offsets } = request;
        check_length(&id)?;
        let budget = &self.coordinator.budget;
        let on_the_way = budget.on_the_way(&id, offsets.len())?;
        let (records, outcomes) = self.offset_records(&id, offsets);
        if self.coordinator.find(&id).is_none() && !is_nobody(&committer) {
            self.check_coordinator(&id)?;
            return Err(no_such_group(&id, &committer));
        }
        self.change_group(&id, |group, effects| {
            let allowed = group.kind.check_commit(&committer, now);
            let allowed = allowed.and_then(|()| budget.charge_offsets(group, group.offsets.growth(&records)));
            let outcome = allowed.map(|()| {
                effects.records.extend(records);
                outcomes
            });
            let answer = Box::new(move |outcome| {
                drop(on_the_way);
                answer(outcome);
            });
            effects.answer(answer, outcome);
        })
    }

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
    let topics = request.topics.iter().flatten().map(|(topic, partitions)| {
        let found = find_topic(image, topic).map(|_| None);
        let partitions = partitions.iter().map(|&partition| (partition, found.clone()));
        FetchedOffsets { topic: topic.clone(), partitions: partitions.collect() }
    });
    topics.collect()
}

/// The topic; None for a name that none has. Of that, nothing is committed.
fn find_topic(image: &MetadataImage, topic: &TopicRef) -> Result<Option<TopicId>, GroupError> {
    match topic {
        TopicRef::Id(id) if image.topic_by_id(*id).is_none() => {
            Err(GroupError::UnknownTopicId { id: id.to_string() })
        }
        TopicRef::Id(id) => Ok(Some(*id)),
        TopicRef::Name(name) => Ok(image.topic_by_name(name).map(|topic| topic.id)),
    }
}

/// A partition that was `told` before is refused: its text may be a thousand times as long as what asks for it.
fn offsets_of(
    image: &MetadataImage,
    group: &Group,
    topic: &TopicRef,
    partitions: &[i32],
    told: &mut HashSet<(TopicId, i32)>,
) -> FetchedOffsets {
    let found = find_topic(image, topic);
    let fetched = partitions.iter().map(|&partition| {
        let offset = found.clone().and_then(|id| {
            let Some((id, committed)) = id.and_then(|id| Some((id, group.offsets.get(id, partition)?)))
            else {
                return Ok(None);
            };
            if told.insert((id, partition)) {
                Ok(Some(CommittedOffset::from(committed)))
            } else {
                Err(GroupError::InvalidRequest { why: "the partition was told before".into() })
            }
        });
        (partition, offset)
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
