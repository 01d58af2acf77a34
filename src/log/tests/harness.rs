//! What the log's tests share: making batches, opening logs, reading them whole.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::env::Env;
use crate::log::{
    AppendBatch, AppendError, Appended, LastStop, Log, LogConfig, LogLimits, LogResources, ReadError,
    ReadOutcome, ReadRequest, RecoveryReport,
};
use crate::record::{Batch, BatchBuilder, Compression, batches};
use crate::testing::SimWorld;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

pub(super) const NOW_MS: TimestampMs = 1_700_000_000_000;

pub(super) const LIMITS: LogLimits = LogLimits { maps: 100, files: 100, index_bytes: 1 << 20 };

/// A log in a directory of its own, on the real disk unless said otherwise.
pub(super) struct Place {
    _dir: Option<tempfile::TempDir>,
    pub(super) path: PathBuf,
    pub(super) resources: Arc<LogResources>,
    pub(super) config: LogConfig,
}

impl Place {
    pub(super) fn new() -> Self {
        Self::with(LogConfig::default(), LIMITS)
    }

    pub(super) fn with(config: LogConfig, limits: LogLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        Self { path, _dir: Some(dir), resources: LogResources::new(Env::system(), limits), config }
    }

    /// On a simulated disk, for tests that sync often.
    pub(super) fn simulated(config: LogConfig) -> Self {
        Self::on(&SimWorld::new(1), config)
    }

    /// On the disk of that world.
    pub(super) fn on(world: &SimWorld, config: LogConfig) -> Self {
        let resources = LogResources::new(world.env.clone(), LIMITS);
        Self { path: "/data/log".into(), _dir: None, resources, config }
    }

    pub(super) fn create(&self) -> Log {
        let resources = Arc::clone(&self.resources);
        Log::create(self.path.clone(), self.config.clone(), resources, LeaderEpoch(1), NOW_MS).unwrap()
    }

    pub(super) fn open(&self, epoch: i32, last_stop: LastStop) -> (Log, RecoveryReport) {
        let resources = Arc::clone(&self.resources);
        Log::open(self.path.clone(), self.config.clone(), resources, LeaderEpoch(epoch), last_stop, NOW_MS)
            .unwrap()
    }

    pub(super) fn names(&self, suffix: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(suffix))
            .collect();
        names.sort();
        names
    }
}

/// Small segments and a dense index, so that a few batches reach every mechanism.
pub(super) fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 2000, index_interval_bytes: 150, ..LogConfig::default() }
}

/// A batch of records with these values, one millisecond apart from `timestamp_ms` on.
pub(super) fn batch_at(timestamp_ms: TimestampMs, values: &[&[u8]]) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    for (index, value) in values.iter().enumerate() {
        builder.append(timestamp_ms + index as i64, None, Some(value), &[]).unwrap();
    }
    Batch::parse(builder.build()).unwrap()
}

pub(super) fn batch(values: &[&[u8]]) -> Batch {
    batch_at(NOW_MS, values)
}

/// A batch of `count` records of an idempotent producer.
pub(super) fn sequenced(id: i64, epoch: i16, base_sequence: i32, count: usize) -> Batch {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(ProducerId(id), ProducerEpoch(epoch), base_sequence);
    for _ in 0..count {
        builder.append(NOW_MS, None, Some(b"value"), &[]).unwrap();
    }
    Batch::parse(builder.build()).unwrap()
}

pub(super) fn append(log: &Log, batch: Batch) -> Result<Appended, AppendError> {
    append_at(log, batch, NOW_MS)
}

pub(super) fn append_at(log: &Log, batch: Batch, now_ms: TimestampMs) -> Result<Appended, AppendError> {
    let mut outcomes = log.append(vec![AppendBatch { batch, stamp_append_time: None }], now_ms);
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

/// Appends `count` batches of one record each, with values that tell their offsets.
pub(super) fn fill(log: &Log, count: i64) {
    for _ in 0..count {
        let offset = log.log_end_offset();
        append(log, batch(&[value_of(offset).as_bytes()])).unwrap();
    }
}

/// The value that [`fill`] gives the record at `offset`.
pub(super) fn value_of(offset: Offset) -> String {
    format!("value-{offset:0>30}")
}

pub(super) fn read_from(log: &Log, from: Offset) -> Result<ReadOutcome, ReadError> {
    log.read(ReadRequest {
        from,
        upto: log.log_end_offset(),
        max_bytes: usize::MAX,
        at_least_one: true,
        verify_crc: true,
    })
}

/// The whole batches of an outcome.
pub(super) fn batches_of(outcome: &ReadOutcome) -> Vec<Batch> {
    outcome.records.iter().flat_map(|bytes: &Bytes| batches(bytes.clone())).map(Result::unwrap).collect()
}

/// All records of a log, offset and value, damaged ranges left out.
pub(super) fn records(log: &Log) -> Vec<(Offset, Bytes)> {
    let mut found = Vec::new();
    let mut from = log.log_start_offset();
    while from < log.log_end_offset() {
        match read_from(log, from) {
            Ok(outcome) => {
                for batch in batches_of(&outcome) {
                    for record in batch.records(1 << 20).unwrap() {
                        let record = record.unwrap();
                        found.push((record.offset, record.value.unwrap()));
                    }
                }
                assert!(outcome.next_offset > from, "a read below the end finds something");
                from = outcome.next_offset;
            }
            Err(ReadError::Corrupt { to, .. }) => {
                assert!(to > from);
                from = to;
            }
            Err(error) => panic!("{error}"),
        }
    }
    found
}

/// Asserts that the log holds exactly what [`fill`] wrote at `offsets`.
pub(super) fn assert_filled(log: &Log, offsets: impl IntoIterator<Item = Offset>) {
    let expected: Vec<(Offset, Bytes)> =
        offsets.into_iter().map(|offset| (offset, Bytes::from(value_of(offset)))).collect();
    assert_eq!(records(log), expected);
}
