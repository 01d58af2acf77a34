//! Where a log lives under a seed: a disk that loses what was not synced, a power switch, and what was promised.
//!
//! A *life* is a log between two crashes, driven by a seed. Who lives there ([`Lives`]) says what is done in it, and
//! knows more of what must be there afterwards.

use std::path::Path;

use super::harness::*;
use crate::log::{LastStop, Log, LogConfig, LogError, LogResources, RecoveryReport, SyncedUpTo};
use crate::testing::{Rng, SimWorld};
use crate::types::{LeaderEpoch, Offset, TimestampMs};

pub(super) const DIR: &str = "/data/topic-0";

pub(super) struct Stage {
    pub(super) world: SimWorld,
    pub(super) config: LogConfig,
    pub(super) rng: Rng,
    pub(super) now_ms: TimestampMs,
    pub(super) epoch: i32,
    /// Everything below was synced.
    pub(super) acked: Offset,
    /// A deletion up to here was answered; one up to `start_max` was tried.
    pub(super) start: Offset,
    pub(super) start_max: Offset,
    /// Checkpoints that the broker wrote, of which a crash may bring back an older one.
    checkpoints: Vec<SyncedUpTo>,
}

/// A log's lives on a stage.
pub(super) trait Lives {
    fn stage(&mut self) -> &mut Stage;

    /// One step of the script; false when the log is of no more use.
    fn step(&mut self, log: &Log) -> bool;

    /// Ends the machine, or the process alone, and brings it back.
    fn crash(&mut self) {
        self.stage().power_cut();
    }

    /// Holds the recovered log against what was promised, then forgets what was lost rightly.
    fn check(&mut self, log: &Log, report: &RecoveryReport);

    /// Crashes, recovers (cutting the power during recovery as often as `cuts` says), checks.
    fn recover(&mut self, mut cuts: u64) -> Log {
        loop {
            self.crash();
            let stage = self.stage();
            if cuts > 0 {
                let call = stage.world.disk.calls() + 1 + stage.rng.below(30);
                stage.world.disk.power_cut_at(call);
                cuts -= 1;
            }
            match stage.open() {
                Ok((log, report)) if !stage.world.disk.is_off() => {
                    stage.world.disk.power_cut_at(u64::MAX);
                    self.check(&log, &report);
                    return log;
                }
                Ok(_) => {}
                Err(error) => assert!(stage.world.disk.is_off(), "{error}"),
            }
        }
    }

    /// A life: opens, works until the script ends, the power goes at `cut_at`, or the log is fenced.
    fn live(&mut self, log: Option<Log>, cut_at: Option<u64>, steps: u64) {
        if let Some(call) = cut_at {
            self.stage().world.disk.power_cut_at(call);
        }
        let Ok(log) = log.map_or_else(|| self.stage().open().map(|(log, _)| log), Ok) else { return };
        for _ in 0..steps {
            if !self.step(&log) {
                break;
            }
        }
    }

    /// Several lives with a crash at the end of each, so many calls at most after its beginning.
    fn long_life(&mut self, calls: u64, steps: u64) {
        let call = self.stage().rng.below(calls);
        self.live(None, Some(call + 1), steps);
        for _ in 0..4 {
            let cuts = self.stage().rng.below(3);
            let log = self.recover(cuts);
            let call = self.stage().next_call(calls);
            self.live(Some(log), Some(call), steps);
        }
        drop(self.recover(0));
    }

    /// After a crash at `call` of the seed's life: recovers, lives on, crashes again, recovers.
    fn live_on(&mut self, seed: u64, call: u64) {
        // What the seed decides after the crash must differ from call to call.
        self.stage().rng = Rng::new(seed ^ call.wrapping_mul(0x9e37_79b9));
        let cuts = self.stage().rng.below(4);
        let log = self.recover(cuts);
        let call = self.stage().next_call(60);
        self.live(Some(log), Some(call), 25);
        drop(self.recover(0));
    }
}

// === impl Stage ===

impl Stage {
    pub(super) fn new(seed: u64, config: LogConfig) -> Self {
        let world = SimWorld::new(seed);
        world.disk.put(Path::new("/data/elsewhere"), b"");
        Self {
            world,
            config,
            rng: Rng::new(seed),
            now_ms: NOW_MS,
            epoch: 0,
            acked: 0,
            start: 0,
            start_max: 0,
            checkpoints: Vec::new(),
        }
    }

    pub(super) fn open(&mut self) -> Result<(Log, RecoveryReport), LogError> {
        // As the engine does: a directory's own name is made durable before the log is used.
        let disk = &self.world.env.disk;
        let prepared = disk.create_dir_all(Path::new(DIR)).and_then(|()| disk.sync_dir(Path::new("/data")));
        prepared.map_err(LogError::at(DIR))?;
        self.epoch += 1;
        let newest = self.checkpoints.len();
        let pick = newest.saturating_sub(1 + usize::from(self.rng.one_in(3)));
        let synced = self.checkpoints.get(pick).copied().filter(|_| !self.rng.one_in(6));
        let last_stop = LastStop { clean: false, synced, log_start_offset: 0 };
        let resources = LogResources::new(self.world.env.clone(), LIMITS);
        Log::open(DIR.into(), self.config.clone(), resources, LeaderEpoch(self.epoch), last_stop, self.now_ms)
    }

    /// Cuts the power, and brings the machine back.
    pub(super) fn power_cut(&mut self) {
        self.world.disk.power_cut();
        let seed = self.rng.next_u64();
        self.world.disk.restart(seed);
    }

    /// One of the next so many calls of the disk.
    fn next_call(&mut self, calls: u64) -> u64 {
        self.world.disk.calls() + 1 + self.rng.below(calls)
    }

    /// Whether the log can be worked with.
    pub(super) fn is_up(&self, log: &Log) -> bool {
        !log.is_fenced() && !self.world.disk.is_off()
    }

    pub(super) fn sync(&mut self, log: &Log) {
        let end = log.log_end_offset();
        if let Ok(synced) = log.sync() {
            assert!(synced.offset >= end);
            self.commit(log, synced);
        }
    }

    pub(super) fn checkpoint(&mut self, log: &Log) {
        if let Ok(synced) = log.checkpoint(self.now_ms) {
            self.commit(log, synced);
            self.checkpoints.push(synced);
        }
    }

    fn commit(&mut self, log: &Log, synced: SyncedUpTo) {
        self.acked = self.acked.max(synced.offset);
        log.set_high_watermark(synced.offset);
    }

    /// Deletes some of the first `part`-th of the records.
    pub(super) fn delete(&mut self, log: &Log, part: u64) {
        let (start, high_watermark) = (log.log_start_offset(), log.high_watermark());
        let to = start + self.rng.below((high_watermark - start) as u64 / part + 1) as i64;
        self.start_max = self.start_max.max(to);
        if log.delete_records(to).is_ok() {
            self.start = self.start.max(to);
        }
    }

    /// Holds the ends of the recovered log against what was promised.
    pub(super) fn check_ends(&self, log: &Log, report: &RecoveryReport) {
        assert_eq!(report.damaged, [], "a crash alone damages nothing");
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        assert!(end >= self.acked, "acknowledged up to {}, recovered up to {end}", self.acked);
        assert_eq!(log.high_watermark(), end);
        assert_eq!(log.unsynced_bytes(), 0);
        let range = self.start..=self.start_max.max(self.start);
        assert!(range.contains(&start), "start {start}, deleted to {}", self.start);
    }

    /// Takes what is there for what was promised.
    pub(super) fn settle(&mut self, log: &Log) {
        let end = log.log_end_offset();
        (self.acked, self.start) = (end, log.log_start_offset());
        self.checkpoints.retain(|checkpoint| checkpoint.offset <= end);
    }
}
