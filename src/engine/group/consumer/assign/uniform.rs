//! Uniform: everybody gets as many partitions as the others, and keeps what it has where that does no harm.
//!
//! When all members subscribe to the same topics, shares differ by one at most, and no more partitions move than have to.
//! When subscriptions differ, a partition moves while one who may read it has at least two fewer than its owner; what is
//! left over then is close to even, and found in a bounded number of passes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::{NOBODY, Owners, Partitions, Task};

/// Each pass evens out what the one before made possible. Two or three find all there is in practice.
const PASSES_MAX: usize = 8;

/// Shares out the partitions; see the module.
pub(super) fn assign(task: &Task<'_>) -> Vec<Partitions> {
    let mut owners = Owners::previous(task);
    if !task.members.is_empty() {
        let alike = task.members.iter().all(|member| member.class == task.members[0].class);
        let everything = alike && task.classes[task.members[0].class].len() == task.topics.len();
        if everything {
            share_evenly(&mut owners.owners, task.members.len());
        } else {
            share_by_topic(task, &mut owners);
        }
    }
    owners.into_partitions(task)
}

/// Everybody may read everything.
fn share_evenly(owners: &mut [u32], members: usize) {
    let mut quotas = quotas(owners, members);
    // What is beyond an owner's quota is free.
    for owner in owners.iter_mut() {
        match quotas.get_mut(*owner as usize) {
            Some(0) => *owner = NOBODY,
            Some(left) => *left -= 1,
            None => {}
        }
    }
    // What is free goes to those who have room, in turns, so that a topic does not end up with one of them.
    let mut room: Vec<(u32, u32)> = (0..).zip(quotas).filter(|&(_, left)| left > 0).collect();
    let mut turn = 0;
    for owner in owners.iter_mut().filter(|owner| **owner == NOBODY) {
        let (member, left) = &mut room[turn];
        *owner = *member;
        *left -= 1;
        if *left == 0 {
            room.remove(turn);
        } else {
            turn += 1;
        }
        if turn == room.len() {
            turn = 0;
        }
    }
}

/// How many partitions each member gets. Those who have more already are the first to get one more than others.
fn quotas(owners: &[u32], members: usize) -> Vec<u32> {
    let mut had = vec![0_u32; members];
    for &owner in owners {
        if let Some(had) = had.get_mut(owner as usize) {
            *had += 1;
        }
    }
    let share = u32::try_from(owners.len() / members).unwrap_or(u32::MAX);
    let mut extra = owners.len() % members;
    let mut quotas = vec![share; members];
    for wants_more in [true, false] {
        for (quota, &had) in quotas.iter_mut().zip(&had) {
            if extra > 0 && (had > share) == wants_more {
                *quota += 1;
                extra -= 1;
            }
        }
    }
    quotas
}

/// Members differ in what they may read.
fn share_by_topic(task: &Task<'_>, owners: &mut Owners) {
    let subscribers = task.subscribers();
    let mut loads = owners.loads(task.members.len());
    // Topics with few readers first: what many may read evens out the rest.
    let mut order: Vec<usize> = (0..task.topics.len()).collect();
    order.sort_by_key(|&topic| subscribers[topic].len());
    for &topic in &order {
        fill(&subscribers[topic], owners.of_topic(topic), &mut loads);
    }
    for _ in 0..PASSES_MAX {
        let mut moved = false;
        for &topic in &order {
            moved |= even_out(&subscribers[topic], owners.of_topic(topic), &mut loads);
        }
        if !moved {
            return;
        }
    }
}

/// Gives partitions without an owner to the subscribers with the smallest loads.
fn fill(subscribers: &[u32], owners: &mut [u32], loads: &mut [u32]) {
    if subscribers.is_empty() || owners.iter().all(|&owner| owner != NOBODY) {
        return;
    }
    let mut smallest: BinaryHeap<Reverse<(u32, u32)>> =
        subscribers.iter().map(|&member| Reverse((loads[member as usize], member))).collect();
    for owner in owners.iter_mut().filter(|owner| **owner == NOBODY) {
        let mut top = smallest.peek_mut().expect("there are subscribers");
        let Reverse((load, member)) = &mut *top;
        *owner = *member;
        *load += 1;
        loads[*member as usize] = *load;
    }
}

/// Moves partitions of one topic from who has most to who has least, while that makes them more equal.
fn even_out(subscribers: &[u32], owners: &mut [u32], loads: &mut [u32]) -> bool {
    let load = |member: &u32| loads[*member as usize];
    let least = subscribers.iter().map(load).min();
    let most = owners.iter().filter(|owner| **owner != NOBODY).map(load).max();
    let (Some(least), Some(most)) = (least, most) else { return false };
    if most < least + 2 {
        return false;
    }
    let mut by_load: BTreeSet<(u32, u32)> =
        subscribers.iter().map(|member| (load(member), *member)).collect();
    // The partitions of each owner, so that one to be moved is found at once.
    let mut owned: std::collections::HashMap<u32, Vec<usize>> = std::collections::HashMap::new();
    for (partition, &owner) in owners.iter().enumerate() {
        owned.entry(owner).or_default().push(partition);
    }
    let mut givers: BTreeSet<(u32, u32)> = owned.keys().map(|member| (load(member), *member)).collect();
    while let (Some(&(least, to)), Some(&(most, from))) = (by_load.first(), givers.last()) {
        if most < least + 2 {
            break;
        }
        let parts = owned.get_mut(&from).expect("it owns some");
        let partition = parts.pop().expect("it owns some");
        let is_last = parts.is_empty();
        owners[partition] = to;
        by_load.remove(&(least, to));
        by_load.remove(&(most, from));
        by_load.insert((least + 1, to));
        by_load.insert((most - 1, from));
        givers.remove(&(most, from));
        givers.remove(&(least, to));
        if !is_last {
            givers.insert((most - 1, from));
        }
        // What it is given now it may not give away again in this pass; that would only be a detour.
        if owned.get(&to).is_some_and(|parts| !parts.is_empty()) {
            givers.insert((least + 1, to));
        }
        loads[to as usize] += 1;
        loads[from as usize] -= 1;
    }
    true
}
