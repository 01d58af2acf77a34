//! A log's lives under a seed, and the oracle that knows what was promised.
//!
//! A *life* is a log between two crashes, driven by a seed. The oracle notes what each append, sync and deletion
//! answered. After every crash: what was acknowledged is there at its offset, what is there was appended there,
//! nothing is reported damaged, retries are recognised, epochs are right.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::harness::*;
use crate::log::{
    AppendBatch, AppendError, LastStop, Log, LogConfig, LogError, LogResources, RecoveryReport, SyncedUpTo,
};
use crate::record::{Batch, BatchBuilder, Compression};
use crate::testing::{Rng, SimWorld};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

const DIR: &str = "/data/topic-0";

/// An idempotent producer's batch.
#[derive(Debug, Clone)]
pub(super) struct Sequenced {
    base_sequence: i32,
    count: i32,
    base_offset: Offset,
    value: Bytes,
}

/// What was promised, and what may be.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// Values of all records whose append was answered.
    pub(super) appended: BTreeMap<Offset, (Bytes, LeaderEpoch)>,
    /// Values of records whose append failed: each may be there all the same.
    pub(super) attempted: Vec<(Offset, Bytes, LeaderEpoch)>,
    /// Batches of the idempotent producer whose append failed.
    pub(super) sequenced_attempted: Vec<Sequenced>,
    /// Everything below was synced.
    pub(super) acked: Offset,
    /// A deletion up to here was answered; one up to `start_max` was tried.
    pub(super) start: Offset,
    pub(super) start_max: Offset,
    /// Batches of the idempotent producer in the log, oldest first.
    pub(super) sequenced: Vec<Sequenced>,
    pub(super) next_sequence: i32,
    /// Checkpoints that the broker wrote, of which a crash may bring back an older one.
    pub(super) checkpoints: Vec<SyncedUpTo>,
}

pub(super) struct Run {
    pub(super) world: SimWorld,
    pub(super) config: LogConfig,
    pub(super) oracle: Oracle,
    pub(super) rng: Rng,
    pub(super) epoch: i32,
    pub(super) serial: u64,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 9000,
        index_interval_bytes: 400,
        retention_bytes: Some(30_000),
        ..LogConfig::default()
    }
}

// === impl Run ===

impl Run {
    pub(super) fn new(seed: u64) -> Self {
        let world = SimWorld::new(seed);
        world.disk.put(Path::new("/data/elsewhere"), b"");
        Self { world, config: config(), oracle: Oracle::default(), rng: Rng::new(seed), epoch: 0, serial: 0 }
    }

    pub(super) fn open(&mut self) -> Result<(Log, RecoveryReport), LogError> {
        // As the engine does: a directory's own name is made durable before the log is used.
        let disk = &self.world.env.disk;
        let prepared = disk.create_dir_all(Path::new(DIR)).and_then(|()| disk.sync_dir(Path::new("/data")));
        prepared.map_err(LogError::at(DIR))?;
        self.epoch += 1;
        let newest = self.oracle.checkpoints.len();
        let pick = newest.saturating_sub(1 + usize::from(self.rng.one_in(3)));
        let synced = self.oracle.checkpoints.get(pick).copied().filter(|_| !self.rng.one_in(6));
        let last_stop = LastStop { clean: false, synced, log_start_offset: 0 };
        let resources = LogResources::new(self.world.env.clone(), LIMITS);
        Log::open(DIR.into(), self.config.clone(), resources, LeaderEpoch(self.epoch), last_stop, NOW_MS)
    }

    fn value(&mut self) -> Bytes {
        self.serial += 1;
        let size = match self.rng.below(10) {
            0 => 3000 + self.rng.below(4000),
            _ => self.rng.below(400),
        };
        let mut value = format!("{}:", self.serial).into_bytes();
        value.extend((0..size).map(|index| (self.serial + index) as u8 | 1));
        Bytes::from(value)
    }

    fn plain(&mut self) -> (Batch, Vec<Bytes>) {
        let mut builder = BatchBuilder::new(Compression::None);
        let values: Vec<Bytes> = (0..1 + self.rng.below(3)).map(|_| self.value()).collect();
        for value in &values {
            builder.append(NOW_MS, None, Some(value), &[]).unwrap();
        }
        (Batch::parse(builder.build()).unwrap(), values)
    }

    fn sequenced(&self, base_sequence: i32, count: i32, value: &Bytes) -> Batch {
        let mut builder =
            BatchBuilder::new(Compression::None).producer(ProducerId(7), ProducerEpoch(0), base_sequence);
        for _ in 0..count {
            builder.append(NOW_MS, None, Some(value), &[]).unwrap();
        }
        Batch::parse(builder.build()).unwrap()
    }

    /// One step of the script; false when the log is of no more use.
    pub(super) fn step(&mut self, log: &Log) -> bool {
        match self.rng.below(12) {
            0..=4 => self.append_plain(log),
            5 | 6 => self.append_sequenced(log),
            7 | 8 => self.sync(log),
            9 => self.checkpoint(log),
            10 if self.rng.one_in(3) => self.delete(log),
            10 => {
                // A read in between makes maps, whose slices the disk then watches.
                let _ = read_from(log, log.log_start_offset());
                log.allocate_ahead();
            }
            _ => {
                self.oracle.start_max = self.oracle.start_max.max(log.high_watermark());
                if let Ok(deleted) = log.retain(NOW_MS) {
                    self.oracle.start = self.oracle.start.max(deleted.log_start_offset);
                }
            }
        }
        !log.is_fenced() && !self.world.disk.is_off()
    }

    pub(super) fn append_plain(&mut self, log: &Log) {
        let made: Vec<(Batch, Vec<Bytes>)> = (0..1 + self.rng.below(3)).map(|_| self.plain()).collect();
        let batches = made
            .iter()
            .map(|(batch, _)| AppendBatch { batch: batch.clone(), stamp_append_time: None })
            .collect();
        let mut next_offset = log.log_end_offset();
        for (outcome, (_, values)) in log.append(batches, NOW_MS).into_iter().zip(&made) {
            let base_offset = next_offset;
            // The one refusal of a single batch; the batches behind it move up.
            if matches!(outcome, Err(AppendError::LargerThanSegment { .. })) {
                continue;
            }
            next_offset += values.len() as i64;
            for (offset, value) in (base_offset..).zip(values) {
                self.oracle.attempted.push((offset, value.clone(), LeaderEpoch(self.epoch)));
            }
            if let Ok(appended) = outcome {
                assert_eq!(appended.last_offset - appended.base_offset, values.len() as i64 - 1);
                for (index, value) in values.iter().enumerate() {
                    let offset = appended.base_offset + index as i64;
                    self.oracle.appended.insert(offset, (value.clone(), LeaderEpoch(self.epoch)));
                }
            }
        }
    }

    fn append_sequenced(&mut self, log: &Log) {
        if self.rng.one_in(3)
            && let Some(last) = self.oracle.sequenced.last().cloned()
        {
            let again = append(log, self.sequenced(last.base_sequence, last.count, &last.value));
            if let Ok(appended) = again {
                assert!(
                    appended.duplicate && appended.base_offset == last.base_offset,
                    "{appended:?} {last:?}"
                );
            }
            return;
        }
        let (base_sequence, count) = (self.oracle.next_sequence, 1 + self.rng.below(3) as i32);
        let value = self.value();
        let base_offset = log.log_end_offset();
        for offset in base_offset..base_offset + i64::from(count) {
            self.oracle.attempted.push((offset, value.clone(), LeaderEpoch(self.epoch)));
        }
        let attempt = Sequenced { base_sequence, count, base_offset, value: value.clone() };
        match append(log, self.sequenced(base_sequence, count, &value)) {
            Ok(appended) => {
                assert!(!appended.duplicate);
                for offset in appended.base_offset..=appended.last_offset {
                    self.oracle.appended.insert(offset, (value.clone(), LeaderEpoch(self.epoch)));
                }
                let base_offset = appended.base_offset;
                self.oracle.sequenced.push(Sequenced { base_sequence, count, base_offset, value });
                self.oracle.next_sequence += count;
            }
            Err(
                error @ (AppendError::OutOfOrderSequence { .. } | AppendError::StaleProducerEpoch { .. }),
            ) => {
                panic!("a producer that does all right was refused: {error}; {:?}", log.producers())
            }
            Err(_) => self.oracle.sequenced_attempted.push(attempt),
        }
    }

    pub(super) fn sync(&mut self, log: &Log) {
        let end = log.log_end_offset();
        if let Ok(synced) = log.sync() {
            assert!(synced.offset >= end);
            self.oracle.acked = self.oracle.acked.max(synced.offset);
            log.set_high_watermark(synced.offset);
        }
    }

    fn checkpoint(&mut self, log: &Log) {
        if let Ok(synced) = log.checkpoint(NOW_MS) {
            self.oracle.acked = self.oracle.acked.max(synced.offset);
            log.set_high_watermark(synced.offset);
            self.oracle.checkpoints.push(synced);
        }
    }

    fn delete(&mut self, log: &Log) {
        let (start, high_watermark) = (log.log_start_offset(), log.high_watermark());
        let to = start + self.rng.below((high_watermark - start) as u64 + 1) as i64;
        self.oracle.start_max = self.oracle.start_max.max(to);
        if log.delete_records(to).is_ok() {
            self.oracle.start = self.oracle.start.max(to);
        }
    }

    /// Holds the recovered log against the oracle, then forgets what was lost rightly.
    pub(super) fn check(&mut self, log: &Log, report: &RecoveryReport) {
        assert_eq!(report.damaged, [], "a crash alone damages nothing");
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        assert!(end >= self.oracle.acked, "acknowledged up to {}, recovered up to {end}", self.oracle.acked);
        assert_eq!(log.high_watermark(), end);
        assert_eq!(log.unsynced_bytes(), 0);
        let oldest = self.oracle.start;
        assert!(
            (oldest..=self.oracle.start_max.max(oldest)).contains(&start),
            "start {start}, deleted to {oldest}"
        );
        let found = records(log);
        assert_eq!(
            found.iter().map(|(offset, _)| *offset).filter(|offset| *offset >= start).count() as i64,
            end - start
        );
        for (offset, value) in &found {
            let answered = self.oracle.appended.get(offset);
            let epoch = match answered {
                Some((expected, epoch)) if expected == value => *epoch,
                _ => {
                    assert!(
                        *offset >= self.oracle.acked,
                        "another value at the acknowledged offset {offset}"
                    );
                    let attempts = &self.oracle.attempted;
                    let attempt = attempts.iter().find(|(at, tried, _)| at == offset && tried == value);
                    attempt
                        .unwrap_or_else(|| panic!("a value at offset {offset} that nobody appended there"))
                        .2
                }
            };
            if *offset >= start {
                assert_eq!(log.epoch_at(*offset), Some(epoch), "epoch at {offset}");
            }
            self.oracle.appended.insert(*offset, (value.clone(), epoch));
        }
        self.check_lookups(log, start, end);
        self.oracle.appended.split_off(&end);
        self.oracle.acked = end;
        self.oracle.start = start;
        self.oracle.checkpoints.retain(|checkpoint| checkpoint.offset <= end);
        while self.oracle.sequenced.last().is_some_and(|last| last.base_offset >= end) {
            let lost = self.oracle.sequenced.pop().unwrap();
            self.oracle.next_sequence = lost.base_sequence;
        }
        // What failed to be answered may be there: the producer's next retry will be told so.
        for attempt in std::mem::take(&mut self.oracle.sequenced_attempted) {
            if found.contains(&(attempt.base_offset, attempt.value.clone())) {
                self.oracle.next_sequence = attempt.base_sequence + attempt.count;
                self.oracle.sequenced.push(attempt);
            }
        }
        self.oracle.attempted.clear();
        // A batch from before the log start may be forgotten; a newer one may not.
        self.oracle.sequenced.retain(|batch| batch.base_offset >= start);
        if let Some(last) = self.oracle.sequenced.last().cloned() {
            let again = append(log, self.sequenced(last.base_sequence, last.count, &last.value)).unwrap();
            assert!(again.duplicate && again.base_offset == last.base_offset, "{again:?} {last:?}");
        }
    }

    fn check_lookups(&mut self, log: &Log, start: Offset, end: Offset) {
        if start < end {
            let hit = log.lookup_timestamp(NOW_MS, end).unwrap().expect("a record of that time");
            assert_eq!(hit.offset, start);
            assert_eq!(log.max_timestamp(end).unwrap().map(|hit| hit.offset), Some(start));
        }
        for _ in 0..5 {
            let from = start + self.rng.below((end - start) as u64 + 1) as i64;
            let outcome = read_from(log, from).unwrap();
            assert!(from == end || (outcome.first_offset <= from && outcome.next_offset > from));
        }
    }

    /// Brings the machine back, recovers (cutting the power during recovery as often as `cuts` says), checks.
    pub(super) fn recover(&mut self, mut cuts: u64) -> Log {
        loop {
            self.world.disk.power_cut();
            let seed = self.rng.next_u64();
            self.world.disk.restart(seed);
            if cuts > 0 {
                let call = self.world.disk.calls() + 1 + self.rng.below(30);
                self.world.disk.power_cut_at(call);
                cuts -= 1;
            }
            match self.open() {
                Ok((log, report)) if !self.world.disk.is_off() => {
                    self.world.disk.power_cut_at(u64::MAX);
                    self.check(&log, &report);
                    return log;
                }
                Ok(_) => {}
                Err(error) => assert!(self.world.disk.is_off(), "{error}"),
            }
        }
    }

    /// A life: opens, works until the script ends, the power goes at `cut_at`, or the log is fenced.
    pub(super) fn live(&mut self, log: Option<Log>, cut_at: Option<u64>, steps: u64) {
        if let Some(call) = cut_at {
            self.world.disk.power_cut_at(call);
        }
        let Ok(log) = log.map_or_else(|| self.open().map(|(log, _)| log), Ok) else { return };
        for _ in 0..steps {
            if !self.step(&log) {
                break;
            }
        }
    }
}
