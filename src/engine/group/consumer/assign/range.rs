//! Range: of each topic every subscriber gets one run of neighbouring partitions.
//!
//! Members stand in one order for all topics, so those who subscribe to topics with equally many partitions get the same
//! numbers of each, and records with one key in several topics meet in one member. The order is that of what members had
//! before, newcomers last: nobody overtakes, so the runs move no further than their sizes make them.

use super::{Owners, Partitions, Task};

/// Shares out the partitions; see the module.
pub(super) fn assign(task: &Task<'_>) -> Vec<Partitions> {
    let mut order: Vec<u32> = (0..).zip(&task.members).map(|(index, _)| index).collect();
    order.sort_by_cached_key(|&index| {
        let member = &task.members[index as usize];
        // Where its run began, whichever topic it was in; what it no longer subscribes to is as good a sign.
        let began = member.previous.iter().map(|part| part.partition).min();
        (began.is_none(), began, std::sync::Arc::clone(&member.rank))
    });
    let mut place = vec![0_u32; order.len()];
    for (at, &member) in (0..).zip(&order) {
        place[member as usize] = at;
    }
    let mut owners = Owners::none(task);
    for (topic, mut subscribers) in task.subscribers().into_iter().enumerate() {
        let slots = owners.of_topic(topic);
        if subscribers.is_empty() {
            continue;
        }
        subscribers.sort_unstable_by_key(|&member| place[member as usize]);
        let (share, extra) = (slots.len() / subscribers.len(), slots.len() % subscribers.len());
        let mut begin = 0;
        for (at, &member) in subscribers.iter().enumerate() {
            let end = begin + share + usize::from(at < extra);
            slots[begin..end].fill(member);
            begin = end;
        }
    }
    owners.into_partitions(task)
}
