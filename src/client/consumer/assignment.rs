//! Which partitions a consumer reads, and how far it is in each.
//!
//! Two offsets matter: the fetch offset, up to which records were asked for, and the position, up to which they were
//! handed out. A seek sets both and starts a new generation, so that whatever is still on its way is thrown away.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::types::Offset;

/// A topic and a partition in it.
pub type TopicPartition = (Arc<str>, i32);

/// Where a group's member begins a partition that it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartPosition {
    pub(crate) key: TopicPartition,
    pub(crate) offset: Offset,
    /// The leader epoch of the record before it, when it is known: lets the broker find out that its log was cut back
    /// since.
    pub(crate) leader_epoch: Option<i32>,
}

pub(super) type Key = TopicPartition;

/// All partitions of a consumer.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    pub(super) partitions: HashMap<Key, Assigned>,
    next_generation: u64,
}

/// One partition.
#[derive(Debug, Clone)]
pub(super) struct Assigned {
    /// Told apart from what was asked for before the last seek.
    pub(super) generation: u64,
    pub(super) position: Offset,
    /// The leader epoch of the record before the position, when it is known.
    pub(super) position_epoch: Option<i32>,
    pub(super) fetch_offset: Offset,
    /// The leader epoch of the last batch fetched: lets the broker find out that its log was cut back since.
    pub(super) last_fetched_epoch: Option<i32>,
    /// Whether a request for it is on its way.
    pub(super) is_in_flight: bool,
    /// Bytes fetched and not handed out yet.
    pub(super) buffered_bytes: usize,
    /// Not asked for before this, after a failure.
    pub(super) not_before: Option<Instant>,
    /// Not asked for until a seek, after an error that the caller must decide about.
    pub(super) is_halted: bool,
    /// As of the last response; `None` before the first.
    pub(super) watermarks: Option<Watermarks>,
}

/// Where a partition's log begins and ends for readers, as a broker told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The oldest offset kept.
    pub log_start_offset: Offset,
    /// The first offset that is not committed yet.
    pub high_watermark: Offset,
    /// The first offset of the oldest open transaction, else the high watermark.
    pub last_stable_offset: Offset,
}

// === impl Assignment ===

impl Assignment {
    /// Reads the partition from `offset` on; what was asked for before is thrown away.
    pub(super) fn set(&mut self, key: Key, offset: Offset) {
        self.set_after(StartPosition { key, offset, leader_epoch: None });
    }

    /// As [`set`](Self::set), where the leader epoch of the record before is known.
    pub(super) fn set_after(&mut self, start: StartPosition) {
        let StartPosition { key, offset, leader_epoch } = start;
        let generation = self.next_generation;
        self.next_generation += 1;
        let watermarks = self.partitions.get(&key).and_then(|known| known.watermarks);
        let assigned = Assigned {
            generation,
            position: offset,
            position_epoch: leader_epoch,
            fetch_offset: offset,
            last_fetched_epoch: leader_epoch,
            is_in_flight: false,
            buffered_bytes: 0,
            not_before: None,
            is_halted: false,
            watermarks,
        };
        self.partitions.insert(key, assigned);
    }

    /// The partition, unless it is another generation by now.
    pub(super) fn current(&mut self, key: &Key, generation: u64) -> Option<&mut Assigned> {
        self.partitions.get_mut(key).filter(|assigned| assigned.generation == generation)
    }
}

// === impl Assigned ===

impl Assigned {
    /// Whether it is to be asked for now.
    pub(super) fn is_fetchable(&self, buffer_bytes: usize, now: Instant) -> bool {
        !self.is_in_flight
            && !self.is_halted
            && self.buffered_bytes < buffer_bytes
            && self.not_before.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seek_makes_what_is_on_its_way_stale() {
        let mut assignment = Assignment::default();
        let key: Key = ("t".into(), 0);
        assignment.set(key.clone(), 5);
        let first = assignment.partitions[&key].generation;
        assignment.current(&key, first).unwrap().fetch_offset = 9;
        assignment.set(key.clone(), 2);
        assert!(assignment.current(&key, first).is_none());
        let second = assignment.partitions[&key].generation;
        assert_eq!(assignment.current(&key, second).unwrap().fetch_offset, 2);
    }

    #[test]
    fn a_partition_in_flight_or_full_or_halted_is_not_asked_for() {
        let mut assignment = Assignment::default();
        let key: Key = ("t".into(), 0);
        assignment.set(key.clone(), 0);
        let fresh = assignment.partitions[&key].clone();
        let now = Instant::now();
        assert!(fresh.is_fetchable(10, now));
        for assigned in [
            Assigned { is_in_flight: true, ..fresh.clone() },
            Assigned { is_halted: true, ..fresh.clone() },
            Assigned { buffered_bytes: 10, ..fresh.clone() },
            Assigned { not_before: Some(now + std::time::Duration::from_secs(1)), ..fresh },
        ] {
            assert!(!assigned.is_fetchable(10, now), "{assigned:?}");
        }
    }
}
