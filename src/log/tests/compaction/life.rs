//! A compacted log's lives under a seed, and the oracle of every record ever appended.
//!
//! After every step and every crash: what is there is what was appended at that offset; of each key, the newest committed
//! record is there, unless it is a tombstone past its time, and then nothing older is; retries are known; whatever is read
//! leads to the end.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::keyed::{RETENTION_MS, compacted, keyed, keyed_batch, try_keyed};
use crate::log::tests::harness::*;
use crate::log::{
    LastStop, Log, LogConfig, LogError, LogResources, RecoveryReport, Severity, SyncedUpTo, verify,
};
use crate::record::{Batch, BatchBuilder, Compression};
use crate::testing::{Rng, SimWorld};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

const DIR: &str = "/data/topic-0";
const TIMES: u64 = 100_000;

type Value = Option<Bytes>;

/// A batch of the idempotent producer.
#[derive(Clone)]
struct Sequenced {
    base_offset: Offset,
    batch: Batch,
}

pub(super) struct Run {
    pub(super) world: SimWorld,
    /// How many keys there are: few, or more than the smallest map takes.
    keys: u64,
    config: LogConfig,
    pub(super) rng: Rng,
    now_ms: TimestampMs,
    epoch: i32,
    serial: u64,
    /// Every record whose append was answered or that was found after a crash.
    appended: BTreeMap<Offset, (String, Value)>,
    /// Records whose append may have failed: each may be there, from the committed end on.
    attempted: Vec<(Offset, String, Value)>,
    /// Everything below was committed.
    acked: Offset,
    /// A deletion up to here was answered; one up to `start_max` was tried.
    start: Offset,
    start_max: Offset,
    /// When a cleaning may first have seen the tombstone at an offset.
    horizon_from: BTreeMap<Offset, TimestampMs>,
    checkpoints: Vec<SyncedUpTo>,
    sequenced: Vec<Sequenced>,
    next_sequence: i32,
    pub(super) cleanings: u64,
}

// === impl Run ===

impl Run {
    pub(super) fn new(seed: u64) -> Self {
        let world = SimWorld::new(seed);
        world.disk.put(Path::new("/data/elsewhere"), b"");
        Self {
            world,
            keys: if seed % 4 == 3 { 90 } else { 9 },
            config: LogConfig { segment_bytes: 1500, ..compacted() },
            rng: Rng::new(seed),
            now_ms: NOW_MS,
            epoch: 0,
            serial: 0,
            appended: BTreeMap::new(),
            attempted: Vec::new(),
            acked: 0,
            start: 0,
            start_max: 0,
            horizon_from: BTreeMap::new(),
            checkpoints: Vec::new(),
            sequenced: Vec::new(),
            next_sequence: 0,
            cleanings: 0,
        }
    }

    fn open(&mut self) -> Result<(Log, RecoveryReport), LogError> {
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

    fn records(&mut self) -> Vec<(String, Value)> {
        let count = 1 + self.rng.below(4);
        (0..count)
            .map(|_| {
                self.serial += 1;
                let key = format!("key-{}", self.rng.below(self.keys));
                let tombstone = self.rng.one_in(4);
                let size = self.rng.below(200) as usize;
                (key, (!tombstone).then(|| Bytes::from(format!("{}:{}", self.serial, "v".repeat(size)))))
            })
            .collect()
    }

    fn batch(&mut self, builder: &mut BatchBuilder, records: &[(String, Value)]) -> Batch {
        // Producers' clocks say what they like: the newest record need not have the largest time.
        let time_ms = NOW_MS + self.rng.below(TIMES) as i64;
        let texts: Vec<(&str, Option<&str>)> = records
            .iter()
            .map(|(key, value)| (&**key, value.as_ref().map(|value| std::str::from_utf8(value).unwrap())))
            .collect();
        keyed_batch(builder, time_ms, &texts)
    }

    fn append(&mut self, log: &Log) {
        let records = self.records();
        let codec = Compression::ALL[self.rng.below(5) as usize];
        let mut builder = BatchBuilder::new(codec);
        let is_sequenced = self.rng.one_in(3);
        if is_sequenced {
            builder.set_producer(ProducerId(7), ProducerEpoch(0), self.next_sequence);
        }
        let batch = self.batch(&mut builder, &records);
        let base_offset = log.log_end_offset();
        for (offset, (key, value)) in (base_offset..).zip(&records) {
            self.attempted.push((offset, key.clone(), value.clone()));
        }
        let sequenced = Sequenced { base_offset, batch: batch.clone() };
        let count = records.len() as i32;
        match append_at(log, batch, self.now_ms) {
            Ok(appended) => {
                assert!(!appended.duplicate && appended.base_offset == base_offset);
                self.appended.extend((base_offset..).zip(records));
                if is_sequenced {
                    self.sequenced.push(sequenced);
                    self.next_sequence += count;
                }
            }
            // Found or not after the restart; the model's producer begins anew then.
            Err(_) if is_sequenced => self.next_sequence = -1,
            Err(_) => {}
        }
        if self.next_sequence < 0 {
            self.world.disk.power_cut();
        }
    }

    /// Sends one of the last batches again.
    fn retry(&mut self, log: &Log) {
        let last = self.sequenced.len();
        let Some(at) = last.checked_sub(1 + self.rng.below(5) as usize) else { return };
        let Sequenced { base_offset, batch } = self.sequenced[at].clone();
        if let Ok(again) = append(log, batch) {
            assert!(again.duplicate, "retry {} of {last} was written again at {again:?}", at + 1);
            assert_eq!(again.base_offset, base_offset);
        }
    }

    pub(super) fn sync(&mut self, log: &Log) {
        if let Ok(synced) = log.sync() {
            self.acked = self.acked.max(synced.offset);
            log.set_high_watermark(synced.offset);
        }
    }

    pub(super) fn clean(&mut self, log: &Log) {
        for (&offset, (_, value)) in &self.appended {
            if value.is_none() {
                self.horizon_from.entry(offset).or_insert(self.now_ms);
            }
        }
        let map_bytes = if self.keys > 9 || self.rng.one_in(4) { 0 } else { 1 << 16 };
        let Ok(Some(mut cleaning)) = log.begin_cleaning(map_bytes, [1, self.rng.next_u64()], self.now_ms)
        else {
            return;
        };
        loop {
            match log.clean_step(&mut cleaning, 1 + self.rng.below(3000)) {
                Ok(step) if step.done => break,
                Ok(_) => {}
                Err(_) => return log.abandon_cleaning(cleaning),
            }
            // Life goes on in between.
            match self.rng.below(12) {
                0 => self.append(log),
                1 => self.sync(log),
                2 => drop(read_from(log, log.log_start_offset())),
                3 if self.rng.one_in(4) => self.delete(log),
                4 if self.rng.one_in(4) => return,
                _ => {}
            }
        }
        self.cleanings += 1;
        let upto = cleaning.cleaned().upto;
        if map_bytes > 0 {
            let mut seen = BTreeMap::new();
            for (offset, key, _) in self.look(log).into_iter().flatten() {
                if offset < upto {
                    assert_eq!(seen.insert(key, offset), None, "a key twice below {upto}");
                }
            }
        }
    }

    fn delete(&mut self, log: &Log) {
        let (start, high_watermark) = (log.log_start_offset(), log.high_watermark());
        let to = start + self.rng.below((high_watermark - start) as u64 / 3 + 1) as i64;
        self.start_max = self.start_max.max(to);
        if log.delete_records(to).is_ok() {
            self.start = self.start.max(to);
        }
    }

    /// One step of the script; false when the log is of no more use.
    fn step(&mut self, log: &Log) -> bool {
        self.now_ms += self.rng.below(800) as i64;
        match self.rng.below(12) {
            0..=4 => self.append(log),
            5 => self.sync(log),
            6 => self.retry(log),
            7 | 8 => self.clean(log),
            9 => {
                if let Ok(synced) = log.checkpoint(self.now_ms) {
                    self.acked = self.acked.max(synced.offset);
                    log.set_high_watermark(synced.offset);
                    self.checkpoints.push(synced);
                }
            }
            10 if self.rng.one_in(5) => self.delete(log),
            _ => drop(read_from(log, log.log_start_offset())),
        }
        if self.rng.one_in(4)
            && let Some(found) = self.look(log)
        {
            self.check_keys(log, &found, log.log_end_offset());
        }
        !log.is_fenced() && !self.world.disk.is_off()
    }

    /// What a consumer sees; None when the power goes meanwhile.
    fn look(&self, log: &Log) -> Option<Vec<(Offset, String, Value)>> {
        match try_keyed(log, log.log_start_offset()) {
            Ok(found) => Some(found),
            Err(error) => {
                assert!(self.world.disk.is_off(), "{error}");
                None
            }
        }
    }

    /// Holds what a consumer sees against what was appended.
    pub(super) fn check_keys(&self, log: &Log, found: &[(Offset, String, Value)], end: Offset) {
        let start = log.log_start_offset();
        let mut last: BTreeMap<&str, Offset> = BTreeMap::new();
        for (offset, key, value) in found {
            let (known_key, known_value) = &self.appended[offset];
            assert_eq!((key, value), (known_key, known_value), "at offset {offset}");
            last.insert(key, *offset);
        }
        let mut newest: BTreeMap<&str, (Offset, bool)> = BTreeMap::new();
        for (&offset, (key, value)) in self.appended.range(start..end) {
            newest.insert(key, (offset, value.is_none()));
        }
        for (key, (offset, is_tombstone)) in newest {
            let may_be_gone = is_tombstone
                && self.horizon_from.get(&offset).is_some_and(|from| self.now_ms >= from + RETENTION_MS);
            match last.get(key) {
                Some(&found) => assert_eq!(found, offset, "{key}: an older record came back"),
                None => assert!(may_be_gone, "{key}: the newest record, at {offset}, is gone"),
            }
        }
    }

    /// Holds the recovered log against the oracle, then takes what is there for what was appended.
    fn check(&mut self, log: &Log, report: &RecoveryReport) {
        assert_eq!(report.damaged, [], "a crash alone damages nothing");
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        assert!(end >= self.acked, "acknowledged up to {}, recovered up to {end}", self.acked);
        let range = self.start..=self.start_max.max(self.start);
        assert!(range.contains(&start), "start {start}, deleted to {}", self.start);
        let found = keyed(log, start);
        // Above what was committed nothing is cleaned, so what is there is all that is there.
        self.appended.split_off(&end);
        for (offset, key, value) in found.iter().filter(|(offset, ..)| *offset >= self.acked) {
            let answered =
                self.appended.get(offset).is_some_and(|known| (&known.0, &known.1) == (key, value));
            let attempt = (*offset, key.clone(), value.clone());
            assert!(answered || self.attempted.contains(&attempt), "nobody appended that at {offset}");
            self.appended.insert(*offset, (key.clone(), value.clone()));
        }
        let above = found.iter().filter(|(offset, ..)| *offset >= self.acked.max(start)).count();
        assert_eq!(above as i64, end - self.acked.max(start), "a hole above what was committed");
        self.check_keys(log, &found, end);
        for from in start..end {
            let outcome = read_from(log, from).unwrap();
            assert!(outcome.next_offset > from, "a consumer at {from} gets no further");
        }
        self.check_times(log);
        let report = verify(&*self.world.env.disk, Path::new(DIR)).unwrap();
        assert!(report.worst() < Some(Severity::Damage), "{:?}", report.findings);
        self.attempted.clear();
        (self.acked, self.start) = (end, start);
        self.checkpoints.retain(|checkpoint| checkpoint.offset <= end);
        // A producer whose answer was lost looks what it has; this one begins where the log says that it ended.
        self.sequenced.retain(|batch| batch.base_offset < end && batch.base_offset >= start);
        let known = log.producers().into_iter().find(|producer| producer.id == ProducerId(7));
        let last_sequence = known.and_then(|known| known.last_sequence);
        if let Some(last) = self.sequenced.last() {
            let promised = last.batch.header().last_sequence();
            assert!(last_sequence >= Some(promised), "forgot that the producer had come to {promised}");
        }
        self.next_sequence = last_sequence.map_or(0, |last| last + 1);
        self.retry(log);
    }

    /// Lookups by time find what going through all records finds.
    fn check_times(&mut self, log: &Log) {
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        let outcome = read_from(log, start).unwrap();
        let batches = batches_of(&outcome);
        // A log start inside a batch may hide the very record that the batch's header speaks of.
        if batches.first().is_none_or(|first| first.header().base_offset < start) {
            return;
        }
        let records = batches.iter().flat_map(|batch| batch.records(1 << 20).unwrap());
        let times: Vec<(Offset, TimestampMs)> = records
            .map(|record| record.map(|record| (record.offset, record.timestamp_ms)).unwrap())
            .collect();
        let first_at = |time_ms| times.iter().find(|(_, at)| *at >= time_ms).map(|(offset, _)| *offset);
        let largest = times.iter().map(|(_, at)| *at).max();
        let found = log.max_timestamp(end).unwrap().map(|hit| hit.offset);
        assert_eq!(found, largest.and_then(first_at), "the largest time of {times:?}");
        for _ in 0..4 {
            let time_ms = NOW_MS + self.rng.below(TIMES) as i64;
            let found = log.lookup_timestamp(time_ms, end).unwrap().map(|hit| hit.offset);
            assert_eq!(found, first_at(time_ms), "{time_ms} in {times:?}");
        }
    }

    /// Brings the machine back, recovers (cutting the power during recovery as often as `cuts` says), checks.
    pub(super) fn recover(&mut self, mut cuts: u64) -> Log {
        loop {
            if !self.world.disk.is_off() && self.rng.one_in(3) {
                // Only the process ends: what it had not synced is still there, and the next power cut may take it.
                self.world.disk.kill();
            } else {
                self.world.disk.power_cut();
                let seed = self.rng.next_u64();
                self.world.disk.restart(seed);
            }
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

    /// A life: works until the script ends, the power goes, or the log is fenced.
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

    /// A step during which a call may fail, so that nothing is read to check it.
    pub(super) fn fails(&mut self, log: &Log) -> bool {
        self.now_ms += self.rng.below(800) as i64;
        match self.rng.below(6) {
            0..=2 => self.append(log),
            3 => self.sync(log),
            _ => {
                let Ok(Some(mut cleaning)) = log.begin_cleaning(1 << 16, [1, 2], self.now_ms) else {
                    return true;
                };
                for (&offset, (_, value)) in &self.appended {
                    if value.is_none() {
                        self.horizon_from.entry(offset).or_insert(self.now_ms);
                    }
                }
                loop {
                    match log.clean_step(&mut cleaning, 2000) {
                        Ok(step) if step.done => break,
                        Ok(_) => {}
                        Err(_) => {
                            log.abandon_cleaning(cleaning);
                            break;
                        }
                    }
                }
            }
        }
        !log.is_fenced() && !self.world.disk.is_off()
    }
}
