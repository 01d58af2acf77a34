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

pub(super) fn assign(candidates: &[Candidate], counts: &Counts) -> Assigned {
    let topics: Vec<(&Arc<str>, i32)> = counts.iter().map(|(topic, &count)| (topic, count)).collect();
    let order = in_order(candidates);
    let takers = topics
        .iter()
        .map(|(topic, _)| order.iter().copied().filter(|&index| candidates[index].wants(topic)).collect())
        .collect();
    let claims = claims(candidates, &topics);
    let mut balance = Balance { topics, takers, owned: vec![Vec::new(); candidates.len()] };
    balance.keep(candidates, &claims);
    balance.give_out();
    balance.even_out();
    balance.withhold(&claims)
}

/// Who says that it owns a partition: often nobody or one, but more when one was cut off and came back.
fn claims(candidates: &[Candidate], topics: &[(&Arc<str>, i32)]) -> HashMap<Place, Vec<usize>> {
    let by_name: HashMap<&str, usize> =
        topics.iter().enumerate().map(|(index, (topic, _))| (&***topic, index)).collect();
    let mut claims: HashMap<Place, Vec<usize>> = HashMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        for (topic, partition) in &candidate.subscription.owned {
            let Some(&topic) = by_name.get(&**topic) else { continue };
            let claimants = claims.entry((topic, *partition)).or_default();
            if !claimants.contains(&index) {
                claimants.push(index);
            }
        }
    }
    claims
}

impl Balance<'_> {
    /// Leaves partitions with those that have them. Of several that say so the one of the latest generation does.
    fn keep(&mut self, candidates: &[Candidate], claims: &HashMap<Place, Vec<usize>>) {
        for topic in 0..self.topics.len() {
            for partition in 0..self.topics[topic].1 {
                let Some(claimants) = claims.get(&(topic, partition)) else { continue };
                let generation = |&&index: &&usize| candidates[index].subscription.generation;
                let Some(&latest) = claimants.iter().max_by_key(generation) else { continue };
                let is_alone =
                    claimants.iter().filter(|index| generation(index) == generation(&&latest)).count() == 1;
                if is_alone && self.takers[topic].contains(&latest) {
                    self.owned[latest].push((topic, partition));
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
    fn withhold(self, claims: &HashMap<Place, Vec<usize>>) -> Assigned {
        let named =
            |&(topic, partition): &Place| -> TopicPartition { (Arc::clone(self.topics[topic].0), partition) };
        let is_free = |owner: usize, place: &Place| {
            claims.get(place).is_none_or(|claimants| claimants.iter().all(|&claimant| claimant == owner))
        };
        let of_owner = |(owner, places): (usize, &Vec<Place>)| {
            let mut free: Vec<TopicPartition> =
                places.iter().filter(|place| is_free(owner, place)).map(named).collect();
            free.sort_unstable();
            free
        };
        self.owned.iter().enumerate().map(of_owner).collect()
    }
}
