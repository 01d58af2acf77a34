//! A log of the broker's own state, replayed at the start: what the catalog and the log of groups have in common.
//!
//! It is a [`Log`] as any partition has, in a directory of its own and with the same recovery; its records have no keys, and
//! values whose meaning is their owner's. What always holds: what [`StateLog::append`] has returned from is on the disk,
//! and a log that cannot be read whole is refused, since what is missing must never be taken for what is gone.
//!
//! Deliberately absent: a checkpoint and any other side file. All of the log is scanned after a crash; its owner keeps it small
//! by appending its whole state anew from time to time and letting go of what lies before ([`StateLog::forget_before`]).

use std::path::PathBuf;
use std::sync::Arc;

use super::Error;
use super::core::OpenError;
use crate::log::{AppendBatch, LastStop, Log, LogConfig, LogResources, ReadRequest};
use crate::record::{Batch, BatchBuilder, Compression, batches};
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// A log of the broker's own state, open for changes.
pub(super) struct StateLog {
    log: Log,
    layout: Layout,
    shown: String,
}

/// What such logs differ in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// As errors call it.
    pub(super) name: &'static str,
    /// What to do when it is damaged.
    pub(super) remedy: &'static str,
    /// A batch has to fit a segment.
    pub(super) segment_bytes: u32,
    /// A batch is closed when it has grown to this. All records of a batch survive a crash, or none.
    pub(super) batch_bytes: usize,
}

const READ_BYTES: usize = 1 << 20;

// === impl StateLog ===

impl StateLog {
    /// Opens the log in `dir`; what is in it is told by [`Self::replay`].
    ///
    /// # Errors
    /// `Refused` when any of it is damaged; `Disk` when that fails.
    pub(super) fn open(
        dir: PathBuf,
        layout: Layout,
        resources: &Arc<LogResources>,
        epoch: LeaderEpoch,
        clean: bool,
        now_ms: TimestampMs,
    ) -> Result<Self, OpenError> {
        let config = LogConfig {
            segment_bytes: layout.segment_bytes,
            segment_ms: u64::MAX,
            retention_ms: None,
            retention_bytes: None,
            ..LogConfig::default()
        };
        let shown = dir.display().to_string();
        let last_stop = LastStop { clean, synced: None, log_start_offset: 0 };
        let (log, report) = Log::open(dir, config, Arc::clone(resources), epoch, last_stop, now_ms)?;
        let state_log = Self { log, layout, shown };
        match report.damaged.first() {
            None => Ok(state_log),
            Some((from, to)) => Err(state_log.refusal(&format!("records {from} to {to} cannot be read"))),
        }
    }

    /// The error of a start that this log ends, `why` being what is wrong with it.
    pub(super) fn refusal(&self, why: &str) -> OpenError {
        let Layout { name, remedy, .. } = self.layout;
        OpenError::Refused {
            dir: self.shown.clone(),
            why: format!("{name} is damaged: {why}; nothing was changed. {remedy}"),
        }
    }

    /// Hands the value of every record to `apply`, oldest first; how many there were.
    ///
    /// # Errors
    /// What is wrong with which record.
    pub(super) fn replay(&self, mut apply: impl FnMut(&[u8]) -> Result<(), String>) -> Result<usize, String> {
        let mut replayed = 0;
        let mut from = self.log.log_start_offset();
        let end = self.log.log_end_offset();
        while from < end {
            let request =
                ReadRequest { from, upto: end, max_bytes: READ_BYTES, at_least_one: true, verify_crc: true };
            let read = self.log.read(request).map_err(|error| error.to_string())?;
            if read.next_offset <= from {
                return Err(format!("record {from} is missing"));
            }
            for batch in read.records.into_iter().flat_map(batches) {
                let batch = batch.map_err(|error| error.to_string())?;
                let records =
                    batch.records(self.layout.segment_bytes as usize).map_err(|error| error.to_string())?;
                for record in records {
                    let record = record.map_err(|error| error.to_string())?;
                    apply(&record.value.unwrap_or_default())
                        .map_err(|why| format!("record {}: {why}", record.offset))?;
                    replayed += 1;
                }
            }
            from = read.next_offset;
        }
        Ok(replayed)
    }

    /// Appends values as records and syncs.
    ///
    /// # Errors
    /// When the disk is full or fails. Of values that are too many for one batch some may be kept nevertheless.
    pub(super) fn append(
        &self,
        values: impl IntoIterator<Item = Vec<u8>>,
        now_ms: TimestampMs,
    ) -> Result<(), Error> {
        let mut builder = BatchBuilder::new(Compression::None);
        let mut size_bytes = 0;
        for value in values {
            size_bytes += value.len();
            builder.append(now_ms, None, Some(&value), &[])?;
            if size_bytes >= self.layout.batch_bytes {
                let full = std::mem::replace(&mut builder, BatchBuilder::new(Compression::None));
                self.append_batch(full, now_ms)?;
                size_bytes = 0;
            }
        }
        if size_bytes > 0 {
            self.append_batch(builder, now_ms)?;
        }
        let synced = self.log.sync()?;
        self.log.set_high_watermark(synced.offset);
        Ok(())
    }

    fn append_batch(&self, mut builder: BatchBuilder, now_ms: TimestampMs) -> Result<(), Error> {
        let batch = Batch::parse(builder.build())?;
        let mut outcomes = self.log.append(vec![AppendBatch { batch, stamp_append_time: None }], now_ms);
        outcomes.pop().expect("one batch has one outcome")?;
        Ok(())
    }

    /// Lets go of the records below `offset`, which what came since stands for.
    ///
    /// # Errors
    /// When the disk fails; the records are then still there, which does no harm.
    pub(super) fn forget_before(&self, offset: Offset) -> Result<(), Error> {
        self.log.delete_records(offset)?;
        Ok(())
    }

    /// Has the room ready that the next appends will need.
    pub(super) fn allocate_ahead(&self) {
        self.log.allocate_ahead();
    }

    /// The end of what is appended.
    pub(super) fn log_end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// The end of what is on the disk.
    pub(super) fn high_watermark(&self) -> Offset {
        self.log.high_watermark()
    }

    /// How many records it holds.
    pub(super) fn record_count(&self) -> u64 {
        u64::try_from(self.log.log_end_offset() - self.log.log_start_offset()).unwrap_or(0)
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
}
