//! How far a group has come in each partition.
//!
//! Kept by topic id: a topic that is made anew under an old name starts without offsets. What is here changes only when
//! its record is kept, so that nobody is ever told an offset that a crash could take back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GroupRecord, weight};
use crate::types::{Offset, TimestampMs, TopicId};

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    /// The next offset to be read.
    pub(crate) offset: Offset,
    /// The leader epoch of the last record that was read; -1 when the member did not say.
    pub(crate) leader_epoch: i32,
    /// What the member wants kept with it.
    pub(crate) metadata: Box<str>,
    /// When it was committed, by the wall clock.
    pub(crate) at_ms: TimestampMs,
}

/// All committed offsets of one group.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    topics: BTreeMap<TopicId, BTreeMap<i32, Committed>>,
    weight: usize,
}

// === impl Committed ===

impl Committed {
    fn weight(&self) -> usize {
        weight::OFFSET + self.metadata.len()
    }
}

// === impl Offsets ===

impl Offsets {
    /// The offset committed for a partition.
    pub(crate) fn get(&self, topic: TopicId, partition: i32) -> Option<&Committed> {
        self.topics.get(&topic)?.get(&partition)
    }

    /// Takes in what was kept.
    pub(crate) fn apply(&mut self, topic: TopicId, partition: i32, committed: Option<Committed>) {
        match committed {
            Some(committed) => {
                self.weight += committed.weight();
                let partitions = self.topics.entry(topic).or_insert_with(|| {
                    self.weight += weight::TOPIC;
                    BTreeMap::new()
                });
                if let Some(before) = partitions.insert(partition, committed) {
                    self.weight -= before.weight();
                }
            }
            None => {
                if let Some(partitions) = self.topics.get_mut(&topic) {
                    self.weight -= partitions.remove(&partition).map_or(0, |before| before.weight());
                    if partitions.is_empty() {
                        self.topics.remove(&topic);
                        self.weight -= weight::TOPIC;
                    }
                }
            }
        }
    }

    /// All of them are gone.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many bytes are kept of them, about.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// How many more bytes would be kept if these were taken in, at most.
    pub(crate) fn growth(&self, records: &[GroupRecord]) -> usize {
        let growth = records.iter().map(|record| match record {
            GroupRecord::Offset { topic, partition, committed: Some(committed), .. } => {
                let topic = self.topics.get(&TopicId(*topic));
                let before =
                    topic.and_then(|partitions| partitions.get(partition)).map_or(0, Committed::weight);
                committed.weight().saturating_sub(before) + if topic.is_none() { weight::TOPIC } else { 0 }
            }
            _ => 0,
        });
        growth.sum()
    }

    /// All of them, by topic and partition.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicId, i32, &Committed)> {
        self.topics.iter().flat_map(|(&topic, partitions)| {
            partitions.iter().map(move |(&partition, committed)| (topic, partition, committed))
        })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The records that take away those for which `gone` holds.
    pub(crate) fn removal(
        &self,
        group: &str,
        mut gone: impl FnMut(TopicId, i32, &Committed) -> bool,
    ) -> Vec<GroupRecord> {
        self.iter()
            .filter(|&(topic, partition, committed)| gone(topic, partition, committed))
            .map(|(topic, partition, _)| GroupRecord::Offset {
                group: group.to_owned(),
                topic: topic.0,
                partition,
                committed: None,
            })
            .collect()
    }

    /// The records that tell all of them.
    pub(crate) fn to_records(&self, group: &str) -> impl Iterator<Item = GroupRecord> {
        self.iter().map(move |(topic, partition, committed)| GroupRecord::Offset {
            group: group.to_owned(),
            topic: topic.0,
            partition,
            committed: Some(committed.clone()),
        })
    }
}
