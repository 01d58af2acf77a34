//! What the tests of compaction share: keyed records, cleaning to the end, what a consumer sees.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::log::tests::harness::*;
use crate::log::{Cleaned, Log, LogConfig, ReadError, Severity, verify};
use crate::record::{Batch, BatchBuilder, Compression};
use crate::types::{Offset, TimestampMs};

pub(super) const RETENTION_MS: i64 = 5000;

/// A record: its key and its value, None for a tombstone.
pub(super) type Keyed<'a> = (&'a str, Option<&'a str>);

pub(super) fn compacted() -> LogConfig {
    LogConfig {
        segment_bytes: 2000,
        index_interval_bytes: 150,
        compact: true,
        delete_retention_ms: RETENTION_MS.unsigned_abs(),
        min_cleanable_dirty_ppm: 0,
        retention_ms: None,
        ..LogConfig::default()
    }
}

pub(super) fn keyed_batch(builder: &mut BatchBuilder, time_ms: TimestampMs, records: &[Keyed<'_>]) -> Batch {
    for (key, value) in records {
        builder.append(time_ms, Some(key.as_bytes()), value.map(str::as_bytes), &[]).unwrap();
    }
    Batch::parse(builder.build()).unwrap()
}

pub(super) fn put_all(log: &Log, records: &[Keyed<'_>]) -> Offset {
    let batch = keyed_batch(&mut BatchBuilder::new(Compression::None), NOW_MS, records);
    append(log, batch).unwrap().base_offset
}

pub(super) fn put(log: &Log, key: &str, value: &str) -> Offset {
    put_all(log, &[(key, Some(value))])
}

/// Closes the active segment, by its age.
pub(super) fn roll(log: &Log) {
    let config = log.config();
    log.set_config(LogConfig { segment_ms: 0, ..(*config).clone() });
    assert!(log.maybe_roll(NOW_MS).unwrap());
    log.set_config((*config).clone());
}

/// Cleans all that may be.
pub(super) fn clean(log: &Log, now_ms: TimestampMs) -> Option<Cleaned> {
    log.set_high_watermark(log.log_end_offset());
    let mut cleaning = log.begin_cleaning(1 << 20, [1, 2], now_ms).unwrap()?;
    while !log.clean_step(&mut cleaning, 700).unwrap().done {}
    Some(cleaning.cleaned())
}

/// What a consumer reads from `from` on: offset, key, value.
pub(super) fn keyed(log: &Log, from: Offset) -> Vec<(Offset, String, Option<Bytes>)> {
    try_keyed(log, from).unwrap()
}

pub(super) fn try_keyed(log: &Log, from: Offset) -> Result<Vec<(Offset, String, Option<Bytes>)>, ReadError> {
    let mut found = Vec::new();
    let mut at = from;
    while at < log.log_end_offset() {
        let outcome = read_from(log, at)?;
        for batch in batches_of(&outcome) {
            for record in batch.records(1 << 20).unwrap().map(Result::unwrap) {
                let key = record.key.map_or_else(String::new, |key| String::from_utf8(key.to_vec()).unwrap());
                if record.offset >= from {
                    found.push((record.offset, key, record.value));
                }
            }
        }
        assert!(outcome.next_offset > at, "a read below the end finds something");
        at = outcome.next_offset;
    }
    Ok(found)
}

/// The state that a consumer builds which reads from `from` on.
pub(super) fn table(log: &Log, from: Offset) -> BTreeMap<String, Bytes> {
    let mut table = BTreeMap::new();
    for (_, key, value) in keyed(log, from) {
        match value {
            Some(value) => table.insert(key, value),
            None => table.remove(&key),
        };
    }
    table
}

pub(super) fn offsets_of(log: &Log, wanted: &str) -> Vec<Offset> {
    keyed(log, 0).into_iter().filter(|(_, key, _)| key == wanted).map(|(offset, ..)| offset).collect()
}

pub(super) fn assert_sound(place: &Place, log: &Log) {
    let disk = &place.resources.env().disk;
    let report = verify(&**disk, log.dir()).unwrap();
    let bad: Vec<_> = report.findings.iter().filter(|found| found.severity > Severity::Note).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(log.damaged_ranges(), []);
}

/// Four rounds over ten keys in batches of two, one batch in three compressed; the last round is in the active segment.
pub(super) fn rounds(log: &Log) {
    for round in 0..4 {
        for pair in 0..5 {
            let codec = [Compression::None, Compression::Zstd, Compression::Lz4][pair % 3];
            let value = format!("value {round} of the pair {pair} {}", "x".repeat(100));
            let keys = [format!("key-{}", pair * 2), format!("key-{}", pair * 2 + 1)];
            let records = [(&*keys[0], Some(&*value)), (&*keys[1], Some(&*value))];
            append(log, keyed_batch(&mut BatchBuilder::new(codec), NOW_MS + round, &records)).unwrap();
        }
        if round < 3 {
            roll(log);
        }
    }
}
