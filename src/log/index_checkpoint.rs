//! What the index files of a log should hold: the file `index-checkpoint`.
//!
//! Kafka's index formats have no checksum and no count, so a file that lost its end looks like a good one, and a
//! time index without its last entries would give wrong answers. This file says how many entries each index has
//! and their checksum, and the largest timestamp of each sealed segment, so that retention and lookups by time
//! need not load an index to learn that a segment is none of theirs. An index that it does not vouch for is
//! rebuilt from the batches; so a lost or torn checkpoint costs time only, and it is not synced.

use std::collections::BTreeMap;

use super::frame::{self, FrameError};
use super::time_index::TimeEntry;
use crate::types::Offset;

const MAGIC: [u8; 4] = *b"MLix";
const VERSION: u16 = 1;
/// The file's name.
pub(super) const NAME: &str = "index-checkpoint";
/// Largest file read: four hundred thousand segments in one log.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;

/// What is vouched for of one segment's indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexRecord {
    /// How many entries of the offset index, and the CRC-32 of their bytes.
    pub(super) offsets: Vouched,
    /// The same of the time index.
    pub(super) times: Vouched,
    /// The segment is sealed.
    pub(super) sealed: bool,
    /// Its largest timestamp when this was written.
    pub(super) largest: Option<TimeEntry>,
}

/// A number of entries at the start of a file and the CRC-32 of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Vouched {
    pub(super) count: u32,
    pub(super) checksum: u32,
}

/// The records of a log, by base offset.
pub(super) type IndexRecords = BTreeMap<Offset, IndexRecord>;

// === impl Vouched ===

impl Vouched {
    /// Vouches for `count` more entries, whose bytes follow.
    pub(super) fn and(self, count: usize, bytes: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.checksum);
        hasher.update(bytes);
        let count = u32::try_from(count).expect("an index has fewer than 2^32 entries");
        Self { count: self.count + count, checksum: hasher.finalize() }
    }

    /// The bytes vouched for at the start of `file`, if they are there.
    pub(super) fn part(self, file: &[u8], entry_bytes: usize) -> Option<&[u8]> {
        let part = file.get(..(self.count as usize).checked_mul(entry_bytes)?)?;
        (crc32fast::hash(part) == self.checksum).then_some(part)
    }
}

/// The file's content.
pub(super) fn encode(records: &IndexRecords) -> Vec<u8> {
    let mut payload = Vec::with_capacity(4 + records.len() * 37);
    let count = u32::try_from(records.len()).expect("fewer segments than fit in memory");
    payload.extend_from_slice(&count.to_be_bytes());
    for (base_offset, record) in records {
        payload.extend_from_slice(&base_offset.to_be_bytes());
        for vouched in [record.offsets, record.times] {
            payload.extend_from_slice(&vouched.count.to_be_bytes());
            payload.extend_from_slice(&vouched.checksum.to_be_bytes());
        }
        payload.push(u8::from(record.sealed));
        let largest = record.largest.unwrap_or(TimeEntry { timestamp_ms: -1, relative: 0 });
        payload.extend_from_slice(&largest.timestamp_ms.to_be_bytes());
        payload.extend_from_slice(&largest.relative.to_be_bytes());
    }
    frame::encode(MAGIC, VERSION, &payload)
}

/// The records in a file.
pub(super) fn decode(bytes: &[u8]) -> Result<IndexRecords, FrameError> {
    let mut fields = frame::decode(MAGIC, VERSION, bytes)?;
    let count = fields.u32()?;
    let mut records = IndexRecords::new();
    for _ in 0..count {
        let base_offset = fields.offset()?;
        let offsets = Vouched { count: fields.u32()?, checksum: fields.u32()? };
        let times = Vouched { count: fields.u32()?, checksum: fields.u32()? };
        let sealed = match fields.u8()? {
            0 => false,
            1 => true,
            _ => return Err(FrameError::Payload),
        };
        let largest = TimeEntry { timestamp_ms: fields.i64()?, relative: fields.u32()? };
        let largest = Some(largest).filter(|largest| largest.timestamp_ms >= 0);
        records.insert(base_offset, IndexRecord { offsets, times, sealed, largest });
    }
    fields.finish()?;
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back() {
        let record = |timestamp_ms: i64| IndexRecord {
            offsets: Vouched { count: 3, checksum: 77 },
            times: Vouched::default(),
            sealed: timestamp_ms > 5,
            largest: Some(TimeEntry { timestamp_ms, relative: 9 }).filter(|_| timestamp_ms >= 0),
        };
        let records = IndexRecords::from([(0, record(-1)), (10, record(5)), (20, record(6))]);
        assert_eq!(decode(&encode(&records)), Ok(records));
        assert_eq!(decode(&encode(&IndexRecords::new())), Ok(IndexRecords::new()));
        assert!(decode(b"").is_err());
    }

    #[test]
    fn only_the_bytes_vouched_for_are_taken() {
        let vouched = Vouched::default().and(2, b"aabb").and(1, b"cc");
        assert_eq!(vouched.part(b"aabbccdd", 2), Some(&b"aabbcc"[..]));
        assert_eq!(vouched.part(b"aabbcc", 2), Some(&b"aabbcc"[..]));
        assert_eq!(vouched.part(b"aabbc", 2), None);
        assert_eq!(vouched.part(b"aabbcd", 2), None);
        assert_eq!(Vouched::default().part(b"", 2), Some(&b""[..]));
    }
}
