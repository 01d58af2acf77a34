//! The catalog: topics, their settings, blocks of producer ids, dynamic broker settings, as records of a log.
//!
//! The log is one of our own, in a directory of its own, with the same recovery as any partition. A change is
//! appended and synced before anybody is told of it, and before the metadata image shows it. At the start the log is
//! replayed; when it holds much more than the state it comes to, a snapshot is appended as one batch and what lies
//! before it is let go.
//!
//! What always holds: a catalog that cannot be read whole stops the start, since an unreadable topic must never be
//! taken for a deleted one. Deliberately absent: any side file.

mod record;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use record::CatalogRecord;
pub(super) use state::{CatalogState, TopicState};

use super::Error;
use super::core::OpenError;
use super::state_log::{Layout, StateLog};
use crate::env::Disk;
use crate::log::LogResources;
use crate::record::batches;
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// The catalog's log, open for changes. Replayed state is handed out at the start and kept in the metadata image
/// from then on.
pub(super) struct Catalog {
    log: StateLog,
}

const LAYOUT: Layout = Layout {
    name: "the catalog of topics",
    remedy: "Restore the directory from a copy",
    // A snapshot is one batch: room for a few hundred thousand topics.
    segment_bytes: 256 << 20,
    // What is appended at once survives as a whole or not at all.
    batch_bytes: usize::MAX,
};

/// A snapshot is due when the log holds so many records more than the state needs.
const SURPLUS_RECORDS: usize = 1000;
/// The most that is read of one file of a catalog offline.
const OFFLINE_BYTES_MAX: u64 = 256 << 20;

// === impl Catalog ===

impl Catalog {
    /// Opens and replays the catalog in `dir`.
    ///
    /// # Errors
    /// `Refused` when any of it is damaged.
    pub(super) fn open(
        dir: PathBuf,
        resources: &Arc<LogResources>,
        epoch: LeaderEpoch,
        clean: bool,
        now_ms: TimestampMs,
    ) -> Result<(Self, CatalogState), OpenError> {
        let log = StateLog::open(dir, LAYOUT, resources, epoch, clean, now_ms)?;
        let mut state = CatalogState::default();
        let replayed = log.replay(|value| {
            state.apply(record::decode(value)?);
            Ok(())
        });
        let replayed = replayed.map_err(|why| log.refusal(&why))?;
        let catalog = Self { log };
        if replayed > 2 * state.record_count() + SURPLUS_RECORDS {
            catalog.snapshot(&state, now_ms).map_err(|error| catalog.log.refusal(&error.to_string()))?;
        }
        Ok((catalog, state))
    }

    /// Appends changes as one batch, so that all of them or none survive a crash, and syncs.
    ///
    /// # Errors
    /// When the disk is full or fails; the changes are then not made.
    pub(super) fn append(&self, records: &[CatalogRecord], now_ms: TimestampMs) -> Result<(), Error> {
        self.log.append(records.iter().map(record::encode), now_ms)
    }

    /// The end of what is on the disk.
    pub(super) fn log_end_offset(&self) -> Offset {
        self.log.high_watermark()
    }

    /// Whether a sync failed; see [`StateLog::is_fenced`].
    pub(super) fn is_fenced(&self) -> bool {
        self.log.is_fenced()
    }

    /// An orderly end.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn close(&self, now_ms: TimestampMs) -> Result<(), Error> {
        self.log.close(now_ms)
    }

    fn snapshot(&self, state: &CatalogState, now_ms: TimestampMs) -> Result<(), Error> {
        let begin = self.log.log_end_offset();
        self.append(&state.to_records(), now_ms)?;
        self.log.forget_before(begin)
    }
}

/// The state told by the files of a catalog that no broker uses, and what of them cannot be read.
///
/// Changes nothing; segments that lie before the log's start are read too, which a later [`CatalogRecord::Reset`] undoes.
pub(super) fn read_offline(disk: &dyn Disk, dir: &Path) -> (CatalogState, Vec<String>) {
    let (mut state, mut faults) = (CatalogState::default(), Vec::new());
    let mut names = disk.read_dir(dir).unwrap_or_default();
    names.retain(|name| name.ends_with(".log"));
    names.sort_unstable();
    for name in names {
        let read = disk.read(&dir.join(&name), OFFLINE_BYTES_MAX).map_err(|error| error.to_string());
        let batches = read.map(|bytes| batches(bytes.into()));
        // Bytes that are no batch end the segment: allocated ahead, or damage that the check of the log names.
        for batch in batches.into_iter().flatten().map_while(Result::ok) {
            for record in batch.records(OFFLINE_BYTES_MAX as usize).into_iter().flatten() {
                let decoded = record
                    .map_err(|error| error.to_string())
                    .and_then(|record| record::decode(&record.value.unwrap_or_default()));
                match decoded {
                    Ok(change) => state.apply(change),
                    Err(why) => faults.push(format!("{name}: a record cannot be read: {why}")),
                }
            }
        }
    }
    (state, faults)
}
