//! The catalog: topics, their settings, blocks of producer ids, dynamic broker settings, as records of a log.
//!
//! The log is one of our own, in a directory of its own, with the same recovery as any partition. A change is
//! appended and synced before anybody is told of it, and before the metadata image shows it. At the start the log is
//! replayed; when it holds much more than the state it comes to, a snapshot is appended as one batch and what lies
//! before it is let go.
//!
//! What always holds: a catalog that cannot be read whole stops the start, since an unreadable topic must never be
//! taken for a deleted one. Deliberately absent: any side file.

mod codec;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use codec::{CatalogRecord, decode_frame, encode_frame};
pub(super) use state::{CatalogState, TopicState};

use super::Error;
use super::core::OpenError;
use crate::env::Disk;
use crate::log::{AppendBatch, LastStop, Log, LogConfig, LogResources, ReadRequest};
use crate::record::{Batch, BatchBuilder, Compression, batches};
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// The catalog's log, open for changes. Replayed state is handed out at the start and kept in the metadata image
/// from then on.
pub(super) struct Catalog {
    log: Log,
}

/// A snapshot is due when the log holds so many records more than the state needs.
const SURPLUS_RECORDS: usize = 1000;
/// The most that is read of one file of a catalog offline.
const OFFLINE_BYTES_MAX: u64 = 256 << 20;
/// A snapshot is one batch, and a batch has to fit a segment: room for a few hundred thousand topics.
const SEGMENT_BYTES: u32 = 256 << 20;
const READ_BYTES: usize = 1 << 20;

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
        let config = LogConfig {
            segment_bytes: SEGMENT_BYTES,
            segment_ms: u64::MAX,
            retention_ms: None,
            retention_bytes: None,
            ..LogConfig::default()
        };
        let shown = dir.display().to_string();
        let refuse = |why: String| OpenError::Refused {
            dir: shown.clone(),
            why: format!(
                "the catalog of topics is damaged: {why}; nothing was changed. Restore the directory from a copy"
            ),
        };
        // Without a checkpoint of its own all of it is scanned after a crash; it is small.
        let last_stop = LastStop { clean, synced: None, log_start_offset: 0 };
        let (log, report) = Log::open(dir, config, Arc::clone(resources), epoch, last_stop, now_ms)?;
        if let Some((from, to)) = report.damaged.first() {
            return Err(refuse(format!("records {from} to {to} cannot be read")));
        }
        let (state, replayed) = replay(&log).map_err(refuse)?;
        let catalog = Self { log };
        if replayed > 2 * state.record_count() + SURPLUS_RECORDS {
            catalog.snapshot(&state, now_ms).map_err(|error| refuse(error.to_string()))?;
        }
        Ok((catalog, state))
    }

    /// Appends changes as one batch, so that all of them or none survive a crash, and syncs.
    ///
    /// # Errors
    /// When the disk is full or fails; the changes are then not made.
    pub(super) fn append(&self, records: &[CatalogRecord], now_ms: TimestampMs) -> Result<(), Error> {
        let mut builder = BatchBuilder::new(Compression::None);
        for record in records {
            builder.append(now_ms, None, Some(&codec::encode(record)), &[])?;
        }
        let batch = Batch::parse(builder.build())?;
        let mut outcomes = self.log.append(vec![AppendBatch { batch, stamp_append_time: None }], now_ms);
        outcomes.pop().expect("one batch has one outcome")?;
        let synced = self.log.sync()?;
        self.log.set_high_watermark(synced.offset);
        Ok(())
    }

    /// The end of what is on the disk.
    pub(super) fn log_end_offset(&self) -> Offset {
        self.log.high_watermark()
    }

    /// Whether a sync failed. Nothing can be appended any more, and whether the last change is on the disk is not known.
    pub(super) fn is_fenced(&self) -> bool {
        self.log.is_fenced()
    }

    /// An orderly end.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn close(&self, now_ms: TimestampMs) -> Result<(), Error> {
        self.log.close_clean(now_ms)?;
        Ok(())
    }

    fn snapshot(&self, state: &CatalogState, now_ms: TimestampMs) -> Result<(), Error> {
        let begin = self.log.log_end_offset();
        self.append(&state.to_records(), now_ms)?;
        self.log.delete_records(begin)?;
        Ok(())
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
                    .and_then(|record| codec::decode(&record.value.unwrap_or_default()));
                match decoded {
                    Ok(change) => state.apply(change),
                    Err(why) => faults.push(format!("{name}: a record cannot be read: {why}")),
                }
            }
        }
    }
    (state, faults)
}

fn replay(log: &Log) -> Result<(CatalogState, usize), String> {
    let mut state = CatalogState::default();
    let mut replayed = 0;
    let mut from = log.log_start_offset();
    let end = log.log_end_offset();
    while from < end {
        let request =
            ReadRequest { from, upto: end, max_bytes: READ_BYTES, at_least_one: true, verify_crc: true };
        let read = log.read(request).map_err(|error| error.to_string())?;
        if read.next_offset <= from {
            return Err(format!("record {from} is missing"));
        }
        for batch in read.records.into_iter().flat_map(batches) {
            let batch = batch.map_err(|error| error.to_string())?;
            for record in batch.records(SEGMENT_BYTES as usize).map_err(|error| error.to_string())? {
                let record = record.map_err(|error| error.to_string())?;
                let value = record.value.unwrap_or_default();
                let change =
                    codec::decode(&value).map_err(|why| format!("record {}: {why}", record.offset))?;
                state.apply(change);
                replayed += 1;
            }
        }
        from = read.next_offset;
    }
    Ok((state, replayed))
}
