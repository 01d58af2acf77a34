//! Compaction: of each key only the newest record stays.
//!
//! ```text
//!  log start        cleaned up to                    high watermark
//!  |________________|________________________________|_____________
//!   one record a key  dirty: keys are noted in a map   not touched, nor the active segment
//!  |<------------- written anew where the map knows a newer record ---------->|
//! ```
//!
//! A [`Cleaning`] first notes the newest offset of each key of the dirty part, as much of it as its memory allows
//! (`map_keys`), then goes through all closed segments from the log start on and writes those anew that hold something
//! which may go (`rewrite`, `output`), small neighbours together. Each new segment takes the place of the old ones at once
//! and before the next is begun (`swap`). The caller makes it a step of so many bytes at a time and waits between steps as
//! long as it likes; a cleaning that is dropped in between loses work and nothing else.
//!
//! What always holds:
//! - Offsets never change, nor do the bounds of a batch of which anything is left. A batch of which nothing is goes, but
//!   for those that a producer's state remembers, so that a rebuilt state knows its retries, and for the last of a segment,
//!   so that a segment ends where the next begins and a lost end shows.
//! - A key's older record goes only when a newer one is committed in the same log; a tombstone only at its delete horizon,
//!   when everything older of its key is gone for good, a crash included: segments are replaced in their order.
//! - A segment with damage is left as it is, byte for byte, and tombstones above it stay. So does a batch that cannot be
//!   read into.
//! - How far a log is cleaned is a hint that is never too high.
//!
//! Source: Kafka's log compaction; KIP-354 for the largest lag, KIP-534 for delete horizons.

mod choose;
mod fate;
mod map_keys;
mod offset_map;
mod output;
mod progress;
mod rewrite;
mod swap;

use std::io;
use std::sync::Arc;

pub use choose::Cleanable;
pub(super) use progress::Progress;
pub(super) use swap::{Structure, finish_swap_on_disk};

use super::Log;
use super::error::LogError;
use super::segment::Segment;
use super::walk::{WINDOW_BYTES, Walk};
use crate::types::{Offset, TimestampMs};
use offset_map::OffsetMap;
use rewrite::Rewriting;

/// One cleaning of one log, in the middle of it. Belongs to the log that began it.
pub struct Cleaning {
    map: OffsetMap,
    /// Where the dirty part begins.
    first_dirty: Offset,
    /// Nothing at or above is looked at: the end of the last segment that may be cleaned.
    limit: Offset,
    /// Up to where keys are noted: this cleaning does not change anything at or above.
    mapped_to: Offset,
    now_ms: TimestampMs,
    phase: Phase,
    cleaned: Cleaned,
}

enum Phase {
    Mapping(Option<Cursor>),
    Rewriting(Box<Rewriting>),
    Done,
}

/// Where a walk that is made in steps goes on.
struct Cursor {
    segment: Arc<Segment>,
    position: u64,
    expected: Offset,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanStep {
    /// Bytes read and written.
    pub bytes: u64,
    /// Whether it was the last.
    pub done: bool,
}

/// What a cleaning has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Up to which offset the log is cleaned; known at the end.
    pub upto: Offset,
    /// Bytes of the segments that were replaced.
    pub bytes_before: u64,
    /// Bytes of those in their place.
    pub bytes_after: u64,
    /// Records without a key that were dropped: the topic was not compacted when they came.
    pub keyless_records: u64,
}

// === impl Cursor ===

impl Cursor {
    fn at_start_of(segment: &Arc<Segment>) -> Self {
        Self { segment: Arc::clone(segment), position: 0, expected: segment.base_offset }
    }

    fn walk(&self) -> Walk<'_> {
        Walk::starting_at(&self.segment, WINDOW_BYTES, self.position, self.expected)
    }
}

// === impl Cleaning ===

impl Cleaning {
    /// What it has done so far.
    #[must_use]
    pub fn cleaned(&self) -> Cleaned {
        self.cleaned
    }
}

impl std::fmt::Debug for Cleaning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cleaning")
            .field("first_dirty", &self.first_dirty)
            .field("mapped_to", &self.mapped_to)
            .finish_non_exhaustive()
    }
}

// === impl Log ===

impl Log {
    /// Begins to clean what [`Log::cleanable`] says, with a map of at most `map_bytes` whose hash has this `seed`; None when
    /// there is nothing. A swap that an earlier cleaning could not finish is finished first.
    ///
    /// # Errors
    /// As [`Log::clean_step`].
    pub fn begin_cleaning(
        &self,
        map_bytes: usize,
        seed: [u64; 2],
        now_ms: TimestampMs,
    ) -> Result<Option<Cleaning>, LogError> {
        self.finish_swap(&mut self.structure.lock())?;
        let Some(cleanable) = self.cleanable(now_ms)? else { return Ok(None) };
        let keys_max = u64::try_from(cleanable.upto - cleanable.from).unwrap_or(0);
        Ok(Some(Cleaning {
            map: OffsetMap::new(map_bytes, keys_max, seed),
            first_dirty: cleanable.from,
            limit: cleanable.upto,
            mapped_to: cleanable.from,
            now_ms,
            phase: Phase::Mapping(None),
            cleaned: Cleaned::default(),
        }))
    }

    /// Goes on with a cleaning until about `max_bytes` are read or written, or it is done.
    ///
    /// # Errors
    /// `SyncFailed` fences the log; after any other error the cleaning is of no more use and the log as it was, or cleaned in
    /// part. A full disk is one of those.
    pub fn clean_step(&self, cleaning: &mut Cleaning, max_bytes: u64) -> Result<CleanStep, LogError> {
        if self.is_fenced() {
            return Err(LogError::Fenced);
        }
        let mut bytes = 0;
        loop {
            match &mut cleaning.phase {
                Phase::Mapping(_) => {
                    let step = self.map_keys(cleaning, max_bytes - bytes);
                    bytes += step.map_err(LogError::at(self.dir()))?;
                }
                Phase::Rewriting(_) => bytes += self.rewrite(cleaning, max_bytes - bytes)?,
                Phase::Done => {}
            }
            let done = matches!(cleaning.phase, Phase::Done);
            if done || bytes >= max_bytes {
                return Ok(CleanStep { bytes, done });
            }
        }
    }

    /// Gives up a cleaning and the space that it has taken. One that is only dropped keeps it until the next.
    pub fn abandon_cleaning(&self, mut cleaning: Cleaning) {
        if let Phase::Rewriting(rewriting) = &mut cleaning.phase {
            rewriting.discard(self);
        }
    }

    /// Notes that all below `mapped_to` is cleaned.
    fn finish_cleaning(&self, cleaning: &mut Cleaning, next_horizon_ms: TimestampMs) {
        use std::sync::atomic::Ordering::Relaxed;
        cleaning.phase = Phase::Done;
        cleaning.cleaned.upto = cleaning.mapped_to;
        self.cleaned.set(cleaning.mapped_to, next_horizon_ms);
        if let Err(error) = self.write_beside(progress::NAME, &self.cleaned.encode()) {
            tracing::warn!(dir = %self.dir().display(), %error, "how far the log is cleaned was not written");
        }
        let Cleaned { bytes_before, bytes_after, keyless_records, .. } = cleaning.cleaned;
        let counters = self.resources.counters();
        counters.cleaned_bytes.fetch_add(bytes_before.saturating_sub(bytes_after), Relaxed);
        counters.keyless_records.fetch_add(keyless_records, Relaxed);
        if keyless_records > 0 {
            let dir = self.dir().display();
            tracing::warn!(%dir, keyless_records, "records without a key were dropped from a compacted log");
        }
    }
}

/// An error of a file that the cleaner reads, writes or makes.
fn failed(segment: &Arc<Segment>) -> impl FnOnce(io::Error) -> LogError {
    LogError::at(segment.log_path())
}
