//! Finding records by time.

use std::io;
use std::sync::Arc;

use super::Log;
use super::error::ReadError;
use super::segment::Segment;
use super::time_index::TimeEntry;
use super::walk::{Found, Step, WINDOW_BYTES, Walk};
use crate::record::{Batch, TimestampedOffset};
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampHit {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp_ms: TimestampMs,
    /// The epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

// === impl Log ===

impl Log {
    /// The first record below `upto` whose timestamp is `timestamp_ms` or later. Damaged ranges are passed over.
    ///
    /// # Errors
    /// `Io` when the disk gives an error.
    pub fn lookup_timestamp(
        &self,
        timestamp_ms: TimestampMs,
        upto: Offset,
    ) -> Result<Option<TimestampHit>, ReadError> {
        self.retry_after_deletion(|| self.lookup_in_segments(timestamp_ms, upto))
    }

    /// The first record below `upto` that has the largest timestamp of all below `upto`.
    ///
    /// # Errors
    /// `Io` when the disk gives an error.
    pub fn max_timestamp(&self, upto: Offset) -> Result<Option<TimestampHit>, ReadError> {
        self.retry_after_deletion(|| self.max_in_segments(upto))
    }

    /// Looks again when the log start moved meanwhile: what failed was a file that is gone.
    fn retry_after_deletion<T>(&self, look: impl Fn() -> io::Result<T>) -> Result<T, ReadError> {
        loop {
            let log_start_offset = self.log_start_offset();
            match look() {
                Ok(found) => return Ok(found),
                Err(_) if self.log_start_offset() > log_start_offset => {}
                Err(error) => {
                    return Err(ReadError::Io { offset: log_start_offset, source: Arc::new(error) });
                }
            }
        }
    }

    fn lookup_in_segments(
        &self,
        timestamp_ms: TimestampMs,
        upto: Offset,
    ) -> io::Result<Option<TimestampHit>> {
        let from = self.log_start_offset();
        for segment in self.segments.load().iter() {
            if segment.next_offset() <= from || segment.base_offset >= upto {
                continue;
            }
            let largest = self.largest_timestamp(segment)?;
            if largest.is_none_or(|largest| largest.timestamp_ms < timestamp_ms) {
                continue;
            }
            let mut walk = self.walk_to_time(segment, timestamp_ms)?;
            while let Some(step) = next_batch(&mut walk)? {
                let header = &step.header;
                if header.base_offset >= upto {
                    break;
                }
                if header.max_timestamp < timestamp_ms || header.last_offset() < from {
                    continue;
                }
                let wanted = |offset, timestamp| offset >= from && offset < upto && timestamp >= timestamp_ms;
                if let Some(hit) = self.find_record(&mut walk, &step, wanted)? {
                    return Ok(Some(hit));
                }
            }
        }
        Ok(None)
    }

    /// A walk that begins behind batches of which none reaches `timestamp_ms`.
    fn walk_to_time<'a>(&self, segment: &'a Arc<Segment>, timestamp_ms: TimestampMs) -> io::Result<Walk<'a>> {
        let interval_bytes = self.index_interval_bytes();
        let below = segment.with_index(interval_bytes, |index| index.times.below(timestamp_ms))?;
        let Some(entry) = below else { return Ok(Walk::new(segment, WINDOW_BYTES)) };
        // A time index that is not true could hide records: the entry used is checked each time.
        if self.is_true_time(segment, entry)? {
            return self.walk_from(segment, entry.offset(segment.base_offset), WINDOW_BYTES);
        }
        self.rebuild_index(segment)?;
        Ok(Walk::new(segment, WINDOW_BYTES))
    }

    fn is_true_time(&self, segment: &Arc<Segment>, entry: TimeEntry) -> io::Result<bool> {
        let offset = entry.offset(segment.base_offset);
        let mut walk = self.walk_from(segment, offset, WINDOW_BYTES)?;
        while let Some(step) = next_batch(&mut walk)? {
            if step.header.last_offset() >= offset {
                return Ok(
                    step.header.last_offset() == offset && step.header.max_timestamp == entry.timestamp_ms
                );
            }
        }
        Ok(false)
    }

    /// The largest timestamp of a segment and the first batch that has it.
    pub(super) fn largest_timestamp(&self, segment: &Arc<Segment>) -> io::Result<Option<TimeEntry>> {
        if let Some(record) = segment.index_record().filter(|record| record.sealed) {
            return Ok(record.largest);
        }
        segment.with_index(self.index_interval_bytes(), |index| index.largest)
    }

    fn max_in_segments(&self, upto: Offset) -> io::Result<Option<TimestampHit>> {
        let from = self.log_start_offset();
        let mut largest: Option<(TimestampMs, Offset, Arc<Segment>)> = None;
        for segment in self.segments.load().iter() {
            if segment.next_offset() <= from || segment.base_offset >= upto {
                continue;
            }
            let whole = segment.base_offset >= from && segment.next_offset() <= upto;
            let found = if whole {
                let entry = self.largest_timestamp(segment)?;
                entry.map(|entry| (entry.timestamp_ms, entry.offset(segment.base_offset)))
            } else {
                self.largest_between(segment, from, upto)?
            };
            if let Some((timestamp_ms, offset)) = found
                && largest.as_ref().is_none_or(|(known, ..)| *known < timestamp_ms)
            {
                largest = Some((timestamp_ms, offset, Arc::clone(segment)));
            }
        }
        let Some((timestamp_ms, offset, segment)) = largest else { return Ok(None) };
        let mut walk = self.walk_from(&segment, offset, WINDOW_BYTES)?;
        while let Some(step) = next_batch(&mut walk)? {
            if step.header.last_offset() >= offset {
                let wanted = |found, timestamp| found >= from && found < upto && timestamp == timestamp_ms;
                return self.find_record(&mut walk, &step, wanted);
            }
        }
        Ok(None)
    }

    /// The largest timestamp of the batches that lie whole in `[from, upto)`, and the first such batch's last
    /// offset; for the segments that a log start or an upper bound cuts through.
    fn largest_between(
        &self,
        segment: &Arc<Segment>,
        from: Offset,
        upto: Offset,
    ) -> io::Result<Option<(TimestampMs, Offset)>> {
        let mut largest: Option<(TimestampMs, Offset)> = None;
        let mut walk = self.walk_from(segment, from, WINDOW_BYTES)?;
        while let Some(step) = next_batch(&mut walk)? {
            let header = &step.header;
            if header.next_offset() > upto {
                break;
            }
            // A batch that the log start cuts through counts: its records above the start may be the newest.
            if header.last_offset() >= from
                && header.record_count > 0
                && header.max_timestamp >= 0
                && largest.is_none_or(|(known, _)| known < header.max_timestamp)
            {
                largest = Some((header.max_timestamp, header.last_offset()));
            }
        }
        Ok(largest)
    }

    /// The first record of a batch of which `wanted(offset, timestamp)` is true.
    fn find_record(
        &self,
        walk: &mut Walk<'_>,
        step: &Step,
        wanted: impl Fn(Offset, TimestampMs) -> bool,
    ) -> io::Result<Option<TimestampHit>> {
        let Some(bytes) = walk.window().get(step.position, step.header.size_bytes())? else {
            return Ok(None);
        };
        let leader_epoch = step.header.leader_epoch;
        let limit_bytes = self.config().decompressed_bytes_max;
        let found = Batch::parse(bytes)
            .and_then(|batch| batch.find(limit_bytes, |seen| wanted(seen.offset, seen.timestamp_ms)));
        match found {
            Ok(found) => Ok(found.map(|TimestampedOffset { offset, timestamp_ms }| TimestampHit {
                offset,
                timestamp_ms,
                leader_epoch,
            })),
            // The log holds only what was validated, so this is rot; the lookup goes on behind it.
            Err(error) => {
                tracing::warn!(offset = step.header.base_offset, %error, "a batch could not be looked into");
                Ok(None)
            }
        }
    }
}

/// The next batch, damage passed over.
fn next_batch(walk: &mut Walk<'_>) -> io::Result<Option<Step>> {
    loop {
        match walk.next()? {
            Found::Batch(step) => return Ok(Some(step)),
            Found::Damaged(_) => {}
            Found::End => return Ok(None),
        }
    }
}
