//! The cooperative sticky assignor: as even as can be, and partitions stay where they are as far as that allows.
//!
//! A partition that is to move is withheld from its new owner until its old one has given it up, which takes a second
//! rebalance; so nobody ever has to stop reading what it keeps. After KIP-429; the way of balancing is our own.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Assigned, Candidate, Counts, in_order};
use crate::client::consumer::TopicPartition;

/// A partition by topic (an index into the topics) and number.
type Place = (usize, i32);

struct Balance<'a> {
    topics: Vec<(&'a Arc<str>, i32)>,
    /// By topic: who wants it, in the order of the members.
    takers: Vec<Vec<usize>>,
    /// By member.
    owned: Vec<Vec<Place>>,
}

/// Who says that it has a partition, with the generation in which it got it, the latest last. Often nobody or one does;
/// more do when one was cut off and came back.
struct Claims(HashMap<Place, Vec<(i32, usize)>>);

pub(super) fn assign(candidates: &[Candidate], counts: &Counts) -> Assigned {
    let topics: Vec<(&Arc<str>, i32)> = counts.iter().map(|(topic, &count)| (topic, count)).collect();
    let order = in_order(candidates);
    let takers = topics
        .iter()
        .map(|(topic, _)| order.iter().copied().filter(|&index| candidates[index].wants(topic)).collect())
        .collect();
    let claims = Claims::of(candidates, &topics);
    let mut balance = Balance { topics, takers, owned: vec![Vec::new(); candidates.len()] };
    balance.keep(&claims);
    balance.give_out();
    balance.even_out();
    balance.withhold(&claims)
}

// === impl Claims ===

impl Claims {
    fn of(candidates: &[Candidate], topics: &[(&Arc<str>, i32)]) -> Self {
        let by_name: HashMap<&str, usize> =
            topics.iter().enumerate().map(|(index, (topic, _))| (&***topic, index)).collect();
        let mut claims: HashMap<Place, Vec<(i32, usize)>> = HashMap::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let claim = (candidate.subscription.generation, index);
            for (topic, partition) in &candidate.subscription.owned {
                let Some(&topic) = by_name.get(&**topic) else { continue };
                let claimants = claims.entry((topic, *partition)).or_default();
                if !claimants.contains(&claim) {
                    claimants.push(claim);
                }
            }
        }
        claims.values_mut().for_each(|claimants| claimants.sort_unstable());
        Self(claims)
    }

    /// Who has a partition: of several that say so the one of the latest generation. Nobody when two of them are of it,
    /// since then neither can be believed.
    fn owner(&self, place: &Place) -> Option<usize> {
        match self.0.get(place)?[..] {
            [.., (before, _), (latest, _)] if before == latest => None,
            [.., (_, owner)] => Some(owner),
            [] => None,
        }
    }

    /// Whether a member may have a partition without anybody else giving it up first.
    fn are_settled(&self, place: &Place, member: usize) -> bool {
        !self.0.contains_key(place) || self.owner(place) == Some(member)
    }
}

impl Balance<'_> {
    /// Leaves partitions with those that have them.
    fn keep(&mut self, claims: &Claims) {
        for topic in 0..self.topics.len() {
            for partition in 0..self.topics[topic].1 {
                if let Some(owner) = claims.owner(&(topic, partition))
                    && self.takers[topic].contains(&owner)
                {
                    self.owned[owner].push((topic, partition));
                }
            }
        }
    }

    /// Gives each partition that nobody has to whoever has least; those that few want come first.
    fn give_out(&mut self) {
        let mut taken: Vec<Vec<bool>> =
            self.topics.iter().map(|&(_, count)| vec![false; usize::try_from(count).unwrap_or(0)]).collect();
        for &(topic, partition) in self.owned.iter().flatten() {
            taken[topic][usize::try_from(partition).expect("it is one of the topic's")] = true;
        }
        let mut scarce_first: Vec<usize> = (0..self.topics.len()).collect();
        scarce_first.sort_by_key(|&topic| self.takers[topic].len());
        for topic in scarce_first {
            for (partition, taken) in (0..).zip(&taken[topic]) {
                if *taken {
                    continue;
                }
                let least = self.takers[topic].iter().copied().min_by_key(|&taker| self.owned[taker].len());
                if let Some(least) = least {
                    self.owned[least].push((topic, partition));
                }
            }
        }
    }

    /// Moves partitions from those that have more to those that have at least two fewer, until there are none such.
    /// Every move makes the sum of squares smaller, so it ends.
    fn even_out(&mut self) {
        let mut has_moved = true;
        while has_moved {
            has_moved = false;
            let mut fullest: Vec<usize> = (0..self.owned.len()).collect();
            fullest.sort_by_key(|&index| std::cmp::Reverse(self.owned[index].len()));
            for from in fullest {
                has_moved |= self.relieve(from);
            }
        }
    }

    /// Moves partitions away from one member, the last ones it got first.
    fn relieve(&mut self, from: usize) -> bool {
        let mut has_moved = false;
        let mut place = self.owned[from].len();
        while place > 0 {
            place -= 1;
            let (topic, partition) = self.owned[from][place];
            let least = self.takers[topic].iter().copied().min_by_key(|&taker| self.owned[taker].len());
            let Some(to) = least.filter(|&to| self.owned[to].len() + 1 < self.owned[from].len()) else {
                continue;
            };
            self.owned[from].remove(place);
            self.owned[to].push((topic, partition));
            has_moved = true;
        }
        has_moved
    }

    /// The assignment, without what another member still has to give up.
    fn withhold(self, claims: &Claims) -> Assigned {
        let named =
            |&(topic, partition): &Place| -> TopicPartition { (Arc::clone(self.topics[topic].0), partition) };
        let of_owner = |(owner, places): (usize, &Vec<Place>)| {
            let mut free: Vec<TopicPartition> =
                places.iter().filter(|place| claims.are_settled(place, owner)).map(named).collect();
            free.sort_unstable();
            free
        };
        self.owned.iter().enumerate().map(of_owner).collect()
    }
}
