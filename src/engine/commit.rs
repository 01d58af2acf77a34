//! Commit: what makes an append durable, and moves the high watermark.
//!
//! A partition with uncommitted bytes stands in the queue once. Up to [`SYNC_JOBS_MAX`] pool jobs take a partition
//! each, note its log end offset, sync, move the high watermark, and queue it again if more has come meanwhile. When
//! the queue is long, one job takes all of it and syncs the file system as a whole, which costs less than syncing
//! file by file (`cargo bench --bench commit` measures both; docs/decisions/0006 says why there are no rounds).
//!
//! What always holds: the high watermark moves only here; what arrives while a sync runs is covered by the next
//! one; a failed sync is final: nothing it covered is acknowledged, and the broker ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
    jobs: usize,
}

/// What one job does next.
enum Work {
    One(Arc<Partition>),
    Many(Vec<Arc<Partition>>),
}

/// More parallel syncs than this bring nothing: the file system's journal is one.
const SYNC_JOBS_MAX: usize = 16;
/// From this many waiting partitions on, one sync of the file system is cheaper than syncing each file. Measured:
/// with 16 dirty files 0.5 ms against 0.9 ms in parallel, with 1,000 18 ms against 37 ms.
const SYNC_ALL_FROM: usize = 12;
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

    /// Has a pool job sync what waits, if there is more than others are at.
    pub(super) fn start(&self, core: &Arc<Core>) {
        if self.enter() {
            let core = Arc::clone(core);
            core.pool.clone().spawn(Box::new(move || core.committer.run(&core)));
        }
    }

    /// Syncs what waits on the calling pool thread, if there is more than others are at: one hand-over less.
    pub(super) fn help(&self, core: &Arc<Core>) {
        if self.enter() {
            self.run(core);
        }
    }

    fn enter(&self) -> bool {
        let mut queue = self.queue.lock();
        let enter = !queue.partitions.is_empty() && queue.jobs < SYNC_JOBS_MAX;
        queue.jobs += usize::from(enter);
        enter
    }

    /// One job: syncs until the queue is empty.
    fn run(&self, core: &Arc<Core>) {
        while let Some(work) = self.take() {
            match work {
                Work::One(partition) => sync_one(&partition, core),
                Work::Many(partitions) => sync_many(&partitions, core),
            }
        }
    }

    fn take(&self) -> Option<Work> {
        let mut queue = self.queue.lock();
        if queue.partitions.len() >= SYNC_ALL_FROM {
            return Some(Work::Many(queue.partitions.drain(..).collect()));
        }
        match queue.partitions.pop_front() {
            Some(partition) => Some(Work::One(partition)),
            None => {
                queue.jobs -= 1;
                None
            }
        }
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
