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

use super::super::core::{Core, OpenError};
use super::super::error::Error;
use super::{GroupCell, unavailable};
use crate::engine::frame::{self, Payload};
use crate::engine::group::{Effects, GroupRecord};
use crate::engine::state_log::{Layout, StateLog};
use crate::log::LogResources;
use crate::types::{LeaderEpoch, TimestampMs, TopicId};

/// The log and what is to be appended to it.
pub(in crate::engine) struct GroupLog {
    log: StateLog,
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

const LAYOUT: Layout = Layout {
    name: "the log of groups",
    remedy: "Restore the directory from a copy, or move it away to go on without any group's offsets",
    // Room for a group of some ten thousand members in one record.
    segment_bytes: 128 << 20,
    // One batch has not to be built of everything that waits.
    batch_bytes: 4 << 20,
};

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
        let log = StateLog::open(dir, LAYOUT, resources, epoch, clean, now_ms)?;
        Ok(Self { log, queue: Mutex::default(), snapshot_from: AtomicU64::new(SURPLUS_RECORDS) })
    }

    /// Hands every record to `apply`, oldest first; how many there were.
    pub(super) fn replay(&self, mut apply: impl FnMut(GroupRecord)) -> Result<usize, String> {
        self.log.replay(|value| {
            apply(frame::decode(Payload::GroupRecord, value)?);
            Ok(())
        })
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
        self.log.record_count() > self.snapshot_from.load(Ordering::Relaxed)
    }

    /// Appends records and syncs.
    fn append<'a>(
        &self,
        records: impl Iterator<Item = &'a GroupRecord>,
        now_ms: TimestampMs,
    ) -> Result<(), Error> {
        self.log.append(records.map(|record| frame::encode(Payload::GroupRecord, record)), now_ms)
    }

    /// Appends the whole state anew and lets go of what lies before it.
    pub(super) fn snapshot(&self, core: &Core) -> Result<(), Error> {
        let now_ms = core.env.clock.now_ms();
        let begin = self.log.log_end_offset();
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
        self.log.forget_before(begin)?;
        self.note_live(live);
        Ok(())
    }

    /// An orderly end.
    ///
    /// # Errors
    /// When the disk fails.
    pub(in crate::engine) fn close(&self, now_ms: TimestampMs) -> Result<(), Error> {
        self.log.close(now_ms)
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
