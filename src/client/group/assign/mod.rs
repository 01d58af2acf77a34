//! How the leader of a classic group divides the partitions among its members.
//!
//! Plain functions: the members and what they want in, the partitions of each out. What always holds: every partition of a
//! topic that somebody subscribes to goes to exactly one member that subscribes to it (cooperative rebalancing withholds
//! those that still have to be given up), and the same input gives the same output, whoever leads.

mod sticky;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::Assignor;
use super::embedded::Subscription;
use crate::client::consumer::TopicPartition;

/// A member, as the leader sees it.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) subscription: Subscription,
}

/// How many partitions each topic has; topics that do not exist are not in it.
pub(super) type Counts = BTreeMap<Arc<str>, i32>;

/// The partitions of each member, in the order of the candidates.
pub(super) type Assigned = Vec<Vec<TopicPartition>>;

/// Divides the partitions.
pub(super) fn assign(assignor: Assignor, candidates: &[Candidate], counts: &Counts) -> Assigned {
    match assignor {
        Assignor::Range => range(candidates, counts),
        Assignor::RoundRobin => round_robin(candidates, counts),
        Assignor::CooperativeSticky => sticky::assign(candidates, counts),
    }
}

/// All topics that somebody subscribes to.
pub(super) fn topics_of(candidates: &[Candidate]) -> BTreeSet<Arc<str>> {
    let topics = candidates.iter().flat_map(|candidate| &candidate.subscription.topics);
    topics.map(|topic| Arc::from(topic.as_str())).collect()
}

/// Consecutive partitions of each topic; the first members get one more where they do not come out even.
fn range(candidates: &[Candidate], counts: &Counts) -> Assigned {
    let order = in_order(candidates);
    let mut assigned = vec![Vec::new(); candidates.len()];
    for (topic, &count) in counts {
        let takers: Vec<usize> =
            order.iter().copied().filter(|&index| candidates[index].wants(topic)).collect();
        let Ok(takers_count) = i32::try_from(takers.len()) else { continue };
        if takers_count == 0 {
            continue;
        }
        let (each, more) = (count / takers_count, count % takers_count);
        let mut next = 0;
        for (taker, place) in takers.into_iter().zip(0..) {
            let end = next + each + i32::from(place < more);
            assigned[taker].extend((next..end).map(|partition| (Arc::clone(topic), partition)));
            next = end;
        }
    }
    assigned
}

/// The partitions of all topics in a row, each to the next member that wants it.
fn round_robin(candidates: &[Candidate], counts: &Counts) -> Assigned {
    let order = in_order(candidates);
    let mut assigned = vec![Vec::new(); candidates.len()];
    let mut turn = order.iter().copied().cycle();
    for (topic, &count) in counts {
        if !candidates.iter().any(|candidate| candidate.wants(topic)) {
            continue;
        }
        for partition in 0..count {
            let taker = turn.by_ref().find(|&index| candidates[index].wants(topic));
            assigned[taker.expect("somebody wants it")].push((Arc::clone(topic), partition));
        }
    }
    assigned
}

/// Static members by their instance ids first, so that their order survives restarts; then the others by member id.
fn in_order(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|&index| {
        let candidate = &candidates[index];
        (candidate.instance_id.is_none(), candidate.instance_id.as_deref(), candidate.member_id.as_str())
    });
    order
}

// === impl Candidate ===

impl Candidate {
    fn wants(&self, topic: &str) -> bool {
        self.subscription.topics.iter().any(|wanted| wanted == topic)
    }
}

#[cfg(test)]
mod tests;
