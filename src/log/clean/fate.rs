//! What a cleaning does with one batch: which of its records stay, and what is left of it then.

use std::cell::Cell;
use std::collections::HashSet;

use bytes::Bytes;

use super::super::Log;
use super::Cleaning;
use crate::record::{Batch, Remains};
use crate::types::{Offset, ProducerId, TimestampMs};

/// What becomes of a batch.
pub(super) enum Fate {
    Stays,
    Becomes(Bytes),
    Goes,
}

/// What was learned of the segments that are done.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Whether one of them, or a batch in one, was left as it is: it may hold any key, so no tombstone above goes.
    pub(super) left_some: bool,
    /// The earliest time at which a tombstone may go.
    pub(super) next_horizon_ms: TimestampMs,
}

/// The batches that the producers' states spoke of when the cleaning began, by producer and base offset. Only batches that
/// are appended later come to them.
pub(super) type Remembered = HashSet<(ProducerId, Offset)>;

// === impl Log ===

impl Log {
    /// What becomes of a batch, and how many records without a key go with it; what it says of tombstones is noted.
    pub(super) fn fate(
        &self,
        cleaning: &Cleaning,
        known: &mut Known,
        remembered: &Remembered,
        batch: &Batch,
    ) -> (Fate, u64) {
        let header = batch.header();
        if header.is_control() || header.base_offset >= cleaning.mapped_to {
            return (Fate::Stays, 0);
        }
        let config = self.config();
        let horizon_ms = cleaning
            .now_ms
            .saturating_add(TimestampMs::try_from(config.delete_retention_ms).unwrap_or(TimestampMs::MAX));
        let tombstones_go =
            header.has_delete_horizon() && cleaning.now_ms >= header.base_timestamp && !known.left_some;
        let (has_tombstone, keyless) = (Cell::new(false), Cell::new(0u64));
        let remains = batch.retain(config.decompressed_bytes_max, horizon_ms, |record| {
            let Some(key) = record.key else {
                keyless.set(keyless.get() + 1);
                return false;
            };
            let is_newest = cleaning.map.newest(key).is_none_or(|newest| newest <= record.offset);
            let stays = is_newest && !(record.is_tombstone && tombstones_go);
            has_tombstone.set(has_tombstone.get() || stays && record.is_tombstone);
            stays
        });
        let remains = match remains {
            Ok(remains) => remains,
            Err(error) => {
                tracing::warn!(offset = header.base_offset, %error, "a batch that cannot be looked into stays");
                known.left_some = true;
                return (Fate::Stays, 0);
            }
        };
        if has_tombstone.get() && !known.left_some {
            let due_ms = if header.has_delete_horizon() { header.base_timestamp } else { horizon_ms };
            known.next_horizon_ms = known.next_horizon_ms.min(due_ms);
        }
        match remains {
            Remains::All => (Fate::Stays, 0),
            // Each record was asked for twice.
            Remains::Some(left) => (Fate::Becomes(left), keyless.get() / 2),
            Remains::Nothing => {
                let is_remembered =
                    header.producer().is_some_and(|(id, _)| remembered.contains(&(id, header.base_offset)));
                let fate = match (is_remembered, header.record_count) {
                    (false, _) => Fate::Goes,
                    (true, 0) => Fate::Stays,
                    (true, _) => Fate::Becomes(batch.emptied()),
                };
                (fate, keyless.get())
            }
        }
    }
}
