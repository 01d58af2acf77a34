//! What of a log may be cleaned, and whether it is time.

use super::super::Log;
use super::super::error::LogError;
use super::super::walk::first_batch;
use crate::types::{Offset, TimestampMs};

/// What of a log may be cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanable {
    /// Everything below is cleaned.
    pub from: Offset,
    /// Where the last segment ends that may be.
    pub upto: Offset,
    /// Bytes of the segments that are cleaned.
    pub clean_bytes: u64,
    /// Bytes of those that are not, up to `upto`.
    pub dirty_bytes: u64,
    /// Whether `max.compaction.lag.ms` has passed for a record, or a tombstone's time has come.
    pub is_overdue: bool,
}

// === impl Cleanable ===

impl Cleanable {
    /// How much of it is dirty, in millionths.
    #[must_use]
    pub fn dirty_ppm(&self) -> u32 {
        let all = u128::from(self.clean_bytes) + u128::from(self.dirty_bytes);
        let ppm = (u128::from(self.dirty_bytes) * 1_000_000).checked_div(all).unwrap_or(0);
        u32::try_from(ppm).unwrap_or(u32::MAX)
    }
}

// === impl Log ===

impl Log {
    /// What may be cleaned now; None when nothing may, or the log is not compacted.
    ///
    /// # Errors
    /// `Io` when an index or the time of a file cannot be read.
    pub fn cleanable(&self, now_ms: TimestampMs) -> Result<Option<Cleanable>, LogError> {
        let config = self.config();
        if !config.compact || self.is_fenced() {
            return Ok(None);
        }
        let segments = self.segments.load_full();
        let log_start_offset = self.log_start_offset();
        let from = self.cleaned.upto().max(log_start_offset);
        // Transactions that are open hold the last stable offset down.
        let committed = self.last_stable_offset();
        let mut found = Cleanable { from, upto: from, clean_bytes: 0, dirty_bytes: 0, is_overdue: false };
        for segment in segments.iter().filter(|segment| segment.next_offset() > log_start_offset) {
            if !segment.is_sealed() || segment.next_offset() > committed {
                break;
            }
            if segment.next_offset() <= from {
                found.clean_bytes += segment.size_bytes();
                continue;
            }
            if config.min_compaction_lag_ms > 0
                && age_ms(self.newest_ms(segment, now_ms)?, now_ms) < config.min_compaction_lag_ms
            {
                break;
            }
            // The first batch is about the oldest. What a producer dates back is only cleaned the sooner.
            if found.dirty_bytes == 0 && config.max_compaction_lag_ms < u64::MAX {
                let first = first_batch(segment).map_err(super::failed(segment))?;
                found.is_overdue = first.is_some_and(|first| {
                    age_ms(first.header.max_timestamp, now_ms) >= config.max_compaction_lag_ms
                });
            }
            found.dirty_bytes += segment.size_bytes();
            found.upto = segment.next_offset();
        }
        found.is_overdue |= found.clean_bytes > 0 && now_ms >= self.cleaned.next_horizon_ms();
        let has_work = found.dirty_bytes > 0 || found.is_overdue;
        Ok(has_work.then_some(found))
    }

    /// What may be cleaned, if `min.cleanable.dirty.ratio` is passed or something is overdue.
    ///
    /// # Errors
    /// As [`Log::cleanable`].
    pub fn due_for_cleaning(&self, now_ms: TimestampMs) -> Result<Option<Cleanable>, LogError> {
        let min_ppm = self.config().min_cleanable_dirty_ppm;
        let cleanable = self.cleanable(now_ms)?;
        Ok(cleanable.filter(|cleanable| cleanable.is_overdue || cleanable.dirty_ppm() > min_ppm))
    }
}

fn age_ms(then_ms: TimestampMs, now_ms: TimestampMs) -> u64 {
    u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0)
}
