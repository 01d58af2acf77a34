//! What is refused, and as what: where not marked, as Apache Kafka 4.3.1 answered the same bytes.

#![expect(clippy::indexing_slicing, reason = "a test fails by a panic")]

use BatchErrorKind::{Corrupt, Invalid, OldFormat, Timestamp, TooLarge, UnsupportedCompression};

use std::io::Write as _;

use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};

use super::super::fuzz::NOW_MS;
use super::super::{BatchBuilder, BatchErrorKind, HEADER_BYTES, varint};
use super::*;
use crate::types::LeaderEpoch;

/// The bytes of a record with these deltas, key and value, and `extra` after its fields.
fn record(offset_delta: i32, timestamp_delta: i64, key: Option<&[u8]>, extra: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    varint::put_i64(&mut body, timestamp_delta);
    varint::put_i32(&mut body, offset_delta);
    match key {
        None => varint::put_i32(&mut body, -1),
        Some(key) => {
            varint::put_i64(&mut body, i64::try_from(key.len()).unwrap());
            body.extend_from_slice(key);
        }
    }
    varint::put_i32(&mut body, 1);
    body.push(b'v');
    varint::put_i32(&mut body, 0);
    body.extend_from_slice(extra);
    framed(&body)
}

/// `body` behind its length.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put_i64(&mut out, i64::try_from(body.len()).unwrap());
    out.extend_from_slice(body);
    out
}

fn keyed(offset_delta: i32) -> Vec<u8> {
    record(offset_delta, 0, Some(b"k"), &[])
}

/// The header of a good batch of `record_count` records.
fn good_header(record_count: i32) -> BatchHeader {
    BatchHeader {
        base_offset: 0,
        batch_length: 0,
        leader_epoch: LeaderEpoch(-1),
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: record_count - 1,
        base_timestamp: NOW_MS,
        max_timestamp: NOW_MS,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count,
    }
}

/// `records` under `header`, with the length and the checksum that belong to them.
fn batch(header: BatchHeader, records: &[u8]) -> Bytes {
    let batch_length = i32::try_from(HEADER_BYTES - 12 + records.len()).unwrap();
    let header = BatchHeader { batch_length, ..header }.with_crc_of(records);
    [&header.to_bytes()[..], records].concat().into()
}

/// A batch of three good records under the header that `change` makes of a good one.
fn three(change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = good_header(3);
    change(&mut header);
    batch(header, &[keyed(0), keyed(1), keyed(2)].concat())
}

/// A batch whose records are `compressed`, by `codec`.
fn compressed(codec: Compression, record_count: i32, compressed: &[u8]) -> Bytes {
    batch(BatchHeader { attributes: codec.code(), ..good_header(record_count) }, compressed)
}

/// A good batch of three records with `edit` made to its bytes.
fn edited(edit: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = three(|_| {}).to_vec();
    edit(&mut bytes);
    bytes.into()
}

#[track_caller]
fn check(rules: &ProduceRules, cases: Vec<(&str, Bytes, Result<(), BatchErrorKind>)>) {
    for (name, bytes, expected) in cases {
        let result = validate_produced(&bytes, rules, NOW_MS);
        assert_eq!(result.as_ref().map(|_| ()).map_err(|error| error.kind()), expected, "{name}: {result:?}");
    }
}

#[test]
fn what_the_frame_of_a_batch_must_be() {
    let one = three(|_| {});
    let cases = vec![
        ("good", one.clone(), Ok(())),
        ("nothing", Bytes::new(), Err(Invalid)),
        ("two batches", [&one[..], &one[..]].concat().into(), Err(Invalid)),
        // Kafka lets a few bytes pass, which it takes for the start of another batch.
        ("bytes after the batch", [&one[..], b"abc"].concat().into(), Err(Invalid)),
        ("a byte short", one.slice(..one.len() - 1), Err(Invalid)),
        ("half a header", one.slice(..30), Err(Invalid)),
        ("wrong checksum", edited(|bytes| bytes[20] ^= 1), Err(Corrupt)),
        ("format 0", edited(|bytes| bytes[16] = 0), Err(OldFormat)),
        ("format 1", edited(|bytes| bytes[16] = 1), Err(OldFormat)),
        ("format 3", edited(|bytes| bytes[16] = 3), Err(Corrupt)),
        ("format -1", edited(|bytes| bytes[16] = 255), Err(Corrupt)),
        (
            "length below a header",
            edited(|bytes| bytes[8..12].copy_from_slice(&48i32.to_be_bytes())),
            Err(Corrupt),
        ),
        ("negative length", edited(|bytes| bytes[8..12].fill(255)), Err(Corrupt)),
    ];
    check(&ProduceRules::default(), cases);
}

#[test]
fn what_the_header_must_say() {
    let producer = |id, epoch, sequence| {
        three(|header| {
            header.producer_id = id;
            header.producer_epoch = epoch;
            header.base_sequence = sequence;
        })
    };
    let attributes = |attributes| three(|header| header.attributes = attributes);
    let counts = |record_count, last_offset_delta| {
        three(|header| {
            header.record_count = record_count;
            header.last_offset_delta = last_offset_delta;
        })
    };
    let cases = vec![
        ("base offset 5", three(|header| header.base_offset = 5), Err(Invalid)),
        ("base offset -1", three(|header| header.base_offset = -1), Err(Invalid)),
        ("any leader epoch", three(|header| header.leader_epoch = LeaderEpoch(77)), Ok(())),
        ("no records", batch(BatchHeader { last_offset_delta: 0, ..good_header(0) }, b""), Err(Invalid)),
        ("no records, delta -1", batch(good_header(0), b""), Err(Invalid)),
        ("count 0 of three", counts(0, 2), Err(Invalid)),
        ("count -1", counts(-1, 2), Err(Invalid)),
        ("lowest count", counts(i32::MIN, i32::MAX), Err(Invalid)),
        ("delta beyond the count", counts(3, 3), Err(Invalid)),
        ("a record more than there are", counts(4, 3), Err(Invalid)),
        ("a record less than there are", counts(2, 1), Err(Invalid)),
        ("highest count", counts(i32::MAX, i32::MAX - 1), Err(Invalid)),
        ("control", attributes(1 << 5), Err(Invalid)),
        ("transaction without producer", attributes(1 << 4), Err(Invalid)),
        // Kafka clears the bit on a topic of the producers' time and refuses it on one of the broker's.
        ("append time", attributes(1 << 3), Err(Timestamp)),
        // Kafka stores these three.
        ("delete horizon", attributes(1 << 6), Err(Invalid)),
        ("bit 7", attributes(1 << 7), Err(Invalid)),
        ("bit 15", attributes(i16::MIN), Err(Invalid)),
        // Kafka answers these two with UNKNOWN_SERVER_ERROR.
        ("codec 5", attributes(5), Err(UnsupportedCompression)),
        ("codec 7", attributes(7), Err(UnsupportedCompression)),
        ("producer", producer(904, 0, 0), Ok(())),
        ("sequence that wraps", producer(904, 0, i32::MAX - 1), Ok(())),
        ("producer without epoch and sequence", producer(904, -1, -1), Err(Invalid)),
        ("producer without sequence", producer(904, 0, -1), Err(Invalid)),
        // Kafka takes it.
        ("producer without epoch", producer(904, -1, 0), Err(Invalid)),
        ("sequence without producer", producer(-1, -1, 5), Ok(())),
        ("epoch without producer", producer(-1, 5, -1), Ok(())),
    ];
    check(&ProduceRules::default(), cases);
}

#[test]
fn what_the_records_must_be() {
    let plain =
        |records: Vec<Vec<u8>>| batch(good_header(i32::try_from(records.len()).unwrap()), &records.concat());
    // Attributes, deltas, key length, value length, header count; varints of one byte.
    let raw = |fields: &[u8]| plain(vec![framed(fields)]);
    let cases = vec![
        ("one", raw(&[0, 0, 0, 1, 1, 0]), Ok(())),
        ("attributes of a record have no meaning", raw(&[255, 0, 0, 1, 1, 0]), Ok(())),
        ("empty key and value", raw(&[0, 0, 0, 0, 0, 0]), Ok(())),
        ("a header whose key is no UTF-8", raw(&[0, 0, 0, 1, 1, 2, 4, 255, 254, 1]), Ok(())),
        // Kafka takes it for -1.
        ("key length -2", raw(&[0, 0, 0, 3, 1, 0]), Err(Invalid)),
        ("key beyond the record", raw(&[0, 0, 0, 8, 1, 0]), Err(Invalid)),
        ("header without key", raw(&[0, 0, 0, 1, 1, 2, 1, 1]), Err(Invalid)),
        ("header count -1", raw(&[0, 0, 0, 1, 1, 1]), Err(Invalid)),
        ("a header less than counted", raw(&[0, 0, 0, 1, 1, 4, 0, 1]), Err(Invalid)),
        ("no fields", raw(&[]), Err(Invalid)),
        ("bytes after the fields", plain(vec![record(0, 0, None, b"zz")]), Err(Invalid)),
        ("bytes after the records", batch(good_header(1), &[&keyed(0)[..], b"xyz"].concat()), Err(Invalid)),
        // Kafka answers it with UNKNOWN_SERVER_ERROR.
        ("garbage", batch(good_header(3), &[0xff; 30]), Err(Invalid)),
        (
            "length beyond the batch",
            batch(good_header(1), &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0]),
            Err(Invalid),
        ),
        // Kafka lets these three into an uncompressed batch.
        ("gap", plain(vec![keyed(0), keyed(2), keyed(3)]), Err(Invalid)),
        ("start at 1", plain(vec![keyed(1), keyed(2)]), Err(Invalid)),
        ("twice the same", plain(vec![keyed(0), keyed(0)]), Err(Invalid)),
    ];
    check(&ProduceRules::default(), cases.clone());
    // The same records compressed meet the same answers.
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let recompressed = cases.clone().into_iter().map(|(name, bytes, expected)| {
            let header = BatchHeader::parse(&bytes).unwrap();
            let records = codec.compress(&bytes[HEADER_BYTES..], None);
            (name, batch(BatchHeader { attributes: codec.code(), ..header }, &records), expected)
        });
        check(&ProduceRules::default(), recompressed.collect());
    }
}

/// Kafka refuses them too: its Java client reads independent blocks alone, so one such batch would stop every consumer
/// of that kind at its offset.
#[test]
fn linked_lz4_blocks_are_an_invalid_record_and_independent_ones_are_not() {
    let records = [keyed(0), keyed(1), keyed(2)].concat();
    let frame = |mode| {
        let mut encoder = FrameEncoder::with_frame_info(FrameInfo::new().block_mode(mode), Vec::new());
        encoder.write_all(&records).unwrap();
        encoder.finish().unwrap()
    };
    let (linked, independent) = (frame(BlockMode::Linked), frame(BlockMode::Independent));
    let cases = vec![
        ("independent", compressed(Compression::Lz4, 3, &independent), Ok(())),
        ("linked", compressed(Compression::Lz4, 3, &linked), Err(Invalid)),
        (
            "linked behind independent",
            {
                let both = [frame(BlockMode::Independent), linked].concat();
                compressed(Compression::Lz4, 6, &both)
            },
            Err(Invalid),
        ),
    ];
    check(&ProduceRules::default(), cases);
}

#[test]
fn compressed_garbage_is_an_invalid_record() {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let records = [keyed(0), keyed(1), keyed(2)].concat();
        let good = codec.compress(&records, None);
        let cases = vec![
            ("good", compressed(codec, 3, &good), Ok(())),
            ("garbage", compressed(codec, 3, b"garbage!!garbage!!garbage!!"), Err(Invalid)),
            ("nothing", compressed(codec, 3, b""), Err(Invalid)),
            ("cut", compressed(codec, 3, &good[..good.len() - 1]), Err(Invalid)),
            ("a record less", compressed(codec, 4, &good), Err(Invalid)),
            ("a record more", compressed(codec, 2, &good), Err(Invalid)),
            ("trailing", compressed(codec, 3, &[&good[..], b"xxxx"].concat()), Err(Invalid)),
        ];
        check(&ProduceRules::default(), cases);
        let trusting = ProduceRules { check_compressed: false, ..ProduceRules::default() };
        check(&trusting, vec![("unseen", compressed(codec, 3, b"garbage"), Ok(()))]);
        let compacted = ProduceRules { needs_keys: true, ..trusting };
        check(&compacted, vec![("seen for the keys", compressed(codec, 3, b"garbage"), Err(Invalid))]);
    }
}

#[test]
fn zstd_needs_a_request_that_knows_it() {
    let records = Compression::Zstd.compress(&keyed(0), None);
    let rules = ProduceRules { allow_zstd: false, ..ProduceRules::default() };
    let cases = vec![
        ("zstd", compressed(Compression::Zstd, 1, &records), Err(UnsupportedCompression)),
        ("zstd garbage", compressed(Compression::Zstd, 1, b"garbage"), Err(UnsupportedCompression)),
        ("gzip", compressed(Compression::Gzip, 1, &Compression::Gzip.compress(&keyed(0), None)), Ok(())),
    ];
    check(&rules, cases);
}

#[test]
fn size_counts_the_whole_compressed_batch() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.append(NOW_MS, None, Some(&[7; 100_000]), &[]).unwrap();
    let bytes = builder.build();
    let limited = |max_message_bytes, max_decompressed_bytes| ProduceRules {
        max_message_bytes,
        max_decompressed_bytes,
        ..ProduceRules::default()
    };
    check(&limited(bytes.len(), 1 << 20), vec![("fits", bytes.clone(), Ok(()))]);
    check(&limited(bytes.len() - 1, 1 << 20), vec![("a byte too large", bytes.clone(), Err(TooLarge))]);
    check(&limited(1 << 20, 100_000), vec![("too large once decompressed", bytes, Err(TooLarge))]);
}

#[test]
fn records_at_fault_are_named_with_their_indexes() {
    let rules = ProduceRules {
        needs_keys: true,
        timestamp_before_max_ms: 1000,
        timestamp_after_max_ms: 1000,
        ..ProduceRules::default()
    };
    let deltas_and_keys: [(i64, Option<&[u8]>); 6] = [
        (0, Some(b"k")),
        (1000, None),
        (-1000, Some(b"")),
        (1001, Some(b"k")),
        (-1001, None),
        (-NOW_MS - 1, None),
    ];
    for codec in Compression::ALL {
        let faults_of = |selected: &[usize], rules: &ProduceRules| {
            let records = selected.iter().zip(0..).map(|(&which, index)| {
                let (timestamp_delta, key) = deltas_and_keys[which];
                record(index, timestamp_delta, key, &[])
            });
            let records: Vec<u8> = records.flatten().collect();
            let header = good_header(i32::try_from(selected.len()).unwrap());
            let header = BatchHeader { attributes: codec.code(), ..header };
            match validate_produced(&batch(header, &codec.compress(&records, None)), rules, NOW_MS) {
                Ok(_) => None,
                Err(error) => {
                    let indexes: Vec<i32> = error.records().iter().map(|fault| fault.index).collect();
                    Some((error.kind(), indexes))
                }
            }
        };
        assert_eq!(faults_of(&[0, 2], &rules), None);
        assert_eq!(faults_of(&[0, 1, 2, 5], &rules), Some((Invalid, vec![1, 3])));
        // One bad timestamp makes it the kind of the whole; both kinds of faults are named, each record by each.
        assert_eq!(faults_of(&[0, 1, 2, 3, 4], &rules), Some((Timestamp, vec![1, 3, 4, 4])));
        let by_broker =
            ProduceRules { timestamp_type: TimestampType::LogAppendTime, needs_keys: false, ..rules.clone() };
        assert_eq!(faults_of(&[0, 3, 4], &by_broker), None);
    }
}

#[test]
fn the_faults_named_are_bounded() {
    let count = 5000;
    let records: Vec<u8> = (0..count).flat_map(|index| record(index, 0, None, &[])).collect();
    let rules = ProduceRules { needs_keys: true, ..ProduceRules::default() };
    let error = validate_produced(&batch(good_header(count), &records), &rules, NOW_MS).unwrap_err();
    assert_eq!(error.records().len(), MAX_RECORD_FAULTS);
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn a_wrong_largest_timestamp_is_put_right() {
    let records = [record(0, 0, None, &[]), record(1, 500, None, &[]), record(2, 3, None, &[])].concat();
    for codec in Compression::ALL {
        for claimed in [-1, NOW_MS, NOW_MS + 499, NOW_MS + 501, i64::MAX, i64::MIN] {
            let header = BatchHeader { max_timestamp: claimed, attributes: codec.code(), ..good_header(3) };
            let bytes = batch(header, &codec.compress(&records, None));
            let accepted = validate_produced(&bytes, &ProduceRules::default(), NOW_MS).unwrap();
            assert_eq!(accepted.header().max_timestamp, NOW_MS + 500);
            assert!(accepted.crc_matches());
            assert_eq!(accepted.bytes()[HEADER_BYTES..], bytes[HEADER_BYTES..]);
        }
    }
    // Without a look at the records there is only the claim, and it must lie in the window.
    let trusting = ProduceRules { check_compressed: false, ..ProduceRules::default() };
    for (claimed, expected) in [(NOW_MS + 1, Ok(())), (i64::MAX, Err(Timestamp))] {
        let header = BatchHeader { max_timestamp: claimed, attributes: 4, ..good_header(3) };
        let bytes = batch(header, &Compression::Zstd.compress(&records, None));
        check(&trusting, vec![("claimed", bytes, expected)]);
    }
}

#[test]
fn no_timestamp_is_outside_every_window_and_allowed() {
    let rules =
        ProduceRules { timestamp_before_max_ms: 1, timestamp_after_max_ms: 1, ..ProduceRules::default() };
    let header = BatchHeader { base_timestamp: -1, max_timestamp: -1, ..good_header(1) };
    let bytes = batch(header, &keyed(0));
    let accepted = validate_produced(&bytes, &rules, NOW_MS).unwrap();
    assert_eq!(accepted.bytes(), &bytes);
}
