//! Who should read which partition: plain functions from subscriptions to assignments.
//!
//! What holds for every assignor: each partition that anybody subscribes to has one owner, who subscribes to it; equal
//! inputs give equal outputs, in whatever order members came; what members had before stays theirs as far as the
//! assignor's idea of fairness allows. The cost grows with subscriptions and partitions, not with their product.

mod range;
mod uniform;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Partitions;
use crate::types::{TopicId, TopicPartition};

/// The assignors there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Assignor {
    /// Everybody gets as many partitions as the others.
    Uniform,
    /// Of each topic everybody gets a range, and the same numbers of topics that have as many partitions.
    Range,
}

/// What is to be shared out, and among whom.
#[derive(Debug, Default)]
pub(super) struct Task<'a> {
    /// The topics with their numbers of partitions, by id.
    pub(super) topics: Vec<(TopicId, u32)>,
    /// Members with the same subscription are of one class: the topics of each, as ascending indexes into `topics`.
    pub(super) classes: Vec<Vec<usize>>,
    /// The members, by id.
    pub(super) members: Vec<Reader<'a>>,
}

/// A member that is to read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// Its index into the classes.
    pub(super) class: usize,
    /// What it was to read before.
    pub(super) previous: &'a Partitions,
    /// What orders it among the others, the same across restarts of a static member.
    pub(super) rank: Arc<str>,
}

/// Nobody, as an index of a member.
const NOBODY: u32 = u32::MAX;

// === impl Assignor ===

impl Assignor {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// Its name, as members ask for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Shares out the partitions: what each member is to read, in the order of the members.
    pub(super) fn assign(self, task: &Task<'_>) -> Vec<Partitions> {
        match self {
            Self::Uniform => uniform::assign(task),
            Self::Range => range::assign(task),
        }
    }
}

// === impl Task ===

impl Task<'_> {
    /// The members that subscribe to each topic, by the topic's index.
    fn subscribers(&self) -> Vec<Vec<u32>> {
        let mut subscribers = vec![Vec::new(); self.topics.len()];
        for (index, member) in (0..).zip(&self.members) {
            for &topic in &self.classes[member.class] {
                subscribers[topic].push(index);
            }
        }
        subscribers
    }
}

/// One owner for each partition of a task, in one row.
struct Owners {
    /// Where each topic's partitions begin; one more for the end.
    begins: Vec<usize>,
    owners: Vec<u32>,
}

// === impl Owners ===

impl Owners {
    /// Nobody owns anything.
    fn none(task: &Task<'_>) -> Self {
        let mut begins = vec![0];
        let mut end = 0;
        for &(_, partitions) in &task.topics {
            end += partitions as usize;
            begins.push(end);
        }
        Self { begins, owners: vec![NOBODY; end] }
    }

    /// As members were to read before, where they still subscribe to it. Of two that claim a partition the first has it.
    fn previous(task: &Task<'_>) -> Self {
        let mut owners = Self::none(task);
        for (index, member) in (0..).zip(&task.members) {
            let class = &task.classes[member.class];
            let mut topic: Option<(TopicId, Option<usize>)> = None;
            for part in member.previous {
                let found = match topic {
                    Some((id, found)) if id == part.topic => found,
                    _ => {
                        let known = task.topics.binary_search_by_key(&part.topic, |&(id, _)| id).ok();
                        known.filter(|known| class.binary_search(known).is_ok())
                    }
                };
                topic = Some((part.topic, found));
                let slot = found.and_then(|topic| owners.of_topic(topic).get_mut(part.partition as usize));
                if let Some(slot) = slot
                    && *slot == NOBODY
                {
                    *slot = index;
                }
            }
        }
        owners
    }

    fn of_topic(&mut self, topic: usize) -> &mut [u32] {
        &mut self.owners[self.begins[topic]..self.begins[topic + 1]]
    }

    /// How many partitions each member has.
    fn loads(&self, members: usize) -> Vec<u32> {
        let mut loads = vec![0; members];
        for &owner in &self.owners {
            if owner != NOBODY {
                loads[owner as usize] += 1;
            }
        }
        loads
    }

    /// What each member has.
    fn into_partitions(self, task: &Task<'_>) -> Vec<Partitions> {
        let mut shares: Vec<Vec<TopicPartition>> = vec![Vec::new(); task.members.len()];
        for (topic, &(id, _)) in task.topics.iter().enumerate() {
            let owners = &self.owners[self.begins[topic]..self.begins[topic + 1]];
            for (partition, &owner) in (0..).zip(owners) {
                if owner != NOBODY {
                    shares[owner as usize].push(TopicPartition { topic: id, partition });
                }
            }
        }
        // Topics and partitions came in ascending order, which a set is quickly made of.
        shares.into_iter().map(Partitions::from_iter).collect()
    }
}
