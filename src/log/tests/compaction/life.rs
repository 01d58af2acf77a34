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
use crate::log::tests::stage::{DIR, Lives, Stage};
use crate::log::{Log, LogConfig, RecoveryReport, Severity, verify};
use crate::record::{Batch, BatchBuilder, Compression};
use crate::types::{Offset, ProducerEpoch, ProducerId, TimestampMs};

const TIMES: u64 = 100_000;

type Value = Option<Bytes>;

/// A batch of the idempotent producer.
#[derive(Clone)]
struct Sequenced {
    base_offset: Offset,
    batch: Batch,
}

pub(super) struct Run {
    pub(super) stage: Stage,
    /// How many keys there are: few, or more than the smallest map takes.
    keys: u64,
    serial: u64,
    /// Every record whose append was answered or that was found after a crash.
    appended: BTreeMap<Offset, (String, Value)>,
    /// Records whose append may have failed: each may be there, from the committed end on.
    attempted: Vec<(Offset, String, Value)>,
    /// When a cleaning may first have seen the tombstone at an offset.
    horizon_from: BTreeMap<Offset, TimestampMs>,
    sequenced: Vec<Sequenced>,
    next_sequence: i32,
    pub(super) cleanings: u64,
}

// === impl Run ===

impl Run {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            stage: Stage::new(seed, LogConfig { segment_bytes: 1500, ..compacted() }),
            keys: if seed % 4 == 3 { 90 } else { 9 },
            serial: 0,
            appended: BTreeMap::new(),
            attempted: Vec::new(),
            horizon_from: BTreeMap::new(),
            sequenced: Vec::new(),
            next_sequence: 0,
            cleanings: 0,
        }
    }

    fn records(&mut self) -> Vec<(String, Value)> {
        let count = 1 + self.stage.rng.below(4);
        (0..count)
            .map(|_| {
                self.serial += 1;
                let key = format!("key-{}", self.stage.rng.below(self.keys));
                let tombstone = self.stage.rng.one_in(4);
                let size = self.stage.rng.below(200) as usize;
                (key, (!tombstone).then(|| Bytes::from(format!("{}:{}", self.serial, "v".repeat(size)))))
            })
            .collect()
    }

    fn batch(&mut self, builder: &mut BatchBuilder, records: &[(String, Value)]) -> Batch {
        // Producers' clocks say what they like: the newest record need not have the largest time.
        let time_ms = NOW_MS + self.stage.rng.below(TIMES) as i64;
        let texts: Vec<(&str, Option<&str>)> = records
            .iter()
            .map(|(key, value)| (&**key, value.as_ref().map(|value| std::str::from_utf8(value).unwrap())))
            .collect();
        keyed_batch(builder, time_ms, &texts)
    }

    fn append(&mut self, log: &Log) {
        let records = self.records();
        let codec = Compression::ALL[self.stage.rng.below(5) as usize];
        let mut builder = BatchBuilder::new(codec);
        let is_sequenced = self.stage.rng.one_in(3);
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
        match append_at(log, batch, self.stage.now_ms) {
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
            self.stage.world.disk.power_cut();
        }
    }

    /// Sends one of the last batches again.
    fn retry(&mut self, log: &Log) {
        let last = self.sequenced.len();
        let Some(at) = last.checked_sub(1 + self.stage.rng.below(5) as usize) else { return };
        let Sequenced { base_offset, batch } = self.sequenced[at].clone();
        if let Ok(again) = append(log, batch) {
            assert!(again.duplicate, "retry {} of {last} was written again at {again:?}", at + 1);
            assert_eq!(again.base_offset, base_offset);
        }
    }

    pub(super) fn clean(&mut self, log: &Log) {
        for (&offset, (_, value)) in &self.appended {
            if value.is_none() {
                self.horizon_from.entry(offset).or_insert(self.stage.now_ms);
            }
        }
        let map_bytes = if self.keys > 9 || self.stage.rng.one_in(4) { 0 } else { 1 << 16 };
        let Ok(Some(mut cleaning)) =
            log.begin_cleaning(map_bytes, [1, self.stage.rng.next_u64()], self.stage.now_ms)
        else {
            return;
        };
        loop {
            match log.clean_step(&mut cleaning, 1 + self.stage.rng.below(3000)) {
                Ok(step) if step.done => break,
                Ok(_) => {}
                Err(_) => return log.abandon_cleaning(cleaning),
            }
            // Life goes on in between.
            match self.stage.rng.below(12) {
                0 => self.append(log),
                1 => self.stage.sync(log),
                2 => drop(read_from(log, log.log_start_offset())),
                3 if self.stage.rng.one_in(4) => self.stage.delete(log, 3),
                4 if self.stage.rng.one_in(4) => return,
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

    /// What a consumer sees; None when the power goes meanwhile.
    fn look(&self, log: &Log) -> Option<Vec<(Offset, String, Value)>> {
        match try_keyed(log, log.log_start_offset()) {
            Ok(found) => Some(found),
            Err(error) => {
                assert!(self.stage.world.disk.is_off(), "{error}");
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
                && self
                    .horizon_from
                    .get(&offset)
                    .is_some_and(|from| self.stage.now_ms >= from + RETENTION_MS);
            match last.get(key) {
                Some(&found) => assert_eq!(found, offset, "{key}: an older record came back"),
                None => assert!(may_be_gone, "{key}: the newest record, at {offset}, is gone"),
            }
        }
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
            let time_ms = NOW_MS + self.stage.rng.below(TIMES) as i64;
            let found = log.lookup_timestamp(time_ms, end).unwrap().map(|hit| hit.offset);
            assert_eq!(found, first_at(time_ms), "{time_ms} in {times:?}");
        }
    }

    /// A step during which a call may fail, so that nothing is read to check it.
    pub(super) fn fails(&mut self, log: &Log) -> bool {
        self.stage.now_ms += self.stage.rng.below(800) as i64;
        match self.stage.rng.below(6) {
            0..=2 => self.append(log),
            3 => self.stage.sync(log),
            _ => {
                let Ok(Some(mut cleaning)) = log.begin_cleaning(1 << 16, [1, 2], self.stage.now_ms) else {
                    return true;
                };
                for (&offset, (_, value)) in &self.appended {
                    if value.is_none() {
                        self.horizon_from.entry(offset).or_insert(self.stage.now_ms);
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
        self.stage.is_up(log)
    }
}

impl Lives for Run {
    fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    fn step(&mut self, log: &Log) -> bool {
        self.stage.now_ms += self.stage.rng.below(800) as i64;
        match self.stage.rng.below(12) {
            0..=4 => self.append(log),
            5 => self.stage.sync(log),
            6 => self.retry(log),
            7 | 8 => self.clean(log),
            9 => self.stage.checkpoint(log),
            10 if self.stage.rng.one_in(5) => self.stage.delete(log, 3),
            _ => drop(read_from(log, log.log_start_offset())),
        }
        if self.stage.rng.one_in(4)
            && let Some(found) = self.look(log)
        {
            self.check_keys(log, &found, log.log_end_offset());
        }
        self.stage.is_up(log)
    }

    fn crash(&mut self) {
        if !self.stage.world.disk.is_off() && self.stage.rng.one_in(3) {
            // Only the process ends: what it had not synced is still there, and the next power cut may take it.
            self.stage.world.disk.kill();
        } else {
            self.stage.power_cut();
        }
    }

    fn check(&mut self, log: &Log, report: &RecoveryReport) {
        self.stage.check_ends(log, report);
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        let found = keyed(log, start);
        // Above what was committed nothing is cleaned, so what is there is all that is there.
        self.appended.split_off(&end);
        for (offset, key, value) in found.iter().filter(|(offset, ..)| *offset >= self.stage.acked) {
            let answered =
                self.appended.get(offset).is_some_and(|known| (&known.0, &known.1) == (key, value));
            let attempt = (*offset, key.clone(), value.clone());
            assert!(answered || self.attempted.contains(&attempt), "nobody appended that at {offset}");
            self.appended.insert(*offset, (key.clone(), value.clone()));
        }
        let above = found.iter().filter(|(offset, ..)| *offset >= self.stage.acked.max(start)).count();
        assert_eq!(above as i64, end - self.stage.acked.max(start), "a hole above what was committed");
        self.check_keys(log, &found, end);
        for from in start..end {
            let outcome = read_from(log, from).unwrap();
            assert!(outcome.next_offset > from, "a consumer at {from} gets no further");
        }
        self.check_times(log);
        let report = verify(&*self.stage.world.env.disk, Path::new(DIR)).unwrap();
        assert!(report.worst() < Some(Severity::Damage), "{:?}", report.findings);
        self.attempted.clear();
        self.stage.settle(log);
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
}
