//! One call that sends any bytes through everything that reads batches: for fuzzers and property tests.

use bytes::{Bytes, BytesMut};

use super::header::rewrite;
use super::{Batch, BatchHeader, HEADER_BYTES, ProduceRules, TimestampType, batches, validate_produced};
use crate::types::{LeaderEpoch, TimestampMs};

/// The clock that batches are validated against.
pub const NOW_MS: TimestampMs = 1_700_000_000_000;

/// Cap of every decompression.
const LIMIT_BYTES: usize = 1 << 20;

/// Parses, validates and iterates `bytes`, as they are and with the checksum put right, so that mutations reach the
/// checks behind it.
///
/// # Panics
/// When a batch that was accepted does not keep what [`validate_produced`] promises.
pub fn exercise(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    for batch in batches(bytes.clone()).map_while(Result::ok) {
        look(&batch);
    }
    produce(&bytes);
    if let Ok(header) = BatchHeader::parse(&bytes) {
        let mut repaired = BytesMut::from(&bytes[..]);
        let length = i32::try_from(bytes.len() - super::LOG_OVERHEAD_BYTES).unwrap_or(i32::MAX);
        rewrite(&mut repaired, BatchHeader { batch_length: length, base_offset: 0, ..header });
        produce(&repaired.freeze());
    }
}

/// Reads all that can be read of a batch that nobody has validated.
fn look(batch: &Batch) {
    let header = batch.header();
    assert_eq!(
        header.to_bytes(),
        *batch.bytes().first_chunk::<HEADER_BYTES>().expect("a batch has a header"),
        "a header is written as it was read"
    );
    assert!(header.next_offset() >= header.base_offset);
    if let Ok(records) = batch.records(LIMIT_BYTES) {
        let mut next_offset = header.base_offset;
        for record in records.map_while(Result::ok) {
            assert!(record.offset >= next_offset && record.offset <= header.last_offset());
            next_offset = record.offset.saturating_add(1);
        }
    }
    // Errors are as good as answers here; only a panic is a finding.
    let _ = batch.max_timestamp_record(LIMIT_BYTES);
    let _ = batch.first_at_or_after(header.base_timestamp, header.base_offset, LIMIT_BYTES);
    let _ = batch.stamped_header(header.base_offset, LeaderEpoch(1), Some(NOW_MS));
}

/// Validates, and holds an accepted batch to what that promises.
fn produce(bytes: &Bytes) {
    for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        let rules =
            ProduceRules { timestamp_type, max_decompressed_bytes: LIMIT_BYTES, ..ProduceRules::default() };
        let Ok(batch) = validate_produced(bytes, &rules, NOW_MS) else { continue };
        look(&batch);
        assert!(batch.crc_matches(), "an accepted batch has its checksum");
        let header = *batch.header();
        let records = batch.records(LIMIT_BYTES).expect("accepted records decompress");
        let mut count = 0;
        for record in records {
            let record = record.expect("every record of an accepted batch is well formed");
            assert_eq!(record.offset, count, "accepted offsets have no gap");
            assert!(
                timestamp_type == TimestampType::LogAppendTime
                    || record.timestamp_ms <= header.max_timestamp.max(-1)
            );
            count += 1;
        }
        assert_eq!(count, i64::from(header.record_count), "an accepted batch has the records it claims");
    }
}
