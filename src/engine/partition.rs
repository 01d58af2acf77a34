//! A partition: its log, the batches queued for it, and what its topic's settings make of them.
//!
//! Batches are queued by network threads and appended by one pool job at a time, which takes all that is queued and
//! writes it with one call. So there is no thread or task per partition, appends keep the order in which they were
//! queued, and a stuck disk holds up this partition alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::Error;
use super::config::TopicSettings;
use super::core::{Core, Key};
use crate::log::{AppendBatch, Log};
use crate::record::{Batch, TimestampType};
use crate::types::{BrokerId, LeaderEpoch, Offset, TimestampMs, TopicPartition};

/// One partition that this broker leads.
pub(super) struct Partition {
    id: TopicPartition,
    leader: BrokerId,
    log: Log,
    settings: ArcSwap<TopicSettings>,
    queue: Mutex<AppendQueue>,
    /// Where the partition stands with the committer, see [`super::commit`].
    pub(super) commit_state: AtomicU8,
    /// Whether the topic is deleted: nothing is appended any more, and waiting requests are told.
    deleted: AtomicBool,
    /// Whether anything changed since the last checkpoint.
    pub(super) dirty: AtomicBool,
    hot: Hot,
}

#[derive(Default)]
struct AppendQueue {
    jobs: VecDeque<AppendJob>,
    /// Whether a pool job is at work on the queue or about to be.
    draining: bool,
}

/// One batch to append.
pub(super) struct AppendJob {
    pub(super) batch: Batch,
    /// Told once, from the pool.
    pub(super) done: Box<dyn FnOnce(Result<Placed, Error>) + Send>,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) base_offset: Offset,
    pub(super) last_offset: Offset,
    pub(super) log_append_time_ms: Option<TimestampMs>,
    pub(super) log_start_offset: Offset,
}

/// From which offset on the log is surely in the page cache: what was appended lately.
#[derive(Default)]
struct Hot {
    from: AtomicI64,
    appended_bytes: AtomicUsize,
    marks: Mutex<VecDeque<(usize, Offset)>>,
}

/// What one call of the log takes at most: enough for full vectored writes, not so much that the first waits long
/// for the last.
const DRAIN_BATCHES_MAX: usize = 256;
const DRAIN_BYTES_MAX: usize = 8 << 20;
/// The engine never leaves more than this un-synced in a partition (rule R1 of recovery counts on it).
const UNSYNCED_BYTES_MAX: u64 = 16 << 20;
/// How much of the end of the log counts as hot.
const HOT_BYTES: usize = 64 << 20;
/// One mark for so many bytes.
const MARK_BYTES: usize = 4 << 20;

// === impl Partition ===

impl Partition {
    pub(super) fn new(
        id: TopicPartition,
        leader: BrokerId,
        log: Log,
        settings: Arc<TopicSettings>,
    ) -> Arc<Self> {
        let hot = Hot { from: AtomicI64::new(log.log_end_offset()), ..Hot::default() };
        Arc::new(Self {
            id,
            leader,
            log,
            settings: ArcSwap::new(settings),
            queue: Mutex::default(),
            commit_state: AtomicU8::new(0),
            deleted: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            hot,
        })
    }

    pub(super) fn id(&self) -> TopicPartition {
        self.id
    }

    pub(super) fn leader(&self) -> BrokerId {
        self.leader
    }

    pub(super) fn leader_epoch(&self) -> LeaderEpoch {
        self.log.leader_epoch()
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn settings(&self) -> Arc<TopicSettings> {
        self.settings.load_full()
    }

    pub(super) fn set_settings(&self, settings: Arc<TopicSettings>) {
        self.log.set_config(settings.log.clone());
        self.settings.store(settings);
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(super) fn set_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// Whether a read from `offset` will find its bytes in the page cache.
    pub(super) fn is_hot(&self, offset: Offset) -> bool {
        offset >= self.hot.from.load(Ordering::Relaxed)
    }

    /// What a deleted topic's waiters are told.
    pub(super) fn gone(&self) -> Error {
        Error::UnknownTopicOrPartition { topic: self.id.to_string() }
    }

    /// Queues a batch; its place among others is fixed when this returns.
    pub(super) fn enqueue(self: &Arc<Self>, core: &Arc<Core>, job: AppendJob) {
        let start = {
            let mut queue = self.queue.lock();
            queue.jobs.push_back(job);
            !std::mem::replace(&mut queue.draining, true)
        };
        if start {
            let (partition, core) = (Arc::clone(self), Arc::clone(core));
            core.pool.clone().spawn(Box::new(move || partition.drain(&core)));
        }
    }

    /// Appends what is queued until nothing is; then syncs on the same thread, if nobody else does. If other jobs wait,
    /// batches for other partitions most likely, the sync comes after them and covers what they append too.
    fn drain(self: &Arc<Self>, core: &Arc<Core>) {
        while let Some(jobs) = self.take_queued() {
            self.append(core, jobs);
            // More came meanwhile: it is appended here while another thread syncs what is.
            if !self.queue.lock().jobs.is_empty() {
                core.committer.start(core);
            }
        }
        if core.pool.has_waiting() {
            core.committer.start(core);
        } else {
            core.committer.help(core);
        }
    }

    fn take_queued(&self) -> Option<Vec<AppendJob>> {
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        let mut count = 0;
        for job in queue.jobs.iter().take(DRAIN_BATCHES_MAX) {
            bytes += job.batch.bytes().len();
            if count > 0 && bytes > DRAIN_BYTES_MAX {
                break;
            }
            count += 1;
        }
        if count == 0 {
            queue.draining = false;
            return None;
        }
        Some(queue.jobs.drain(..count).collect())
    }

    fn append(self: &Arc<Self>, core: &Arc<Core>, jobs: Vec<AppendJob>) {
        let bytes: usize = jobs.iter().map(|job| job.batch.bytes().len()).sum();
        let outcomes: Vec<Result<Placed, Error>> = if self.is_deleted() {
            jobs.iter().map(|_| Err(self.gone())).collect()
        } else {
            self.append_to_log(core, &jobs)
        };
        core.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        // Before anybody is told: whoever waits for the commit finds it under way.
        if outcomes.iter().any(Result::is_ok) {
            self.hot.appended(bytes, self.log.log_end_offset());
            self.dirty.store(true, Ordering::Release);
            core.committer.submit(self, core);
        }
        let refused = outcomes.iter().any(Result::is_err);
        let first = outcomes.iter().flatten().map(|placed| placed.last_offset).min();
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            (job.done)(outcome);
        }
        // Who was told the last thing it waited for just now may stand in the purgatory still. A commit to come takes
        // it out; where none will come, or it came before, that is done here.
        if refused || first.is_some_and(|first| self.log.high_watermark() > first) {
            core.purgatory.check(&Key::HighWatermark(self.id));
        }
    }

    fn append_to_log(&self, core: &Arc<Core>, jobs: &[AppendJob]) -> Vec<Result<Placed, Error>> {
        if self.log.unsynced_bytes() >= UNSYNCED_BYTES_MAX
            && let Err(error) = self.log.sync()
        {
            core.fatal(&error);
        }
        let now_ms = core.env.clock.now_ms();
        let append_time = self.settings.load().rules.timestamp_type == TimestampType::LogAppendTime;
        let batches = jobs
            .iter()
            .map(|job| AppendBatch {
                batch: job.batch.clone(),
                stamp_append_time: append_time.then_some(now_ms),
            })
            .collect();
        let log_start_offset = self.log.log_start_offset();
        let appended = self.log.append(batches, now_ms).into_iter().map(|outcome| {
            // A roll syncs what it seals.
            let outcome = outcome.inspect_err(|error| core.check_fence(self.log.is_fenced(), error));
            outcome.map_err(Error::from).map(|appended| Placed {
                base_offset: appended.base_offset,
                last_offset: appended.last_offset,
                log_append_time_ms: appended.log_append_time_ms,
                log_start_offset,
            })
        });
        appended.collect()
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partition({})", self.id)
    }
}

// === impl Hot ===

impl Hot {
    fn appended(&self, bytes: usize, log_end_offset: Offset) {
        let total = self.appended_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut marks = self.marks.lock();
        if marks.back().is_none_or(|(at, _)| total - at >= MARK_BYTES) {
            marks.push_back((total, log_end_offset));
        }
        while let Some(&(at, offset)) = marks.front() {
            if total - at < HOT_BYTES {
                break;
            }
            self.from.store(offset, Ordering::Relaxed);
            marks.pop_front();
        }
    }
}
