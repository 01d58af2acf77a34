//! The sparse offset index of one segment: where some of its batches begin.
//!
//! An entry says "the batch whose last offset is `offset` begins at `position`"; on disk (`.index`, Kafka's
//! format) that is the offset relative to the segment's base and the position, both u32, big-endian. Both grow
//! strictly. An index is a hint: whoever follows an entry checks the batch it finds there, so a wrong index
//! costs time and never gives a wrong answer.

use super::index_file;
use crate::types::Offset;

/// Bytes of an entry on disk.
pub(super) const ENTRY_BYTES: usize = 8;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    /// The batch's last offset, relative to the segment's base offset.
    pub(super) relative: u32,
    /// Where the batch begins.
    pub(super) position: u32,
}

/// The index in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OffsetIndex {
    entries: Vec<OffsetEntry>,
}

// === impl OffsetEntry ===

impl OffsetEntry {
    /// The offset that the entry stands for.
    pub(super) fn offset(self, base_offset: Offset) -> Offset {
        base_offset + Offset::from(self.relative)
    }
}

// === impl OffsetIndex ===

impl OffsetIndex {
    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: OffsetEntry) {
        if let Some(last) = self.entries.last() {
            assert!(last.relative < entry.relative && last.position < entry.position, "the index grows");
        }
        self.entries.push(entry);
    }

    pub(super) fn entries(&self) -> &[OffsetEntry] {
        &self.entries
    }

    /// Size on disk, and about that in memory.
    pub(super) fn size_bytes(&self) -> usize {
        self.entries.len() * ENTRY_BYTES
    }

    /// The last entry at or below `offset`: reading from there on meets the batch that contains it.
    pub(super) fn floor(&self, base_offset: Offset, offset: Offset) -> Option<OffsetEntry> {
        let above = self.entries.partition_point(|entry| entry.offset(base_offset) <= offset);
        above.checked_sub(1).map(|index| self.entries[index])
    }

    /// Drops the entries whose batch begins at or above `position`; whether there were any.
    pub(super) fn truncate_to(&mut self, position: u64) -> bool {
        let keep = self.entries.partition_point(|entry| u64::from(entry.position) < position);
        let dropped = keep < self.entries.len();
        self.entries.truncate(keep);
        dropped
    }

    /// The entries from the `first` on, as they lie on disk.
    pub(super) fn encode_from(&self, first: usize) -> Vec<u8> {
        let entries = &self.entries[first..];
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        for entry in entries {
            bytes.extend_from_slice(&entry.relative.to_be_bytes());
            bytes.extend_from_slice(&entry.position.to_be_bytes());
        }
        bytes
    }

    /// The longest good prefix of a file's bytes, and whether that is all of it.
    pub(super) fn decode(bytes: &[u8]) -> (Self, bool) {
        let entry = |[o0, o1, o2, o3, p0, p1, p2, p3]: [u8; ENTRY_BYTES]| OffsetEntry {
            relative: u32::from_be_bytes([o0, o1, o2, o3]),
            position: u32::from_be_bytes([p0, p1, p2, p3]),
        };
        let (entries, is_whole) = index_file::decode(bytes, entry, |last, next| {
            last.relative < next.relative && last.position < next.position
        });
        (Self { entries }, is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> OffsetIndex {
        let mut index = OffsetIndex::default();
        for (relative, position) in [(4, 0), (9, 100), (20, 350)] {
            index.push(OffsetEntry { relative, position });
        }
        index
    }

    #[test]
    fn an_index_reads_back_as_it_was_written() {
        let index = index();
        assert_eq!(OffsetIndex::decode(&index.encode_from(0)), (index.clone(), true));
        assert_eq!(index.encode_from(2), [0, 0, 0, 20, 0, 0, 1, 94]);
    }

    #[test]
    fn the_floor_is_the_last_entry_not_above() {
        let index = index();
        let floor = |offset| index.floor(1000, offset).map(|entry| entry.position);
        assert_eq!(floor(1003), None);
        assert_eq!(floor(1004), Some(0));
        assert_eq!(floor(1008), Some(0));
        assert_eq!(floor(1019), Some(100));
        assert_eq!(floor(5000), Some(350));
    }

    #[test]
    fn what_does_not_grow_ends_the_index() {
        let mut bytes = index().encode_from(0);
        bytes.extend_from_slice(&[0; 16]);
        assert_eq!(OffsetIndex::decode(&bytes), (index(), false));
        assert_eq!(OffsetIndex::decode(&bytes[..27]), (index(), false));
    }

    #[test]
    fn a_truncated_index_keeps_what_lies_below() {
        let mut index = index();
        assert!(!index.truncate_to(351));
        assert!(index.truncate_to(350));
        assert_eq!(index.entries().len(), 2);
    }
}
