//! What happens by the clock: waiting requests expire, segments roll and go, logs are cleaned, the checkpoint is written.
//!
//! One thread sleeps until something is due. It never touches the disk itself: what does is a job of the pool, one at
//! a time, so that deadlines are met on a slow disk too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::checkpoint::entry;
use super::core::{Core, Key};
use super::partition::Partition;
use super::steady::SteadyTime;
use crate::log::LogError;
use crate::types::TimestampMs;

/// Wakes the timer thread, and knows when the regular work is due.
#[derive(Default)]
pub(super) struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
    /// Milliseconds of monotonic time.
    checkpoint_due: AtomicU64,
    retention_due: AtomicU64,
    groups_due: AtomicU64,
    /// Whether a job is at it.
    working: AtomicBool,
    /// The time by which records are deleted.
    steady: Mutex<SteadyTime>,
}

/// How much recovery may have to scan, in time; also how long a topic with write caching may stay un-synced.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(3);

/// Starts the timer thread, which ends when the engine stops.
pub(super) fn spawn_timer(core: Arc<Core>) -> std::thread::JoinHandle<()> {
    let run = move || {
        while !core.is_stopping() {
            tick(&core);
            let now = core.env.clock.monotonic();
            let due = [Some(core.alarm.due()), core.purgatory.next_deadline(), core.cleaner.next_due()];
            let due = due.into_iter().flatten().min();
            core.alarm.sleep(due.map_or(CHECKPOINT_INTERVAL, |due| due.saturating_sub(now)));
        }
    };
    std::thread::Builder::new()
        .name("timer".into())
        .stack_size(256 << 10)
        .spawn(run)
        .expect("the system gives a thread at the start")
}

/// Does what is due.
pub(super) fn tick(core: &Arc<Core>) {
    let now = core.env.clock.monotonic();
    core.purgatory.advance(now);
    // What was queued behind syncs that have become stuck since.
    core.committer.start(core);
    core.cleaner.tick(core, now);
    core.maybe_show_topics_to_groups();
    let retention = core.image.load().settings.millis("log.retention.check.interval.ms");
    let retain = core.alarm.is_due(&core.alarm.retention_due, now, retention);
    let checkpoint = core.alarm.is_due(&core.alarm.checkpoint_due, now, CHECKPOINT_INTERVAL);
    let groups = core.image.load().settings.millis("offsets.retention.check.interval.ms");
    let tidy = core.alarm.is_due(&core.alarm.groups_due, now, groups);
    if (retain || checkpoint || tidy) && !core.alarm.working.swap(true, Ordering::AcqRel) {
        let job = Arc::clone(core);
        core.pool.spawn(Box::new(move || {
            work(&job, retain, tidy);
            job.alarm.working.store(false, Ordering::Release);
        }));
    }
}

fn work(core: &Arc<Core>, retain: bool, tidy: bool) {
    let image = core.image.load_full();
    let now_ms = core.alarm.steady_ms(core);
    if tidy {
        core.tidy_groups(now_ms);
    }
    let partitions: Vec<&Arc<Partition>> = image.topics().flat_map(|topic| &topic.partitions).collect();
    if retain {
        for partition in &partitions {
            let before = partition.log().log_start_offset();
            if let Err(error) =
                partition.log().maybe_roll(now_ms).and_then(|_| partition.log().retain(now_ms))
            {
                complain(core, partition, &error);
            }
            if partition.log().log_start_offset() != before {
                partition.dirty.store(true, Ordering::Release);
                core.purgatory.check(&Key::HighWatermark(partition.id()));
            }
        }
    }
    let mut changed = false;
    for partition in &partitions {
        if core.is_stopping() {
            return;
        }
        if partition.dirty.swap(false, Ordering::AcqRel) {
            changed = true;
            if let Err(error) = partition.log().checkpoint(now_ms) {
                partition.dirty.store(true, Ordering::Release);
                complain(core, partition, &error);
            }
        }
    }
    if changed {
        let entries =
            partitions.iter().map(|partition| entry(partition, partition.log().synced_up_to())).collect();
        if let Err(error) = core.checkpoint.write(&core.env, &entries) {
            // Recovery scans more; nothing is lost.
            tracing::warn!(%error, "the checkpoint could not be written");
        }
    }
}

fn complain(core: &Core, partition: &Partition, error: &LogError) {
    match error {
        LogError::SyncFailed { .. } => core.fatal(error),
        // Of a log that is gone with its topic, or was fenced before: that was said then.
        LogError::Fenced => {}
        _ if partition.is_deleted() => {}
        _ => tracing::warn!(partition = %partition.id(), %error, "maintenance failed; it is tried again"),
    }
}

// === impl Alarm ===

impl Alarm {
    /// Wakes the timer thread.
    pub(super) fn ring(&self) {
        *self.rung.lock() = true;
        self.bell.notify_one();
    }

    /// The wall time by which records are deleted.
    pub(super) fn steady_ms(&self, core: &Core) -> TimestampMs {
        self.steady.lock().now_ms(core.env.clock.now_ms(), core.env.clock.monotonic())
    }

    fn sleep(&self, at_most: Duration) {
        let mut rung = self.rung.lock();
        if !*rung {
            self.bell.wait_for(&mut rung, at_most);
        }
        *rung = false;
    }

    fn due(&self) -> Duration {
        let due = [&self.checkpoint_due, &self.retention_due, &self.groups_due];
        Duration::from_millis(due.map(|due| due.load(Ordering::Relaxed)).into_iter().min().unwrap_or(0))
    }

    /// Whether it is time; then the next time is set. The first look only sets it.
    fn is_due(&self, due: &AtomicU64, now: Duration, interval: Duration) -> bool {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let at = due.load(Ordering::Relaxed);
        if now < at {
            return false;
        }
        due.store(
            now.saturating_add(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)),
            Ordering::Relaxed,
        );
        at > 0
    }
}
