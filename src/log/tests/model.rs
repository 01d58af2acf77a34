//! Random histories against a simple model: a vector of records.

use bytes::Bytes;
use proptest::prelude::*;

use super::harness::*;
use crate::log::segment_index::SegmentIndex;
use crate::log::{LastStop, Log, LogConfig, ReadRequest};
use crate::record::{Batch, BatchBuilder, Compression};
use crate::types::{Offset, TimestampMs};

/// What happens to the log.
#[derive(Debug, Clone)]
enum Step {
    /// A batch of records with these timestamps (relative) and value sizes.
    Append(Vec<(u8, u16)>, bool),
    Read {
        from: u8,
        max_bytes: u16,
    },
    LookupTime(u8, u8),
    MaxTime(u8),
    Delete(u8),
    Checkpoint,
    Reopen {
        clean: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::collection::vec((any::<u8>(), 0u16..300), 1..5), any::<bool>())
            .prop_map(|(records, gzip)| Step::Append(records, gzip)),
        3 => (any::<u8>(), any::<u16>()).prop_map(|(from, max_bytes)| Step::Read { from, max_bytes }),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(time, upto)| Step::LookupTime(time, upto)),
        1 => any::<u8>().prop_map(Step::MaxTime),
        1 => any::<u8>().prop_map(Step::Delete),
        1 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
    ]
}

struct Model {
    /// Of all records ever: timestamp, value.
    records: Vec<(TimestampMs, Bytes)>,
    /// The offset after each batch.
    batch_ends: Vec<Offset>,
    start: Offset,
}

// === impl Model ===

impl Model {
    fn end(&self) -> Offset {
        self.records.len() as Offset
    }

    /// Some offset of the log, from a random byte.
    fn pick(&self, byte: u8) -> Offset {
        self.start + Offset::from(byte) * (self.end() - self.start + 1) / 256
    }

    fn batch_of(&self, offset: Offset) -> (Offset, Offset) {
        let index = self.batch_ends.partition_point(|&end| end <= offset);
        (index.checked_sub(1).map_or(0, |before| self.batch_ends[before]), self.batch_ends[index])
    }

    fn build(&self, records: &[(u8, u16)], gzip: bool) -> (Batch, Vec<(TimestampMs, Bytes)>) {
        let mut builder = BatchBuilder::new(if gzip { Compression::Gzip } else { Compression::None });
        let mut made = Vec::new();
        for (index, &(time, size)) in records.iter().enumerate() {
            let value = Bytes::from(vec![self.records.len() as u8 + index as u8; usize::from(size)]);
            builder.append(NOW_MS + i64::from(time), None, Some(&value), &[]).unwrap();
            made.push((NOW_MS + i64::from(time), value));
        }
        (Batch::parse(builder.build()).unwrap(), made)
    }

    fn check_read(&self, log: &Log, from: Offset, max_bytes: usize) {
        let request = ReadRequest { from, upto: self.end(), max_bytes, at_least_one: true, verify_crc: true };
        let outcome = log.read(request).unwrap();
        if from == self.end() {
            assert_eq!((outcome.size_bytes, outcome.next_offset), (0, from));
            return;
        }
        assert_eq!(outcome.first_offset, self.batch_of(from).0);
        let mut offset = outcome.first_offset;
        for batch in batches_of(&outcome) {
            assert_eq!(batch.header().base_offset, offset);
            for record in batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                let (timestamp_ms, value) = &self.records[offset as usize];
                assert_eq!((record.offset, record.timestamp_ms), (offset, *timestamp_ms));
                assert_eq!(record.value.as_ref(), Some(value));
                offset += 1;
            }
        }
        assert_eq!(outcome.next_offset, offset);
        assert!(outcome.size_bytes <= max_bytes || batches_of(&outcome).len() == 1);
    }

    fn first_at(&self, time: TimestampMs, upto: Offset) -> Option<Offset> {
        (self.start..upto).find(|&offset| self.records[offset as usize].0 >= time)
    }

    fn check_times(&self, log: &Log, time: TimestampMs, upto: Offset) {
        let hit = log.lookup_timestamp(time, upto).unwrap();
        assert_eq!(hit.map(|hit| hit.offset), self.first_at(time, upto), "{time} below {upto}");
    }

    /// The largest timestamp below a batch boundary.
    fn check_max(&self, log: &Log, upto: Offset) {
        let upto = if upto == self.end() { upto } else { self.batch_of(upto).0.max(self.start) };
        let largest = (self.start..upto).map(|offset| self.records[offset as usize].0).max();
        let expected = largest.and_then(|largest| self.first_at(largest, upto));
        // A log start inside a batch may hide the very record that the batch's header speaks of.
        let whole = self.start == self.end() || self.batch_of(self.start).0 == self.start;
        if whole {
            assert_eq!(log.max_timestamp(upto).unwrap().map(|hit| hit.offset), expected);
        }
    }
}

/// The index of every segment, loaded or kept, is the one that a scan of the segment builds.
pub(super) fn check_indexes(log: &Log) {
    for segment in log.segments.load().iter() {
        let interval_bytes = log.config().index_interval_bytes;
        let kept = segment
            .with_index(interval_bytes, |index| {
                (index.offsets.clone(), index.times.entries().to_vec(), index.largest)
            })
            .unwrap();
        let record = segment.index_record();
        let scanned = SegmentIndex::rebuild(segment, interval_bytes).unwrap();
        segment.set_index_record(record);
        assert_eq!(kept.0, scanned.offsets);
        assert_eq!(kept.2, scanned.largest);
        // A sealed index in memory may lack the closing entry that only its file needs.
        let closing = usize::from(scanned.times.entries().len() > kept.1.len());
        assert_eq!(kept.1, scanned.times.entries()[..scanned.times.entries().len() - closing]);
        assert!(closing == 0 || segment.is_sealed());
    }
}

fn run(steps: Vec<Step>) {
    let config = LogConfig { segment_bytes: 2500, index_interval_bytes: 200, ..LogConfig::default() };
    let place = Place::simulated(config);
    let mut log = place.create();
    let mut epoch = 1;
    let mut model = Model { records: Vec::new(), batch_ends: Vec::new(), start: 0 };
    for step in steps {
        match step {
            Step::Append(records, gzip) => {
                let (batch, made) = model.build(&records, gzip);
                assert_eq!(append(&log, batch).unwrap().base_offset, model.end());
                model.records.extend(made);
                model.batch_ends.push(model.end());
            }
            Step::Read { from, max_bytes } => {
                model.check_read(&log, model.pick(from), usize::from(max_bytes));
            }
            Step::LookupTime(time, upto) => {
                model.check_times(&log, NOW_MS + i64::from(time), model.pick(upto).min(model.end()));
            }
            Step::MaxTime(upto) => model.check_max(&log, model.pick(upto).min(model.end())),
            Step::Delete(to) => {
                log.set_high_watermark(model.end());
                model.start = model.pick(to).min(model.end());
                log.delete_records(model.start).unwrap();
            }
            Step::Checkpoint => {
                log.checkpoint(NOW_MS).unwrap();
            }
            Step::Reopen { clean } => {
                let synced =
                    if clean { log.close_clean(NOW_MS).unwrap() } else { log.checkpoint(NOW_MS).unwrap() };
                drop(log);
                epoch += 1;
                let (opened, report) =
                    place.open(epoch, LastStop { clean, synced: Some(synced), log_start_offset: 0 });
                assert_eq!(report.damaged, []);
                assert_eq!(report.rebuilt_files, 0);
                log = opened;
            }
        }
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (model.start, model.end()));
    }
    check_indexes(&log);
    model.check_read(&log, model.start, usize::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_vector_of_records(steps in prop::collection::vec(step(), 1..60)) {
        run(steps);
    }
}
