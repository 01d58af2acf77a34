//! The sparse time index of one segment: the largest timestamp up to some of its offsets.
//!
//! An entry says "no batch up to the one whose last offset is `offset` has a timestamp above `timestamp_ms`, and
//! that batch has it"; on disk (`.timeindex`, Kafka's format) that is the timestamp (i64) and the offset relative
//! to the segment's base (u32), big-endian. Both grow strictly. A hint like the offset index: whoever follows an
//! entry checks that the batch has that timestamp.

use super::index_file;
use crate::types::{Offset, TimestampMs};

/// Bytes of an entry on disk.
pub(super) const ENTRY_BYTES: usize = 12;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeEntry {
    /// The largest timestamp so far.
    pub(super) timestamp_ms: TimestampMs,
    /// The last offset of the first batch that has it, relative to the segment's base offset.
    pub(super) relative: u32,
}

/// The index in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TimeIndex {
    entries: Vec<TimeEntry>,
}

// === impl TimeEntry ===

impl TimeEntry {
    /// The last offset of the batch that the entry stands for.
    pub(super) fn offset(self, base_offset: Offset) -> Offset {
        base_offset + Offset::from(self.relative)
    }
}

// === impl TimeIndex ===

impl TimeIndex {
    /// Adds an entry if it tells anything new.
    pub(super) fn maybe_push(&mut self, entry: TimeEntry) {
        match self.entries.last() {
            Some(last) if entry.timestamp_ms <= last.timestamp_ms => {}
            Some(last) => {
                assert!(last.relative < entry.relative, "a later largest timestamp has a later offset");
                self.entries.push(entry);
            }
            None => self.entries.push(entry),
        }
    }

    pub(super) fn entries(&self) -> &[TimeEntry] {
        &self.entries
    }

    /// Size on disk, and about that in memory.
    pub(super) fn size_bytes(&self) -> usize {
        self.entries.len() * ENTRY_BYTES
    }

    /// The last entry whose timestamp is below `timestamp_ms`: no batch up to it qualifies for a lookup.
    pub(super) fn below(&self, timestamp_ms: TimestampMs) -> Option<TimeEntry> {
        let above = self.entries.partition_point(|entry| entry.timestamp_ms < timestamp_ms);
        above.checked_sub(1).map(|index| self.entries[index])
    }

    /// Drops the entries of batches that end above `relative`; None drops all. Whether there were any.
    pub(super) fn truncate_to(&mut self, relative: Option<u32>) -> bool {
        let keep = self.entries.partition_point(|entry| relative.is_some_and(|last| entry.relative <= last));
        let dropped = keep < self.entries.len();
        self.entries.truncate(keep);
        dropped
    }

    /// The entries from the `first` on, as they lie on disk.
    pub(super) fn encode_from(&self, first: usize) -> Vec<u8> {
        let entries = &self.entries[first..];
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        for entry in entries {
            bytes.extend_from_slice(&entry.timestamp_ms.to_be_bytes());
            bytes.extend_from_slice(&entry.relative.to_be_bytes());
        }
        bytes
    }

    /// The longest good prefix of a file's bytes, and whether that is all of it.
    pub(super) fn decode(bytes: &[u8]) -> (Self, bool) {
        let entry = |[t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3]: [u8; ENTRY_BYTES]| TimeEntry {
            timestamp_ms: TimestampMs::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            relative: u32::from_be_bytes([o0, o1, o2, o3]),
        };
        let (entries, is_whole) = index_file::decode(bytes, entry, |last, next| {
            last.timestamp_ms < next.timestamp_ms && last.relative < next.relative
        });
        (Self { entries }, is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> TimeIndex {
        let mut index = TimeIndex::default();
        for (timestamp_ms, relative) in [(10, 4), (10, 9), (25, 20), (7, 30)] {
            index.maybe_push(TimeEntry { timestamp_ms, relative });
        }
        index
    }

    #[test]
    fn only_a_larger_timestamp_makes_an_entry() {
        assert_eq!(index().entries().len(), 2);
    }

    #[test]
    fn an_index_reads_back_as_it_was_written() {
        let index = index();
        assert_eq!(TimeIndex::decode(&index.encode_from(0)), (index.clone(), true));
        assert_eq!(index.encode_from(1), [0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 20]);
        assert_eq!(TimeIndex::decode(&index.encode_from(0)[..13]).0.entries(), &index.entries()[..1]);
    }

    #[test]
    fn lookups_find_the_entry_before() {
        let index = index();
        assert_eq!(index.below(10), None);
        assert_eq!(index.below(11).map(|entry| entry.relative), Some(4));
        assert_eq!(index.below(99).map(|entry| entry.relative), Some(20));
    }

    #[test]
    fn a_truncated_index_keeps_what_ends_below() {
        let mut index = index();
        assert!(!index.truncate_to(Some(20)));
        assert!(index.truncate_to(Some(19)));
        assert_eq!(index.entries().len(), 1);
        assert!(index.truncate_to(None));
        assert!(index.entries().is_empty());
    }
}
