//! Who owns what, as a test sees it, and that nobody else does.

use std::collections::HashMap;

use tokio::time::Instant;

use super::churn::SESSION;

/// What a test sees of who owns what.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) classic: Generations,
    pub(super) consumer: Owners,
}

/// Who owned what, in each generation of a classic group.
#[derive(Default)]
pub(super) struct Generations {
    owners: HashMap<(i32, u16), String>,
    /// The newest generation, and how many partitions of it were given to members.
    pub(super) newest: (i32, usize),
}

/// Who owns what in a group of the consumer protocol, as far as the members themselves know.
#[derive(Default)]
pub(super) struct Owners {
    pub(super) owners: HashMap<u16, String>,
    /// When each sent the last heartbeat that was answered.
    alive: HashMap<String, Instant>,
    /// How often a partition changed hands.
    pub(super) moves: i32,
}

// === impl Generations ===

impl Generations {
    pub(super) fn note(&mut self, generation: i32, member: &str, partitions: &[u16]) {
        if generation > self.newest.0 {
            self.newest = (generation, 0);
        }
        for &partition in partitions {
            match self.owners.insert((generation, partition), member.to_owned()) {
                None if generation == self.newest.0 => self.newest.1 += 1,
                None => {}
                // It was told twice.
                Some(before) => {
                    assert_eq!(before, member, "{partition} has two owners in generation {generation}");
                }
            }
        }
    }
}

// === impl Owners ===

impl Owners {
    pub(super) fn give_up_all(&mut self, member: &str) {
        self.owners.retain(|_, owner| owner != member);
        self.alive.remove(member);
    }

    /// A heartbeat was answered: some partitions are given up, others taken. Nobody else may have those, but for somebody who
    /// was not heard of for a session.
    pub(super) fn follow(&mut self, member: &str, lost: &[u16], gained: &[u16], asked: Instant) {
        self.alive.insert(member.to_owned(), asked);
        for partition in lost {
            if self.owners.get(partition).is_some_and(|owner| owner == member) {
                self.owners.remove(partition);
            }
        }
        for &partition in gained {
            self.moves += 1;
            let before = self.owners.insert(partition, member.to_owned());
            let silent = before.as_ref().map(|owner| self.alive[owner].elapsed());
            assert!(
                silent.is_none_or(|silent| silent >= SESSION),
                "{partition} went to {member}, and {before:?} was heard of {silent:?} ago"
            );
        }
    }
}
