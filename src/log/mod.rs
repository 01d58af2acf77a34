//! One partition's log: an ordered, durable sequence of record batches.
//!
//! ```text
//!  log_start_offset        last_stable_offset     high_watermark      log_end_offset
//!  |  committed, readable  |  open transactions   |  not yet visible  |  next offset to assign
//!
//!  segment 0        segment 1        active segment
//!  |________________|________________|______________·············|
//!   sealed, synced   sealed, synced      ^ synced    ^ appended   ^ blocks reserved ahead
//! ```
//!
//! Used by the engine, one [`Log`] per partition, all of them sharing one [`LogResources`]. Synchronous and
//! blocking: the engine calls it from threads that may wait for a disk. Methods take `&self`; writers queue at one
//! lock, readers take none that a writer holds while it waits for the disk.
//!
//! What always holds:
//! - Appending and committing are two steps: [`Log::append`] moves the log end offset, the committer syncs and
//!   moves the high watermark.
//! - Segments hold record batches byte for byte as the wire carries them and as Kafka's `.log` files do.
//! - Bytes below the log end never change in a file; a cleaned segment is a new one. Reads are slices of read-only maps
//!   and outlive deletion.
//! - All files but the segments can be rebuilt from them. A wrong index costs time, never a wrong answer.
//! - Only the active segment has un-synced bytes, at most [`UNSYNCED_BYTES_MAX`] (the engine's duty).
//! - A failed sync fences the log for good; a failed append leaves it as it was.
//! - Damage deletes nothing: its offsets are refused, all others served.
//!
//! Deliberately absent: topics, sockets, tasks and the clock (each call that needs the time is given it); any
//! cache of records (the kernel has one); truncation of what was appended.
//!
//! Where to look: `append`, `write`, `roll`, `sync` write; `read`, `lookup` read, both by `walk`; `open`, `recovery` and
//! `damage` deal with what a crash leaves; `retention` deletes, `clean` compacts; `segment` and `resources` keep maps and descriptors
//! within their budget. `docs/FORMATS.md` has every byte on disk.

mod append;
mod clean;
mod config;
mod cut;
mod damage;
mod epochs;
mod error;
mod frame;
mod index_checkpoint;
mod index_file;
mod lookup;
mod names;
mod offset_index;
mod open;
mod producer_state;
mod read;
mod recovery;
mod reload;
mod resources;
mod retention;
mod roll;
mod segment;
mod segment_index;
mod snapshot;
mod sync;
mod time_index;
mod verify;
mod walk;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

pub use append::{AppendBatch, Appended};
pub use clean::{CleanStep, Cleanable, Cleaned, Cleaning};
pub use config::LogConfig;
pub use error::{AppendError, LogError, ReadError};
pub use lookup::TimestampHit;
pub use open::{LastStop, RecoveryReport};
pub use read::{ReadOutcome, ReadRequest};
pub use resources::{LogCounters, LogLimits, LogResources};
pub use retention::Deleted;
pub use sync::{SyncTarget, SyncedUpTo};
pub use verify::{Finding, Severity, VerifyReport, verify};

use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use clean::{Progress, Structure};
use epochs::Epochs;
use segment::Segment;
use sync::Synced;
use write::Writer;

/// The most bytes a log may have un-synced, in any durability mode: within this distance recovery takes a bad
/// batch for a torn tail, beyond it for damage.
pub const UNSYNCED_BYTES_MAX: u64 = 16 << 20;

/// One partition's log. Shared by `Arc`.
pub struct Log {
    dir: Arc<Path>,
    config: ArcSwap<LogConfig>,
    resources: Arc<LogResources>,
    /// The epoch stamped into batches: that of this start of the broker.
    epoch: LeaderEpoch,
    /// In order of their base offsets; the last one is active.
    segments: ArcSwap<Vec<Arc<Segment>>>,
    log_start_offset: AtomicI64,
    log_end_offset: AtomicI64,
    high_watermark: AtomicI64,
    epochs: RwLock<Epochs>,
    /// Held by whoever removes or replaces sealed segments. Taken before `writer`, never after, so that an append does not
    /// wait for a deletion's syncs.
    structure: Mutex<Structure>,
    /// How far the log is cleaned.
    cleaned: Progress,
    /// The one lock of writers. Taken before `epochs` and `synced`, never after.
    writer: Mutex<Writer>,
    synced: Mutex<Synced>,
    /// Bytes appended since the log was opened.
    appended_bytes: AtomicU64,
    /// Whether it was a sync of this log that failed.
    fenced: AtomicBool,
}

/// A producer as a log knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownProducer {
    /// Its id.
    pub id: ProducerId,
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// The last sequence number of its last batch, if it has written any in that epoch.
    pub last_sequence: Option<i32>,
    /// The last offset of that batch.
    pub last_offset: Option<Offset>,
    /// Its largest timestamp.
    pub last_timestamp_ms: Option<TimestampMs>,
}

// === impl Log ===

impl Log {
    /// The first offset that can be read.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset.load(Ordering::Acquire)
    }

    /// The next offset to be assigned.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset.load(Ordering::Acquire)
    }

    /// The first offset that is not committed.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// The first offset of the oldest open transaction, else the high watermark. No transactions exist yet.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark()
    }

    /// Raises the high watermark to `offset`, but not above the log end offset; whether it moved.
    pub fn set_high_watermark(&self, offset: Offset) -> bool {
        let offset = offset.min(self.log_end_offset());
        self.high_watermark.fetch_max(offset, Ordering::AcqRel) < offset
    }

    /// The epoch that this log stamps.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The epoch of the newest batch.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.read().latest()
    }

    /// The epoch that wrote `offset`.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.read().at(offset)
    }

    /// The largest epoch at or below `epoch` that the log knows, and the offset where it ends; None for an epoch
    /// newer than the log's own. The log's own epoch ends at the log end, even before its first batch.
    #[must_use]
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let log_end_offset = self.log_end_offset();
        if epoch == self.epoch {
            return Some((epoch, log_end_offset));
        }
        let mut epochs = self.epochs.read().clone();
        epochs.note(self.epoch, log_end_offset);
        epochs.end_of(epoch, log_end_offset)
    }

    /// Bytes of record batches in all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments.load().iter().map(|segment| segment.size_bytes()).sum()
    }

    /// How many segments there are, the active one included.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.load().len()
    }

    /// The ranges found damaged so far, half open.
    #[must_use]
    pub fn damaged_ranges(&self) -> Vec<(Offset, Offset)> {
        let mut ranges = Vec::new();
        for segment in self.segments.load().iter() {
            ranges.extend(
                segment.damage.read().iter().map(|damage| (damage.offsets.start, damage.offsets.end)),
            );
        }
        ranges
    }

    /// The idempotent producers that are remembered, by id.
    #[must_use]
    pub fn producers(&self) -> Vec<KnownProducer> {
        let writer = self.writer.lock();
        let mut producers: Vec<KnownProducer> = writer
            .producers
            .entries
            .iter()
            .map(|(&id, state)| {
                let last = state.batches.last();
                KnownProducer {
                    id,
                    epoch: state.epoch,
                    last_sequence: last.map(|batch| batch.last_sequence),
                    last_offset: last.map(|batch| batch.last_offset),
                    last_timestamp_ms: last.map(|batch| batch.timestamp_ms),
                }
            })
            .collect();
        producers.sort_unstable_by_key(|producer| producer.id);
        producers
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    /// Changes the settings; they hold for what happens next.
    pub fn set_config(&self, config: LogConfig) {
        self.config.store(Arc::new(config));
    }

    fn index_interval_bytes(&self) -> u32 {
        self.config.load().index_interval_bytes
    }

    /// Where the log lives.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("dir", &self.dir)
            .field("log_start_offset", &self.log_start_offset())
            .field("high_watermark", &self.high_watermark())
            .field("log_end_offset", &self.log_end_offset())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
