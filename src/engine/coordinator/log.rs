//! The log of groups: what is left to be kept becomes batches, synced, and then the answers are given.
//!
//! One pool job at a time takes all that has been queued, appends it as one batch and syncs. What comes meanwhile is in the
//! next batch: the more there is to do, the more shares a sync. When the log has grown well beyond what it stands for, the
//! same job appends everything anew and lets go of what lies before (a snapshot; since each record is the whole value of
//! its key, one that a crash cuts short does no harm).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::super::catalog::{decode_frame, encode_frame};
use super::super::core::{Core, OpenError};
use super::super::error::Error;
use super::{GroupCell, unavailable};
use crate::engine::group::{Effects, GroupRecord};
use crate::log::{AppendBatch, LastStop, Log, LogConfig, LogResources, ReadRequest};
use crate::record::{Batch, BatchBuilder, Compression, batches};
use crate::types::{LeaderEpoch, Offset, TimestampMs, TopicId};

/// The log and what is to be appended to it.
pub(in crate::engine) struct GroupLog {
    log: Log,
    queue: Mutex<Queue>,
    /// A snapshot is due when the log holds so many records.
    snapshot_from: AtomicU64,
}

#[derive(Default)]
struct Queue {
    entries: Vec<Entry>,
    /// Whether a job is at it, or about to be.
    running: bool,
}

/// What one change of a group left.
pub(super) struct Entry {
    pub(super) cell: Arc<GroupCell>,
    pub(super) effects: Effects,
}

/// The kind of frame that holds a record of a group.
const KIND_GROUP: u8 = 4;
/// Room for a group of some ten thousand members in one record; a batch has to fit a segment.
const SEGMENT_BYTES: u32 = 128 << 20;
/// A batch is closed when it has grown to this, so that one has not to be built of everything that waits.
const BATCH_BYTES: usize = 4 << 20;
const READ_BYTES: usize = 4 << 20;
/// A snapshot is due when the log holds twice the records that its state needs and so many more.
const SURPLUS_RECORDS: u64 = 100_000;

// === impl GroupLog ===

impl GroupLog {
    /// Opens the log in `dir`; what is in it is replayed later, see [`Self::replay`].
    ///
    /// # Errors
    /// `Refused` when any of it is damaged.
    pub(in crate::engine) fn open(
        dir: PathBuf,
        resources: &Arc<LogResources>,
        epoch: LeaderEpoch,
        clean: bool,
        now_ms: TimestampMs,
    ) -> Result<Self, OpenError> {
        let config = LogConfig {
            segment_bytes: SEGMENT_BYTES,
            segment_ms: u64::MAX,
            retention_ms: None,
            retention_bytes: None,
            ..LogConfig::default()
        };
        let shown = dir.display().to_string();
        // Without a checkpoint of its own all of it is scanned after a crash; snapshots keep it small.
        let last_stop = LastStop { clean, synced: None, log_start_offset: 0 };
        let (log, report) = Log::open(dir, config, Arc::clone(resources), epoch, last_stop, now_ms)?;
        if let Some((from, to)) = report.damaged.first() {
            return Err(OpenError::Refused {
                dir: shown,
                why: format!(
                    "the log of groups is damaged: records {from} to {to} cannot be read; nothing was changed. Restore \
                     the directory from a copy, or move it away to go on without any group's offsets"
                ),
            });
        }
        Ok(Self { log, queue: Mutex::default(), snapshot_from: AtomicU64::new(SURPLUS_RECORDS) })
    }

    /// Hands every record to `apply`, oldest first; how many there were.
    pub(super) fn replay(&self, mut apply: impl FnMut(GroupRecord)) -> Result<u64, String> {
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
                for record in batch.records(SEGMENT_BYTES as usize).map_err(|error| error.to_string())? {
                    let record = record.map_err(|error| error.to_string())?;
                    let decoded = decode_frame(KIND_GROUP, &record.value.unwrap_or_default());
                    apply(decoded.map_err(|why| format!("record {}: {why}", record.offset))?);
                    replayed += 1;
                }
            }
            from = read.next_offset;
        }
        Ok(replayed)
    }

    /// Queues what a change left. The caller holds the group's lock, so that the order is that of its changes, and then
    /// calls [`Self::start`].
    pub(super) fn queue(&self, entry: Entry) {
        self.queue.lock().entries.push(entry);
    }

    /// Has a pool job append what is queued, unless one is at it.
    pub(super) fn start(&self, core: &Arc<Core>) {
        {
            let mut queue = self.queue.lock();
            if queue.running || queue.entries.is_empty() {
                return;
            }
            queue.running = true;
        }
        let core = Arc::clone(core);
        core.pool.clone().spawn(Box::new(move || run(&core)));
    }

    /// How many records the log needs for a state of `live` records before a snapshot is due.
    pub(super) fn note_live(&self, live: u64) {
        self.snapshot_from.store(2 * live + SURPLUS_RECORDS, Ordering::Relaxed);
    }

    pub(super) fn wants_snapshot(&self) -> bool {
        let records = self.log.log_end_offset() - self.log.log_start_offset();
        u64::try_from(records).unwrap_or(0) > self.snapshot_from.load(Ordering::Relaxed)
    }

    /// Appends records and syncs.
    fn append<'a>(
        &self,
        records: impl Iterator<Item = &'a GroupRecord>,
        now_ms: TimestampMs,
    ) -> Result<(), Error> {
        let mut builder = BatchBuilder::new(Compression::None);
        let mut size_bytes = 0;
        for record in records {
            let value = encode_frame(KIND_GROUP, record);
            size_bytes += value.len();
            builder.append(now_ms, None, Some(&value), &[])?;
            if size_bytes >= BATCH_BYTES {
                self.append_batch(
                    std::mem::replace(&mut builder, BatchBuilder::new(Compression::None)),
                    now_ms,
                )?;
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

    /// Appends the whole state anew and lets go of what lies before it.
    pub(super) fn snapshot(&self, core: &Core) -> Result<(), Error> {
        let now_ms = core.env.clock.now_ms();
        let begin: Offset = self.log.log_end_offset();
        let mut live = 0;
        let mut records = Vec::new();
        for cell in core.coordinator.cells() {
            records.extend(cell.to_records());
            if records.len() >= SNAPSHOT_CHUNK {
                live += records.len() as u64;
                self.append(records.iter(), now_ms)?;
                records.clear();
            }
        }
        live += records.len() as u64;
        self.append(records.iter(), now_ms)?;
        self.log.delete_records(begin)?;
        self.note_live(live);
        Ok(())
    }

    /// An orderly end.
    ///
    /// # Errors
    /// When the disk fails.
    pub(in crate::engine) fn close(&self, now_ms: TimestampMs) -> Result<(), Error> {
        self.log.close_clean(now_ms)?;
        Ok(())
    }
}

/// So many records of a snapshot are in memory at a time, beside those of one group.
const SNAPSHOT_CHUNK: usize = 10_000;

/// The job: until nothing is queued any more.
fn run(core: &Arc<Core>) {
    let log = &core.coordinator.log;
    loop {
        let entries = {
            let mut queue = log.queue.lock();
            queue.running = !queue.entries.is_empty();
            if !queue.running {
                return;
            }
            std::mem::take(&mut queue.entries)
        };
        let records = || entries.iter().flat_map(|entry| &entry.effects.records);
        let kept = if records().next().is_none() {
            Ok(())
        } else {
            let appended = log.append(records(), core.env.clock.now_ms());
            appended.map_err(|error| {
                core.check_fence(log.log.is_fenced(), &error);
                unavailable(&error.to_string())
            })
        };
        for entry in entries {
            let Entry { cell, effects } = entry;
            let mut group = cell.group.lock();
            group.in_flight -= 1;
            let mut after = Effects::default();
            match &kept {
                Ok(()) => group.apply_offsets(effects.records),
                Err(_) => {
                    let now = core.env.clock.monotonic();
                    group.kind.not_kept(&effects.records, &core.coordinator.classic, now, &mut after);
                }
            }
            core.settle(&cell, group, after);
            for answer in effects.answers {
                answer(kept.clone());
            }
        }
        log.log.allocate_ahead();
        if log.wants_snapshot()
            && let Err(error) = log.snapshot(core)
        {
            core.check_fence(log.log.is_fenced(), &error);
            // It is tried again when much more has come.
            log.note_live(log.snapshot_from.load(Ordering::Relaxed));
            tracing::warn!(%error, "the log of groups could not be made smaller");
        }
    }
}

// === impl GroupCell ===

impl GroupCell {
    /// All that has to be kept of the group.
    fn to_records(&self) -> Vec<GroupRecord> {
        let group = self.group.lock();
        let mut records = if group.removed { Vec::new() } else { group.kind.to_records(&self.id) };
        records.extend(group.offsets.to_records(&self.id));
        records
    }
}

// === impl Group ===

impl super::Group {
    /// Takes in the offsets among what was kept.
    fn apply_offsets(&mut self, records: Vec<GroupRecord>) {
        for record in records {
            match record {
                GroupRecord::Offset { topic, partition, committed, .. } => {
                    self.offsets.apply(TopicId(topic), partition, committed);
                }
                GroupRecord::Gone { .. } => self.offsets.clear(),
                GroupRecord::Classic { .. } | GroupRecord::Consumer { .. } => {}
            }
        }
    }
}
