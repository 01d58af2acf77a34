//! A log's lives under a seed, and the oracle that knows what was promised.
//!
//! The oracle notes what each append answered. After every crash: what was acknowledged is there at its offset, what is
//! there was appended there, nothing is reported damaged, retries are recognised, epochs are right.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::harness::*;
use super::stage::{Lives, Stage};
use crate::log::{AppendBatch, AppendError, Log, LogConfig, RecoveryReport};
use crate::record::{Batch, BatchBuilder, Compression};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

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
    /// Batches of the idempotent producer in the log, oldest first.
    pub(super) sequenced: Vec<Sequenced>,
    pub(super) next_sequence: i32,
}

pub(super) struct Run {
    pub(super) stage: Stage,
    pub(super) oracle: Oracle,
    serial: u64,
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
        Self { stage: Stage::new(seed, config()), oracle: Oracle::default(), serial: 0 }
    }

    fn value(&mut self) -> Bytes {
        self.serial += 1;
        let size = match self.stage.rng.below(10) {
            0 => 3000 + self.stage.rng.below(4000),
            _ => self.stage.rng.below(400),
        };
        let mut value = format!("{}:", self.serial).into_bytes();
        value.extend((0..size).map(|index| (self.serial + index) as u8 | 1));
        Bytes::from(value)
    }

    fn plain(&mut self) -> (Batch, Vec<Bytes>) {
        let mut builder = BatchBuilder::new(Compression::None);
        let values: Vec<Bytes> = (0..1 + self.stage.rng.below(3)).map(|_| self.value()).collect();
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

    pub(super) fn append_plain(&mut self, log: &Log) {
        let made: Vec<(Batch, Vec<Bytes>)> = (0..1 + self.stage.rng.below(3)).map(|_| self.plain()).collect();
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
                self.oracle.attempted.push((offset, value.clone(), LeaderEpoch(self.stage.epoch)));
            }
            if let Ok(appended) = outcome {
                assert_eq!(appended.last_offset - appended.base_offset, values.len() as i64 - 1);
                for (index, value) in values.iter().enumerate() {
                    let offset = appended.base_offset + index as i64;
                    self.oracle.appended.insert(offset, (value.clone(), LeaderEpoch(self.stage.epoch)));
                }
            }
        }
    }

    fn append_sequenced(&mut self, log: &Log) {
        if self.stage.rng.one_in(3)
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
        let (base_sequence, count) = (self.oracle.next_sequence, 1 + self.stage.rng.below(3) as i32);
        let value = self.value();
        let base_offset = log.log_end_offset();
        for offset in base_offset..base_offset + i64::from(count) {
            self.oracle.attempted.push((offset, value.clone(), LeaderEpoch(self.stage.epoch)));
        }
        let attempt = Sequenced { base_sequence, count, base_offset, value: value.clone() };
        match append(log, self.sequenced(base_sequence, count, &value)) {
            Ok(appended) => {
                assert!(!appended.duplicate);
                for offset in appended.base_offset..=appended.last_offset {
                    self.oracle.appended.insert(offset, (value.clone(), LeaderEpoch(self.stage.epoch)));
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

    fn check_lookups(&mut self, log: &Log, start: Offset, end: Offset) {
        if start < end {
            let hit = log.lookup_timestamp(NOW_MS, end).unwrap().expect("a record of that time");
            assert_eq!(hit.offset, start);
            assert_eq!(log.max_timestamp(end).unwrap().map(|hit| hit.offset), Some(start));
        }
        for _ in 0..5 {
            let from = start + self.stage.rng.below((end - start) as u64 + 1) as i64;
            let outcome = read_from(log, from).unwrap();
            assert!(from == end || (outcome.first_offset <= from && outcome.next_offset > from));
        }
    }
}

impl Lives for Run {
    fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    fn step(&mut self, log: &Log) -> bool {
        match self.stage.rng.below(12) {
            0..=4 => self.append_plain(log),
            5 | 6 => self.append_sequenced(log),
            7 | 8 => self.stage.sync(log),
            9 => self.stage.checkpoint(log),
            10 if self.stage.rng.one_in(3) => self.stage.delete(log, 1),
            10 => {
                // A read in between makes maps, whose slices the disk then watches.
                let _ = read_from(log, log.log_start_offset());
                log.allocate_ahead();
            }
            _ => {
                let stage = &mut self.stage;
                stage.start_max = stage.start_max.max(log.high_watermark());
                if let Ok(deleted) = log.retain(NOW_MS) {
                    stage.start = stage.start.max(deleted.log_start_offset);
                }
            }
        }
        self.stage.is_up(log)
    }

    fn check(&mut self, log: &Log, report: &RecoveryReport) {
        self.stage.check_ends(log, report);
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
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
                    assert!(*offset >= self.stage.acked, "another value at the acknowledged offset {offset}");
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
        self.stage.settle(log);
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
}
