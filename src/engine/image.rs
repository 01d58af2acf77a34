//! The metadata as one immutable value: whoever holds an image sees one state, whatever changes meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::api::TopicRef;
use super::config::{BrokerSettings, Overrides, TopicSettings};
use super::partition::Partition;
use super::{Error, topic_label};
use crate::types::{BrokerId, LeaderEpoch, TopicId, TopicPartition};

/// Topics, settings and the broker's identity at one moment.
#[derive(Debug, Clone)]
pub struct MetadataImage {
    /// Grows with every change.
    pub version: u64,
    /// This broker's node id.
    pub broker_id: BrokerId,
    /// The cluster's id; never changes.
    pub cluster_id: Arc<str>,
    /// The epoch of this start, in which it leads all its partitions.
    pub leader_epoch: LeaderEpoch,
    /// The broker's settings.
    pub settings: Arc<BrokerSettings>,
    /// The settings given for groups, by their names.
    pub(super) group_overrides: Arc<BTreeMap<Arc<str>, Arc<Overrides>>>,
    pub(super) by_name: BTreeMap<Arc<str>, Arc<TopicImage>>,
    pub(super) by_id: HashMap<TopicId, Arc<TopicImage>>,
}

/// A topic at one moment.
#[derive(Debug, Clone)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: TopicId,
    /// Whether it is the broker's own and not for clients to write.
    pub is_internal: bool,
    /// The settings given for it.
    pub overrides: Arc<Overrides>,
    /// All its settings, resolved.
    pub settings: Arc<TopicSettings>,
    pub(super) partitions: Vec<Arc<Partition>>,
}

/// A partition as others may know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionImage {
    /// Its index in the topic.
    pub index: i32,
    /// The broker that leads it.
    pub leader: BrokerId,
    /// The epoch of its leader.
    pub leader_epoch: LeaderEpoch,
}

/// Who owns a partition. On a single node that is always this broker, in the epoch of its start; every data path
/// asks all the same, so that a partition can one day be elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This broker, in this epoch.
    Mine(LeaderEpoch),
    /// Another one.
    Other(BrokerId),
}

// === impl MetadataImage ===

impl MetadataImage {
    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.values()
    }

    /// The groups that have settings of their own, by name.
    pub fn groups_with_settings(&self) -> impl Iterator<Item = &Arc<str>> {
        self.group_overrides.keys()
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_name.get(name)
    }

    /// The topic of that id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.by_id.get(&id)
    }

    /// The topic a request names.
    ///
    /// # Errors
    /// `UnknownTopicId`, `UnknownTopicOrPartition`, `InvalidTopicName`.
    pub fn topic(&self, topic: &TopicRef) -> Result<&Arc<TopicImage>, Error> {
        match topic {
            TopicRef::Id(id) => {
                self.topic_by_id(*id).ok_or_else(|| Error::UnknownTopicId { id: id.to_string() })
            }
            TopicRef::Name(name) => {
                self.topic_by_name(name).ok_or_else(|| match super::topics::check_name(name) {
                    Ok(()) => Error::UnknownTopicOrPartition { topic: name.to_string() },
                    Err(error) => error,
                })
            }
        }
    }

    /// The partition a request names, which this broker owns.
    pub(super) fn partition(&self, topic: &TopicRef, index: i32) -> Result<&Arc<Partition>, Error> {
        let known = self.topic(topic)?;
        let partition = usize::try_from(index).ok().and_then(|index| known.partitions.get(index));
        let partition =
            partition.ok_or_else(|| Error::UnknownTopicOrPartition { topic: topic_label(topic, index) })?;
        match self.owner(partition.id()) {
            Owner::Mine(_) => Ok(partition),
            Owner::Other(_) => Err(Error::NotLeader { topic: topic_label(topic, index) }),
        }
    }

    /// Who owns a partition.
    #[must_use]
    pub fn owner(&self, _partition: TopicPartition) -> Owner {
        Owner::Mine(self.leader_epoch)
    }

    /// Whether this broker coordinates a group. On a single node it coordinates all; every handler of groups asks all the
    /// same.
    #[must_use]
    pub fn coordinates(&self, _group: &str) -> bool {
        true
    }

    pub(super) fn put(&mut self, topic: TopicImage) {
        let topic = Arc::new(topic);
        self.by_name.insert(Arc::clone(&topic.name), Arc::clone(&topic));
        self.by_id.insert(topic.id, topic);
        self.version += 1;
    }

    pub(super) fn remove(&mut self, id: TopicId) -> Option<Arc<TopicImage>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(&topic.name);
        self.version += 1;
        Some(topic)
    }
}

// === impl TopicImage ===

impl TopicImage {
    /// Its partitions, by index.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = PartitionImage> {
        self.partitions.iter().map(|partition| PartitionImage {
            index: partition.id().partition,
            leader: partition.leader(),
            leader_epoch: partition.leader_epoch(),
        })
    }

    /// How many partitions it has.
    #[must_use]
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("a topic has fewer than 2^31 partitions")
    }
}
