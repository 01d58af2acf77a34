//! Leader epochs: which start of the broker wrote from which offset on.
//!
//! Consumers ask for an epoch's end to learn whether the log they read was cut since. Kept in memory and in the
//! file `leader-epoch-checkpoint`, together with the log start offset; both can be rebuilt from the batches.
//! What always holds: epochs and start offsets grow strictly.

use super::frame::{self, FrameError};
use crate::types::{LeaderEpoch, Offset};

const MAGIC: [u8; 4] = *b"MLep";
const VERSION: u16 = 1;
/// Largest file read: a million starts of the broker.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;

/// The epochs of one log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Epochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

// === impl Epochs ===

impl Epochs {
    /// Notes that a batch of `epoch` begins at `offset`; whether that is a new epoch.
    pub(super) fn note(&mut self, epoch: LeaderEpoch, offset: Offset) -> bool {
        match self.entries.last_mut() {
            Some((latest, _)) if *latest >= epoch => false,
            // Nothing of the latest epoch is left below this offset: the new one takes its place.
            Some((latest, start)) if *start >= offset => {
                *latest = epoch;
                true
            }
            _ => {
                self.entries.push((epoch, offset));
                true
            }
        }
    }

    pub(super) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|&(epoch, _)| epoch)
    }

    /// The epoch that wrote `offset`.
    pub(super) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|&(_, start)| start <= offset);
        above.checked_sub(1).map(|index| self.entries[index].0)
    }

    /// Whether every epoch of `other` is the one that begins there or holds there: what is left of the batches after some
    /// were compacted away.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.entries.iter().all(|&(epoch, start)| self.at(start) == Some(epoch))
    }

    /// The largest epoch at or below `epoch`, and where it ends; None when `epoch` is newer than all.
    ///
    /// Source: KIP-101, KIP-320; an epoch older than all gets itself and the first start offset.
    pub(super) fn end_of(&self, epoch: LeaderEpoch, log_end_offset: Offset) -> Option<(LeaderEpoch, Offset)> {
        let above = self.entries.partition_point(|&(known, _)| known <= epoch);
        let floor = above.checked_sub(1).map(|index| self.entries[index].0);
        match (floor, self.entries.get(above)) {
            (Some(floor), Some(&(_, end))) => Some((floor, end)),
            (Some(floor), None) if floor == epoch => Some((floor, log_end_offset)),
            (None, Some(&(_, end))) => Some((epoch, end)),
            (_, None) => None,
        }
    }

    /// Forgets the epochs that end at or below `log_start_offset`; whether anything changed.
    pub(super) fn truncate_start(&mut self, log_start_offset: Offset) -> bool {
        let above = self.entries.partition_point(|&(_, start)| start <= log_start_offset);
        let Some(current) = above.checked_sub(1) else { return false };
        let moved = current > 0 || self.entries[current].1 < log_start_offset;
        self.entries.drain(..current);
        self.entries[0].1 = log_start_offset;
        moved
    }

    /// Forgets the epochs that begin at or above `log_end_offset`; whether there were any. One that was moved up
    /// to a log start at the end is kept: it is that of batches deleted since.
    pub(super) fn truncate_end(&mut self, log_end_offset: Offset, log_start_offset: Offset) -> bool {
        let keep =
            self.entries.partition_point(|&(_, start)| start < log_end_offset || start == log_start_offset);
        let dropped = keep < self.entries.len();
        self.entries.truncate(keep);
        dropped
    }

    /// The file's content.
    pub(super) fn encode(&self, log_start_offset: Offset) -> Vec<u8> {
        let mut payload = Vec::with_capacity(12 + self.entries.len() * 12);
        payload.extend_from_slice(&log_start_offset.to_be_bytes());
        let count = u32::try_from(self.entries.len()).expect("fewer epochs than i32 has values");
        payload.extend_from_slice(&count.to_be_bytes());
        for &(epoch, start) in &self.entries {
            payload.extend_from_slice(&epoch.0.to_be_bytes());
            payload.extend_from_slice(&start.to_be_bytes());
        }
        frame::encode(MAGIC, VERSION, &payload)
    }

    /// The epochs and the log start offset of a file.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, Offset), FrameError> {
        let mut fields = frame::decode(MAGIC, VERSION, bytes)?;
        let log_start_offset = fields.offset()?;
        let count = fields.u32()?;
        let mut epochs = Self::default();
        for _ in 0..count {
            let (epoch, start) = (LeaderEpoch(fields.i32()?), fields.offset()?);
            if epochs.entries.last().is_some_and(|&(last, last_start)| last >= epoch || last_start >= start) {
                return Err(FrameError::Payload);
            }
            epochs.entries.push((epoch, start));
        }
        fields.finish()?;
        Ok((epochs, log_start_offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, Offset)]) -> Epochs {
        Epochs { entries: entries.iter().map(|&(epoch, start)| (LeaderEpoch(epoch), start)).collect() }
    }

    #[test]
    fn an_epochs_end_is_where_the_next_begins() {
        let epochs = epochs(&[(2, 10), (5, 40), (6, 41)]);
        let end = |epoch| epochs.end_of(LeaderEpoch(epoch), 100).map(|(epoch, end)| (epoch.0, end));
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(end(2), Some((2, 40)));
        assert_eq!(end(3), Some((2, 40)));
        assert_eq!(end(5), Some((5, 41)));
        assert_eq!(end(6), Some((6, 100)));
        assert_eq!(end(7), None);
        assert_eq!(Epochs::default().end_of(LeaderEpoch(0), 0), None);
        assert_eq!(epochs.at(39), Some(LeaderEpoch(2)));
        assert_eq!(epochs.at(9), None);
    }

    #[test]
    fn only_a_newer_epoch_is_noted() {
        let mut noted = Epochs::default();
        assert!(noted.note(LeaderEpoch(1), 0));
        assert!(!noted.note(LeaderEpoch(1), 10));
        assert!(noted.note(LeaderEpoch(3), 20));
        assert!(!noted.note(LeaderEpoch(2), 30));
        assert!(noted.note(LeaderEpoch(4), 20));
        assert_eq!(noted, epochs(&[(1, 0), (4, 20)]));
    }

    #[test]
    fn truncation_forgets_what_is_outside_the_log() {
        let mut cut = epochs(&[(1, 0), (2, 20), (3, 50)]);
        assert!(!cut.truncate_start(0));
        assert!(cut.truncate_start(30));
        assert_eq!(cut, epochs(&[(2, 30), (3, 50)]));
        assert!(!cut.truncate_end(51, 0));
        assert!(cut.truncate_end(50, 0));
        assert_eq!(cut, epochs(&[(2, 30)]));
        assert!(!cut.truncate_end(30, 30));
        assert!(!Epochs::default().truncate_start(10));
    }

    #[test]
    fn the_file_reads_back_and_refuses_disorder() {
        let good = epochs(&[(1, 0), (2, 20)]);
        assert_eq!(Epochs::decode(&good.encode(7)), Ok((good, 7)));
        assert_eq!(Epochs::decode(&epochs(&[(2, 0), (2, 20)]).encode(0)), Err(FrameError::Payload));
        assert_eq!(Epochs::decode(&[]), Err(FrameError::Length));
    }
}
