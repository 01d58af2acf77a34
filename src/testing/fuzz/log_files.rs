//! One log whose files were altered: segments, offset and time indexes, epochs, producer snapshots, the index checkpoint.
//!
//! What the target knows: every record that is served is one that was written; and while the segments are whole, all of
//! them are served at their offsets, whatever has become of the files beside them. In an altered segment an offset may be
//! another: a base offset lies outside of the checksum, and the last batch has none behind it that would contradict.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{altered, byte};
use crate::log::{
    AppendBatch, LastStop, Log, LogConfig, LogLimits, LogResources, ReadError, ReadRequest, verify,
};
use crate::record::{Batch, BatchBuilder, Compression, batches};
use crate::testing::SimWorld;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};

const NOW_MS: TimestampMs = 1_700_000_000_000;
const DIR: &str = "/data/log";
const LIMITS: LogLimits = LogLimits { maps: 100, files: 100, index_bytes: 1 << 20 };
/// The frame around a state file: magic, version, zero, length, checksum.
const FRAME_BYTES: usize = 16;
const LENGTH_AT: usize = 8;
const CHECKSUM_AT: usize = 12;

/// A log as an orderly stop left it.
pub(super) struct Sample {
    /// Its files.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    /// Its records by offset.
    records: BTreeMap<Offset, Bytes>,
}

/// The first byte chooses the file, the second what is known of the last stop and whether the checksum of a state file is
/// put right; what follows is done to the file.
pub(super) fn run(input: &[u8]) {
    let sample = sample();
    let mut rest = input;
    let chosen = usize::from(byte(&mut rest)) % sample.files.len();
    let flags = byte(&mut rest);
    let (clean, repair) = (flags & 1 == 0, flags & 2 == 0);
    let (path, content) = &sample.files[chosen];
    let mut altered = altered(content, &mut rest);
    let is_segment = path.extension().is_some_and(|extension| extension == "log");
    let is_framed = path.extension().is_none_or(|extension| extension == "snapshot");
    let forged = repair && is_framed && put_right(&mut altered, content);

    let world = SimWorld::new(1);
    for (path, content) in &sample.files {
        world.disk.put(path, content);
    }
    world.disk.put(path, &altered);
    // Findings are as good as none; only a panic is one here.
    let _ = verify(&*world.env.disk, Path::new(DIR));
    let last_stop = LastStop { clean, synced: None, log_start_offset: 0 };
    let opened = Log::open(DIR.into(), config(), resources(&world), LeaderEpoch(3), last_stop, NOW_MS);
    let Ok((log, _report)) = opened else {
        assert!(is_segment, "{} kept a whole log from opening", path.display());
        return;
    };
    let served = records(&log);
    if is_segment {
        let written: HashSet<&Bytes> = sample.records.values().collect();
        assert!(served.values().all(|value| written.contains(value)), "a record that nobody wrote");
    } else if !forged {
        assert_eq!(served, sample.records, "with another {}", path.display());
    }
    // A forged file may say anything; these may not panic whatever it says.
    let end = log.log_end_offset();
    for timestamp_ms in [0, NOW_MS, NOW_MS + 7, i64::MAX] {
        let _ = log.lookup_timestamp(timestamp_ms, end);
    }
    let _ = log.max_timestamp(end);
    for epoch in [0, 1, 2, 3, i32::MAX] {
        let _ = log.epoch_end(LeaderEpoch(epoch));
        let _ = log.epoch_at(Offset::from(epoch));
    }
    let _ = log.producers();
    let _ = log.append(vec![batch(3, 2, "later")], NOW_MS);
    let _ = log.retain(NOW_MS + 1_000_000_000);
    let _ = log.close_clean(NOW_MS);
}

/// Gives the bytes the frame they would have if the broker had written them; whether they are any different then.
fn put_right(bytes: &mut [u8], original: &[u8]) -> bool {
    if bytes.len() < FRAME_BYTES {
        return false;
    }
    bytes[..LENGTH_AT].copy_from_slice(&original[..LENGTH_AT]);
    let length = u32::try_from(bytes.len() - FRAME_BYTES).expect("inputs are small");
    bytes[LENGTH_AT..CHECKSUM_AT].copy_from_slice(&length.to_be_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_AT]);
    hasher.update(&bytes[FRAME_BYTES..]);
    bytes[CHECKSUM_AT..FRAME_BYTES].copy_from_slice(&hasher.finalize().to_be_bytes());
    *bytes != *original
}

/// The log that is altered, made once.
pub(super) fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let world = SimWorld::new(1);
        let log = Log::create(DIR.into(), config(), resources(&world), LeaderEpoch(1), NOW_MS);
        let log = log.expect("an empty disk takes a log");
        fill(&log, 0);
        let synced = log.close_clean(NOW_MS).expect("the disk is well");
        drop(log);
        let last_stop = LastStop { clean: true, synced: Some(synced), log_start_offset: 0 };
        let opened = Log::open(DIR.into(), config(), resources(&world), LeaderEpoch(2), last_stop, NOW_MS);
        let (log, _report) = opened.expect("what was closed opens");
        fill(&log, 1);
        log.close_clean(NOW_MS).expect("the disk is well");
        let records = records(&log);
        drop(log);
        let files = world.disk.files().into_iter().map(|path| (path.clone(), world.disk.content(&path)));
        Sample { files: files.collect(), records }
    })
}

fn fill(log: &Log, epoch: i16) {
    for index in 0..12 {
        let value = format!("value-{epoch}-{index}");
        let outcomes = log.append(vec![batch(epoch, index * 3, &value)], NOW_MS + i64::from(index));
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

/// Three records of an idempotent producer; now and then compressed.
fn batch(epoch: i16, base_sequence: i32, value: &str) -> AppendBatch {
    let codec = if base_sequence % 2 == 0 { Compression::None } else { Compression::Lz4 };
    let mut builder = BatchBuilder::new(codec).producer(ProducerId(7), ProducerEpoch(epoch), base_sequence);
    for index in 0..3 {
        let value = format!("{value}-{index}-{}", "x".repeat(30));
        let timestamp_ms = NOW_MS + i64::from(base_sequence) + index;
        builder.append(timestamp_ms, None, Some(value.as_bytes()), &[]).expect("a small record fits");
    }
    AppendBatch { batch: Batch::parse(builder.build()).expect("we built it"), stamp_append_time: None }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1500,
        index_interval_bytes: 150,
        retention_ms: Some(1_000_000),
        ..LogConfig::default()
    }
}

fn resources(world: &SimWorld) -> Arc<LogResources> {
    LogResources::new(world.env.clone(), LIMITS)
}

/// All records that are served, by offset.
fn records(log: &Log) -> BTreeMap<Offset, Bytes> {
    let mut found = BTreeMap::new();
    let mut from = log.log_start_offset();
    let end = log.log_end_offset();
    while from < end {
        let request =
            ReadRequest { from, upto: end, max_bytes: usize::MAX, at_least_one: true, verify_crc: true };
        match log.read(request) {
            Ok(outcome) => {
                for batch in outcome.records.iter().flat_map(|bytes| batches(bytes.clone())) {
                    let batch = batch.expect("what is read are whole batches");
                    for record in batch.records(1 << 20).into_iter().flatten().map_while(Result::ok) {
                        found.insert(record.offset, record.value.unwrap_or_default());
                    }
                }
                assert!(outcome.next_offset > from, "a read below the end goes on");
                from = outcome.next_offset;
            }
            Err(ReadError::Corrupt { from: begins, to }) => {
                assert!(to > from, "a damaged range, {begins} to {to}, has an end behind {from}");
                from = to;
            }
            Err(_) => break,
        }
    }
    found
}
