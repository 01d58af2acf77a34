//! The log cleaner: which partition is cleaned next, and how fast.
//!
//! One cleaning at a time, in steps of about a MiB, each a job of the pool like any other. After a step the disk is left to
//! others for as long as the step took, or as long as `log.cleaner.io.max.bytes.per.second` asks. The dirtiest partition
//! comes first, before all those in which something is overdue. What a cleaning does to a log, and why a crash in the middle
//! of it harms nothing, is `log`'s to say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::core::Core;
use super::partition::Partition;
use crate::log::{CleanStep, Cleaning, LogError};
use crate::types::{TimestampMs, TopicId, TopicPartition};

/// The cleaner of a broker.
#[derive(Default)]
pub(super) struct Cleaner {
    state: Mutex<State>,
    /// When there is something to do, in milliseconds of monotonic time; far away while a job is at it.
    due: AtomicU64,
}

#[derive(Default)]
struct State {
    run: Option<Run>,
    /// Partitions that could not be cleaned, and when they are tried again.
    failed: HashMap<TopicPartition, Duration>,
    stopped: bool,
}

/// The cleaning of one partition.
struct Run {
    partition: Arc<Partition>,
    cleaning: Cleaning,
    began: Duration,
}

/// What one step reads and writes: a few milliseconds of a disk.
const STEP_BYTES: u64 = 256 << 10;
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// While a job is at work.
const NEVER: u64 = u64::MAX;
/// How long a partition is left alone whose cleaning failed: a full disk, most likely.
const FAILED_PAUSE: Duration = Duration::from_secs(60);

// === impl Cleaner ===

impl Cleaner {
    /// Starts a job if it is time.
    pub(super) fn tick(&self, core: &Arc<Core>, now: Duration) {
        let due = self.due.load(Ordering::Acquire);
        if millis(now) < due || core.is_stopping() {
            return;
        }
        if self.due.compare_exchange(due, NEVER, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let job = Arc::clone(core);
            core.pool.spawn_in_background(Box::new(move || job.cleaner.work(&job)));
        }
    }

    /// When the next step is due, in monotonic time; None while one is at work.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let due = self.due.load(Ordering::Acquire);
        (due != NEVER).then(|| Duration::from_millis(due))
    }

    /// Lets a topic go that is deleted: when this returns, nothing more is written into its directory.
    pub(super) fn forget(&self, topic: TopicId) {
        let mut state = self.state.lock();
        if state.run.as_ref().is_some_and(|run| run.partition.id().topic == topic) {
            state.run = None;
        }
        state.failed.retain(|id, _| id.topic != topic);
    }

    /// Ends the cleaner; a step at work is waited for. What it has not put in place is lost, and the next start removes it.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        state.run = None;
    }

    /// One job: chooses a partition, or goes on with the one that is being cleaned.
    fn work(&self, core: &Arc<Core>) {
        let mut state = self.state.lock();
        if state.stopped {
            return;
        }
        let settings = Arc::clone(&core.image.load().settings);
        let now = core.env.clock.monotonic();
        let backoff = settings.millis("log.cleaner.backoff.ms");
        let pause = if settings.flag("log.cleaner.enable") {
            state.step(core, now).unwrap_or(backoff)
        } else {
            if let Some(run) = state.run.take() {
                run.partition.log().abandon_cleaning(run.cleaning);
            }
            backoff
        };
        drop(state);
        // A pause of less than a millisecond would be none: that is what deadlines are counted in.
        let due = core.env.clock.monotonic().saturating_add(pause.max(PAUSE_MIN));
        self.due.store(millis(due), Ordering::Release);
        core.alarm.ring();
    }
}

// === impl State ===

impl State {
    /// Does one step; how long to wait then. None when there is nothing to clean.
    fn step(&mut self, core: &Arc<Core>, now: Duration) -> Option<Duration> {
        let now_ms = core.alarm.steady_ms(core);
        if self.run.is_none() {
            self.run = self.choose(core, now, now_ms);
        }
        let run = self.run.as_mut()?;
        let stepped = match run.partition.is_deleted() {
            true => Ok(CleanStep { bytes: 0, done: true }),
            false => run.partition.log().clean_step(&mut run.cleaning, STEP_BYTES),
        };
        let took = core.env.clock.monotonic().saturating_sub(now);
        match stepped {
            Ok(step) => {
                if step.done {
                    let run = self.run.take().expect("it was there just now");
                    run.tell(core);
                }
                Some(took.max(pace(core, step.bytes).saturating_sub(took)))
            }
            Err(error) => {
                let run = self.run.take().expect("it was there just now");
                self.fail(core, &run.partition, now, &error);
                run.partition.log().abandon_cleaning(run.cleaning);
                Some(took)
            }
        }
    }

    /// The partition that needs it most, ready to be cleaned.
    fn choose(&mut self, core: &Arc<Core>, now: Duration, now_ms: TimestampMs) -> Option<Run> {
        self.failed.retain(|_, until| *until > now);
        let image = core.image.load_full();
        let partitions = image.topics().flat_map(|topic| &topic.partitions);
        let compacted = partitions.filter(|partition| partition.log().config().compact);
        let mut chosen: Option<((bool, u32), &Arc<Partition>)> = None;
        for partition in compacted {
            if self.failed.contains_key(&partition.id()) || partition.is_deleted() {
                continue;
            }
            // `max.compaction.lag.ms` counts for the active segment too.
            let log = partition.log();
            match log.maybe_roll(now_ms).and_then(|_| log.due_for_cleaning(now_ms)) {
                Ok(Some(cleanable)) => {
                    let need = (cleanable.is_overdue, cleanable.dirty_ppm());
                    if chosen.is_none_or(|(most, _)| need > most) {
                        chosen = Some((need, partition));
                    }
                }
                Ok(None) => {}
                Err(error) => self.fail(core, partition, now, &error),
            }
        }
        let partition = Arc::clone(chosen?.1);
        let map_bytes = core.image.load().settings.count("log.cleaner.dedupe.buffer.size");
        let seed = [core.random_u64(), core.random_u64()];
        match partition.log().begin_cleaning(map_bytes, seed, now_ms) {
            Ok(cleaning) => cleaning.map(|cleaning| Run { partition, cleaning, began: now }),
            Err(error) => {
                self.fail(core, &partition, now, &error);
                None
            }
        }
    }

    fn fail(&mut self, core: &Core, partition: &Partition, now: Duration, error: &LogError) {
        match error {
            LogError::SyncFailed { .. } => core.fatal(error),
            LogError::Fenced => {}
            _ if partition.is_deleted() => {}
            _ => tracing::warn!(partition = %partition.id(), %error, "cleaning failed; it is tried again"),
        }
        self.failed.insert(partition.id(), now.saturating_add(FAILED_PAUSE));
    }
}

// === impl Run ===

impl Run {
    fn tell(&self, core: &Core) {
        let cleaned = self.cleaning.cleaned();
        let took = core.env.clock.monotonic().saturating_sub(self.began);
        tracing::info!(
            partition = %self.partition.id(),
            upto = cleaned.upto,
            bytes_before = cleaned.bytes_before,
            bytes_after = cleaned.bytes_after,
            seconds = took.as_secs_f64(),
            "cleaned"
        );
    }
}

/// The time that so many bytes should take by `log.cleaner.io.max.bytes.per.second`.
fn pace(core: &Core, bytes: u64) -> Duration {
    let rate = core.image.load().settings.number("log.cleaner.io.max.bytes.per.second");
    #[expect(clippy::cast_precision_loss, reason = "a step has a few MiB")]
    let seconds = bytes as f64 / rate;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER - 1).min(NEVER - 1)
}
