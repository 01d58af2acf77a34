//! Commit: what makes an append durable, and moves the high watermark.
//!
//! A partition with uncommitted bytes stands in the queue once. [`SYNC_JOBS`] pool jobs take a partition each, note its
//! log end offset, sync, move the high watermark, and queue it again if more has come meanwhile. When the queue is longer,
//! one job takes all of it and syncs the file system as a whole, which costs less than syncing file by file
//! (`cargo bench --bench commit` measures both; docs/decisions/0006 says why there are no rounds). A sync that takes long
//! does not count as one of the jobs, so a stuck file delays itself only.
//!
//! What always holds: the high watermark moves only here; what arrives while a sync runs is covered by the next
//! one; a failed sync is final: nothing it covered is acknowledged, and the broker ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use super::core::{Core, Key};
use super::partition::Partition;
use crate::types::Offset;

/// What commits an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitSink {
    /// The append itself: the record is in the page cache (`write.caching=true`). Synced in the background.
    Immediate,
    /// A sync, shared with all that wait for one.
    GroupFsync,
}

/// The queue of partitions to be synced.
#[derive(Default)]
pub(super) struct Committer {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    partitions: VecDeque<Arc<Partition>>,
    /// When each job began what it is at, in monotonic time.
    jobs: [Option<Duration>; SYNC_JOBS_MAX],
    /// Syncs of the whole file system are left alone until then, in monotonic time.
    sync_all_from: Duration,
    /// How long they are the next time that one turns out slow.
    sync_all_pause: Duration,
}

/// What one job does next.
enum Work {
    One(Arc<Partition>),
    Many(Vec<Arc<Partition>>),
}

/// Two syncs at a time keep the disk busy. What waits for them is covered by one sync of the file system together, so
/// more of them would only cost more.
const SYNC_JOBS: usize = 2;
/// A sync that takes longer than this is stuck, and another job may begin in its place.
const STUCK: Duration = Duration::from_millis(20);
/// With so many stuck, the disk is, and more threads would not help.
const SYNC_JOBS_MAX: usize = 16;
/// From this many waiting partitions on, one sync of the file system is cheaper than syncing each file. Measured:
/// with 4 dirty files 0.25 ms against 0.5 ms in turn, with 16 0.5 ms against 2 ms, with 1,000 18 ms against 150 ms.
const SYNC_ALL_FROM: usize = 4;
/// A sync of the file system also writes what other programs have left there. One that takes so much time for each
/// partition is not asked for again for a while, which doubles each time.
const SYNC_ALL_SLOW: Duration = Duration::from_millis(5);
const SYNC_ALL_PAUSE_MIN: Duration = Duration::from_secs(1);
const SYNC_ALL_PAUSE_MAX: Duration = Duration::from_secs(60);
/// A topic with write caching is synced in the background after so many bytes, well below what recovery allows for.
const BACKGROUND_SYNC_BYTES: u64 = 8 << 20;

/// The states of a partition in [`Partition::commit_state`].
mod state {
    /// Nothing to sync that is not known.
    pub(super) const IDLE: u8 = 0;
    /// In the queue.
    pub(super) const QUEUED: u8 = 1;
    /// Being synced.
    pub(super) const SYNCING: u8 = 2;
    /// Being synced, and more has come: back into the queue afterwards.
    pub(super) const SYNCING_DIRTY: u8 = 3;
}

// === impl Committer ===

impl Committer {
    /// Commits what was appended to `partition`, now or by and by as its settings say.
    pub(super) fn submit(&self, partition: &Arc<Partition>, core: &Arc<Core>) {
        match partition.sink() {
            CommitSink::GroupFsync => self.enqueue(partition),
            CommitSink::Immediate => {
                on_committed(partition, partition.log().log_end_offset(), core);
                if partition.log().unsynced_bytes() >= BACKGROUND_SYNC_BYTES {
                    self.enqueue(partition);
                }
            }
        }
    }

    /// Queues `partition` to be synced, whatever its sink. Nobody is at work on the queue until [`Self::start`] or
    /// [`Self::help`] is called.
    pub(super) fn enqueue(&self, partition: &Arc<Partition>) {
        let moved =
            partition.commit_state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
                state::IDLE => Some(state::QUEUED),
                state::SYNCING => Some(state::SYNCING_DIRTY),
                _ => None,
            });
        if moved == Ok(state::IDLE) {
            self.queue.lock().partitions.push_back(Arc::clone(partition));
        }
    }

    /// Has a pool job sync what waits, unless enough others are at it.
    pub(super) fn start(&self, core: &Arc<Core>) {
        if let Some(job) = self.enter(core) {
            let core = Arc::clone(core);
            core.pool.clone().spawn(Box::new(move || core.committer.run(job, &core)));
        }
    }

    /// Syncs what waits on the calling pool thread, unless enough others are at it: one hand-over less.
    pub(super) fn help(&self, core: &Arc<Core>) {
        if let Some(job) = self.enter(core) {
            self.run(job, core);
        }
    }

    /// The number of a job that should be run now, if one should.
    fn enter(&self, core: &Core) -> Option<usize> {
        let mut queue = self.queue.lock();
        if queue.partitions.is_empty() {
            return None;
        }
        let now = core.env.clock.monotonic();
        let brisk = queue.jobs.iter().flatten().filter(|&&began| now.saturating_sub(began) < STUCK).count();
        if brisk >= SYNC_JOBS {
            return None;
        }
        let free = queue.jobs.iter().position(Option::is_none)?;
        queue.jobs[free] = Some(now);
        Some(free)
    }

    /// One job: syncs until the queue is empty.
    fn run(&self, job: usize, core: &Arc<Core>) {
        while let Some(work) = self.take(job, core) {
            match work {
                Work::One(partition) => sync_one(&partition, core),
                Work::Many(partitions) => {
                    let began = core.env.clock.monotonic();
                    sync_many(&partitions, core);
                    let now = core.env.clock.monotonic();
                    self.note_sync_of_all(partitions.len(), now.saturating_sub(began), now);
                }
            }
        }
    }

    fn take(&self, job: usize, core: &Core) -> Option<Work> {
        let mut queue = self.queue.lock();
        let now = core.env.clock.monotonic();
        if queue.partitions.len() >= SYNC_ALL_FROM && now >= queue.sync_all_from {
            queue.jobs[job] = Some(now);
            return Some(Work::Many(queue.partitions.drain(..).collect()));
        }
        let partition = queue.partitions.pop_front();
        queue.jobs[job] = partition.is_some().then_some(now);
        partition.map(Work::One)
    }

    /// Decides from how long a sync of the file system took whether there should be another one soon.
    fn note_sync_of_all(&self, partitions: usize, took: Duration, now: Duration) {
        let mut queue = self.queue.lock();
        if took < SYNC_ALL_SLOW * u32::try_from(partitions).unwrap_or(u32::MAX) {
            queue.sync_all_pause = SYNC_ALL_PAUSE_MIN;
            return;
        }
        let pause = queue.sync_all_pause.max(SYNC_ALL_PAUSE_MIN);
        queue.sync_all_from = now + pause;
        queue.sync_all_pause = (pause * 2).min(SYNC_ALL_PAUSE_MAX);
    }
}

fn sync_one(partition: &Arc<Partition>, core: &Arc<Core>) {
    partition.commit_state.store(state::SYNCING, Ordering::Release);
    match partition.log().sync() {
        Ok(synced) => {
            on_committed(partition, synced.offset, core);
            partition.log().allocate_ahead();
        }
        Err(error) => {
            core.fatal(&error);
            core.purgatory.check(&Key::HighWatermark(partition.id()));
        }
    }
    finish(partition, core);
}

fn sync_many(partitions: &[Arc<Partition>], core: &Arc<Core>) {
    let targets: Vec<_> = partitions
        .iter()
        .map(|partition| {
            partition.commit_state.store(state::SYNCING, Ordering::Release);
            partition.log().sync_target()
        })
        .collect();
    match core.env.disk.sync_file_system(&core.data_dir) {
        Ok(()) => {
            for (partition, target) in partitions.iter().zip(targets) {
                let synced = match target {
                    Some(target) => partition.log().mark_synced(&target),
                    None => partition.log().synced_up_to(),
                };
                on_committed(partition, synced.offset, core);
                if partition.log().is_fenced() {
                    // Another sync failed meanwhile: this one proves nothing, and who waits is told.
                    core.purgatory.check(&Key::HighWatermark(partition.id()));
                }
            }
            partitions.iter().for_each(|partition| partition.log().allocate_ahead());
        }
        Err(error) => {
            // Which of the files lost something is not known, so all of them count.
            partitions.iter().for_each(|partition| partition.log().fence());
            core.fatal(&error);
            for partition in partitions {
                core.purgatory.check(&Key::HighWatermark(partition.id()));
            }
        }
    }
    partitions.iter().for_each(|partition| finish(partition, core));
}

fn finish(partition: &Arc<Partition>, core: &Arc<Core>) {
    let more = partition.commit_state.compare_exchange(
        state::SYNCING,
        state::IDLE,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    if more.is_err() {
        partition.commit_state.store(state::IDLE, Ordering::Release);
        if !partition.log().is_fenced() {
            core.committer.enqueue(partition);
        }
    }
}

/// Everything below `offset` is committed: moves the high watermark and tells who waits for it.
fn on_committed(partition: &Arc<Partition>, offset: Offset, core: &Arc<Core>) {
    if partition.log().set_high_watermark(offset) {
        core.purgatory.check(&Key::HighWatermark(partition.id()));
    }
}

// === impl Partition ===

impl Partition {
    /// What commits appends to this partition.
    pub(super) fn sink(&self) -> CommitSink {
        if self.settings().write_caching { CommitSink::Immediate } else { CommitSink::GroupFsync }
    }
}
