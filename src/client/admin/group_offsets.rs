//! Committed offsets of groups from outside: listing, changing and deleting them, and how far the groups lag behind.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{Admin, GroupDescription, GroupListing, OffsetSpec, no_answer};
use crate::client::consumer::TopicPartition;
use crate::client::error::Error;
use crate::client::group::CommittedOffset;
use crate::client::group::offsets::{self, Identity, by_topic};
use crate::types::{Isolation, Offset};
use crate::wire::ErrorCode;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

/// How far a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic and the partition.
    pub partition: TopicPartition,
    /// The committed offset, when there is one.
    pub committed: Option<CommittedOffset>,
    /// The end of the log: the next offset that a reader will see; `None` when the partition does not exist any more.
    pub end: Option<Offset>,
    /// The member that reads it, by its place in the description of the group.
    pub member: Option<usize>,
}

/// A group that reads a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReader {
    /// The group.
    pub group: GroupDescription,
    /// Its partitions of the topic.
    pub partitions: Vec<PartitionLag>,
}

// === impl PartitionLag ===

impl PartitionLag {
    /// How many offsets lie between the committed one and the end; `None` where one of the two is not known.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        Some((self.end? - self.committed.as_ref()?.offset).max(0))
    }
}

// === impl Admin ===

impl Admin {
    /// What a group has committed, of all partitions, sorted.
    ///
    /// # Errors
    /// When its coordinator does not answer.
    pub async fn list_group_offsets(
        &self,
        group_id: &str,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>, Error> {
        let what = || format!("fetching the committed offsets of group {group_id}");
        let mut offsets = self
            .with_coordinator(group_id, what, async |coordinator| {
                offsets::fetch(coordinator, &Identity::NOBODY, None, false).await
            })
            .await?;
        offsets.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(offsets)
    }

    /// Sets committed offsets of a group without members, which it makes when there is none. The answers are in the order
    /// of `offsets`.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` when the group has members, or when its coordinator does not answer.
    pub async fn alter_group_offsets(
        &self,
        group_id: &str,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let context = || format!("setting committed offsets of group {group_id}");
        self.with_coordinator(group_id, context, async |coordinator| {
            let answers = offsets::commit(coordinator, &Identity::NOBODY, offsets).await?;
            // Whoever is no member is unknown as soon as there are members.
            let is_refused = |code: Option<ErrorCode>| {
                matches!(code, Some(ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::REBALANCE_IN_PROGRESS))
            };
            let code_of = |answer: &Result<(), Error>| answer.as_ref().err().and_then(Error::code);
            if answers.iter().any(|answer| is_refused(code_of(answer))) {
                return Err(Error::broker(context(), ErrorCode::NON_EMPTY_GROUP, None));
            }
            match answers.iter().find_map(|answer| answer.as_ref().err().filter(|error| error.may_pass())) {
                Some(error) => Err(error.clone()),
                None => Ok(answers),
            }
        })
        .await
    }

    /// Deletes committed offsets of a group. The answers are in the order of `partitions`.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` when there is no such group, or when its coordinator does not answer.
    pub async fn delete_group_offsets(
        &self,
        group_id: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let topics =
            by_topic(partitions.iter().map(|key| (key, ()))).into_iter().map(|(name, partitions)| {
                let partition = |(partition_index, ())| OffsetDeleteRequestPartition { partition_index };
                OffsetDeleteRequestTopic { name, partitions: partitions.into_iter().map(partition).collect() }
            });
        let request = OffsetDeleteRequest { group_id: group_id.into(), topics: topics.collect() };
        let context = || format!("deleting committed offsets of group {group_id}");
        self.with_coordinator(group_id, context, async |coordinator| {
            let response = coordinator.call(&request, i16::MAX, Duration::ZERO).await?;
            coordinator.check(response.error_code, None, context)?;
            let mut codes = HashMap::new();
            for topic in &response.topics {
                let name: Arc<str> = Arc::from(&*topic.name);
                codes.extend(
                    topic
                        .partitions
                        .iter()
                        .map(|each| ((Arc::clone(&name), each.partition_index), each.error_code)),
                );
            }
            let answer = |key: &TopicPartition| {
                let context =
                    || format!("deleting the committed offset of {}-{} in group {group_id}", key.0, key.1);
                let code = codes.get(key).copied().ok_or_else(|| no_answer(context()))?;
                Error::check(code, None, context)
            };
            Ok(partitions.iter().map(answer).collect())
        })
        .await
    }

    /// How far a group is in each partition that it has committed an offset of or that a member reads, sorted.
    ///
    /// # Errors
    /// When brokers do not answer.
    pub async fn group_lag(&self, group: &GroupDescription) -> Result<Vec<PartitionLag>, Error> {
        let committed = self.list_group_offsets(&group.group_id).await?;
        Ok(self.lag_of(group, committed).await)
    }

    /// The groups that have committed offsets of a topic or whose members read it, with their lag there.
    ///
    /// # Errors
    /// When brokers do not answer.
    pub async fn topic_readers(&self, topic: &str) -> Result<Vec<TopicReader>, Error> {
        let mut readers = Vec::new();
        for listing in self.list_groups(&[]).await? {
            if !listing.shares_topics() {
                continue;
            }
            let group = match self.describe_group(&listing.group_id).await {
                Ok(group) => group,
                // Deleted since it was listed.
                Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => continue,
                Err(error) => return Err(error),
            };
            let mut committed = self.list_group_offsets(&listing.group_id).await?;
            committed.retain(|((name, _), _)| &**name == topic);
            let mut of_topic = group.clone();
            for member in &mut of_topic.members {
                member.assigned.retain(|(name, _)| &**name == topic);
            }
            let partitions = self.lag_of(&of_topic, committed).await;
            if !partitions.is_empty() {
                readers.push(TopicReader { group, partitions });
            }
        }
        Ok(readers)
    }

    async fn lag_of(
        &self,
        group: &GroupDescription,
        committed: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Vec<PartitionLag> {
        let mut partitions: BTreeMap<TopicPartition, (Option<CommittedOffset>, Option<usize>)> =
            committed.into_iter().map(|(key, offset)| (key, (Some(offset), None))).collect();
        for (index, member) in group.members.iter().enumerate() {
            for key in &member.assigned {
                partitions.entry(key.clone()).or_default().1 = Some(index);
            }
        }
        let queries: Vec<_> = partitions
            .keys()
            .map(|(topic, partition)| (Arc::clone(topic), *partition, OffsetSpec::Latest))
            .collect();
        let ends = self.list_offsets(&queries, Isolation::ReadUncommitted).await;
        partitions
            .into_iter()
            .zip(ends)
            .map(|((partition, (committed, member)), end)| PartitionLag {
                partition,
                committed,
                end: end.ok().and_then(|listed| listed.offset),
                member,
            })
            .collect()
    }
}

// === impl GroupListing ===

impl GroupListing {
    /// Whether its members share topics, or it has only committed offsets; other kinds have their own ways.
    #[must_use]
    pub fn shares_topics(&self) -> bool {
        matches!(self.protocol_type.as_str(), "" | "consumer")
            && self.group_type.as_deref().is_none_or(|kind| {
                kind.eq_ignore_ascii_case("classic") || kind.eq_ignore_ascii_case("consumer")
            })
    }
}
