//! Batches there and back, and what becomes of damaged ones.

#![expect(clippy::indexing_slicing, reason = "a test fails by a panic")]

use bytes::Bytes;
use proptest::prelude::*;

use super::fuzz::{NOW_MS, exercise};
use super::*;
use crate::types::{LeaderEpoch, NO_SEQUENCE, ProducerEpoch, ProducerId};

const LIMIT: usize = 1 << 24;

/// What a record is made of: timestamp, key, value, headers.
type Parts = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn any_field() -> impl Strategy<Value = Option<Vec<u8>>> {
    // Both what compresses and what does not.
    let field = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 0usize..3000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    prop::option::of(field)
}

fn any_records() -> impl Strategy<Value = Vec<Parts>> {
    let headers = prop::collection::vec(("[a-zé]{0,8}", any_field()), 0..3);
    let timestamp = NOW_MS - 1_000_000..NOW_MS + 1_000_000;
    prop::collection::vec((timestamp, any_field(), any_field(), headers), 1..30)
}

fn any_codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(&Compression::ALL[..])
}

fn append(builder: &mut BatchBuilder, (timestamp_ms, key, value, headers): &Parts) {
    let headers: Vec<Header> = headers
        .iter()
        .map(|(key, value)| Header {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: value.as_deref().map(Bytes::copy_from_slice),
        })
        .collect();
    let before = builder.uncompressed_size_bytes();
    let bound = BatchBuilder::record_size_bound(key.as_deref(), value.as_deref(), &headers);
    builder.append(*timestamp_ms, key.as_deref(), value.as_deref(), &headers).unwrap();
    assert!(builder.uncompressed_size_bytes() <= before + bound, "the bound holds");
}

fn batch_of(compression: Compression, records: &[Parts]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    records.iter().for_each(|record| append(&mut builder, record));
    builder.build()
}

fn parts(record: &Record) -> Parts {
    let owned = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
    let headers = record
        .headers
        .iter()
        .map(|header| (String::from_utf8(header.key.to_vec()).unwrap(), owned(&header.value)));
    (record.timestamp_ms, owned(&record.key), owned(&record.value), headers.collect())
}

fn sample(compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    let headers = [Header { key: Bytes::from_static(b"h"), value: None }];
    for index in 0..5 {
        let value = format!("value {index} value {index} value {index}");
        builder.append(NOW_MS + index, Some(b"key"), Some(value.as_bytes()), &headers).unwrap();
    }
    builder.build()
}

proptest! {
    #[test]
    fn built_batches_are_accepted_and_read_back(
        codec in any_codec(),
        records in any_records(),
        level in prop::option::of(-10i32..30),
    ) {
        let mut builder = BatchBuilder::new(codec);
        if let Some(level) = level {
            builder = builder.level(level);
        }
        records.iter().for_each(|record| append(&mut builder, record));
        let foretold = builder.uncompressed_size_bytes();
        let bytes = builder.build();
        if codec == Compression::None {
            prop_assert_eq!(bytes.len(), foretold);
        }
        let batch = validate_produced(&bytes, &ProduceRules::default(), NOW_MS).unwrap();
        prop_assert_eq!(batch.bytes(), &bytes, "a built header needs no correction");
        let header = batch.header();
        prop_assert_eq!(header.compression(), Ok(codec));
        prop_assert_eq!(header.producer(), None);
        prop_assert_eq!(header.next_offset(), records.len() as i64);
        let read: Vec<Parts> = batch.records(LIMIT).unwrap().map(|record| parts(&record.unwrap())).collect();
        prop_assert_eq!(&read, &records);

        // The lookups by time see what a search over the records sees.
        let latest = records.iter().map(|record| record.0).max().unwrap();
        let first_of = |timestamp_ms: i64, from: usize| {
            records.iter().enumerate().skip(from).find(|(_, record)| record.0 >= timestamp_ms).map(|(index, record)| {
                TimestampedOffset { offset: index as i64, timestamp_ms: record.0 }
            })
        };
        prop_assert_eq!(batch.max_timestamp_record(LIMIT).unwrap(), first_of(latest, 0));
        for wanted in [latest, latest + 1, NOW_MS, i64::MIN] {
            prop_assert_eq!(batch.first_at_or_after(wanted, 0, LIMIT).unwrap(), first_of(wanted, 0));
            prop_assert_eq!(batch.first_at_or_after(wanted, 2, LIMIT).unwrap(), first_of(wanted, 2));
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        exercise(&bytes);
    }

    #[test]
    fn no_mutation_makes_reading_panic_or_breaks_an_accepted_batch(
        codec in any_codec(),
        records in any_records(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        from in prop::sample::select(&[17usize, 61][..]),
    ) {
        let mut bytes = batch_of(codec, &records).to_vec();
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[from + at.index(length - from)] = byte;
        }
        exercise(&bytes);
    }
}

#[test]
fn every_truncation_is_refused() {
    for codec in Compression::ALL {
        let bytes = sample(codec);
        for length in 0..bytes.len() {
            let refused = validate_produced(&bytes.slice(..length), &ProduceRules::default(), NOW_MS);
            let error = refused.expect_err("a part of a batch is none");
            assert_eq!(error.kind(), BatchErrorKind::Invalid, "{codec} {length}");
            exercise(&bytes[..length]);
        }
    }
}

#[test]
fn every_flipped_bit_is_refused_except_in_the_leader_epoch() {
    for codec in Compression::ALL {
        let good = sample(codec);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let result = validate_produced(&bytes.into(), &ProduceRules::default(), NOW_MS);
            // It is the log's to assign, lies outside the checksum, and clients send anything there.
            let is_free = (12..16).contains(&(bit / 8));
            assert_eq!(result.is_ok(), is_free, "{codec} bit {bit}: {result:?}");
        }
    }
}

#[test]
fn every_flipped_bit_under_a_right_checksum_leaves_a_sound_batch_or_none() {
    for codec in Compression::ALL {
        let good = sample(codec);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            exercise(&bytes);
        }
    }
}

#[test]
fn stamping_places_a_batch_and_keeps_its_checksum() {
    let mut bytes = sample(Compression::Lz4).to_vec();
    let batch = Batch::parse(bytes.clone().into()).unwrap();
    stamp(&mut bytes, 1000, LeaderEpoch(7));
    assert!(crc_matches(&bytes));
    let header = BatchHeader::parse(&bytes).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch, header.next_offset()), (1000, LeaderEpoch(7), 1005));
    assert_eq!(batch.stamped_header(1000, LeaderEpoch(7), None), bytes[..HEADER_BYTES]);

    stamp_log_append_time(&mut bytes, 42);
    assert!(crc_matches(&bytes));
    let stamped = Batch::parse(bytes.clone().into()).unwrap();
    assert_eq!(stamped.header().timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(batch.stamped_header(1000, LeaderEpoch(7), Some(42)), bytes[..HEADER_BYTES]);
    assert!(stamped.records(LIMIT).unwrap().all(|record| record.unwrap().timestamp_ms == 42));
    let first = Some(TimestampedOffset { offset: 1000, timestamp_ms: 42 });
    assert_eq!(stamped.max_timestamp_record(LIMIT), Ok(first));
    assert_eq!(stamped.first_at_or_after(42, 0, LIMIT), Ok(first));
    assert_eq!(stamped.first_at_or_after(43, 0, LIMIT), Ok(None));
}

#[test]
fn concatenated_batches_come_one_by_one_and_a_partial_one_ends_them() {
    let whole = [sample(Compression::None), sample(Compression::Zstd), sample(Compression::Gzip)];
    let all = whole.concat();
    let ends = [0, whole[0].len(), whole[0].len() + whole[1].len(), all.len()];
    for length in 0..=all.len() {
        let bytes = Bytes::copy_from_slice(&all[..length]);
        let found: Vec<Batch> = batches(bytes).map(Result::unwrap).collect();
        let expected = ends.iter().filter(|&&end| end > 0 && end <= length).count();
        assert_eq!(found.len(), expected, "{length}");
        assert!(found.iter().zip(&whole).all(|(batch, whole)| batch.bytes() == whole));
    }
    let mut damaged = all;
    damaged[ends[1] + 16] = 9;
    let found: Vec<_> = batches(damaged.into()).map(|batch| batch.map(|_| ())).collect();
    assert_eq!(found, [Ok(()), Err(BatchError::UnknownMagic { magic: 9 })]);
}

#[test]
fn a_builder_goes_on_with_the_next_sequence_and_its_buffer() {
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new(codec);
        builder.set_producer(ProducerId(9), ProducerEpoch(1), i32::MAX - 1);
        let mut sequences = Vec::new();
        for _ in 0..3 {
            for index in 0..2 {
                assert_eq!(builder.append(NOW_MS, None, Some(b"v"), &[]), Ok(index));
            }
            let batch = validate_produced(&builder.build(), &ProduceRules::default(), NOW_MS).unwrap();
            assert!(builder.is_empty());
            assert_eq!(builder.uncompressed_size_bytes(), HEADER_BYTES);
            assert_eq!(batch.header().producer(), Some((ProducerId(9), ProducerEpoch(1))));
            let records = batch.records(LIMIT).unwrap().map(Result::unwrap);
            sequences.extend(records.map(|record| record.sequence));
            assert_eq!(batch.header().last_sequence(), *sequences.last().unwrap());
        }
        assert_eq!(sequences, [i32::MAX - 1, i32::MAX, 0, 1, 2, 3]);
    }
}

#[test]
fn the_size_estimate_follows_the_ratio_reached() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    let value = vec![b'x'; 1000];
    for _ in 0..30 {
        (0..20).for_each(|_| drop(builder.append(NOW_MS, None, Some(&value), &[])));
        builder.build();
    }
    (0..20).for_each(|_| drop(builder.append(NOW_MS, None, Some(&value), &[])));
    let estimate = builder.estimated_size_bytes();
    let built = builder.build().len();
    assert!(estimate >= built && estimate < 2000, "{estimate} for {built}");
}

#[test]
fn timestamps_at_the_ends_of_time_read_back() {
    let mut builder = BatchBuilder::new(Compression::None);
    let times = [0, i64::MAX, i64::MIN, -1];
    times.iter().for_each(|&time| drop(builder.append(time, None, None, &[])));
    let batch = Batch::parse(builder.build()).unwrap();
    assert_eq!(batch.header().max_timestamp, i64::MAX);
    let read: Vec<i64> = batch.records(0).unwrap().map(|record| record.unwrap().timestamp_ms).collect();
    assert_eq!(read, times);
}

#[test]
fn values_of_an_uncompressed_batch_are_slices_of_it() {
    let bytes = sample(Compression::None);
    let range = bytes.as_ptr_range();
    for record in Batch::parse(bytes.clone()).unwrap().records(0).unwrap() {
        let record = record.unwrap();
        assert_eq!(record.sequence, NO_SEQUENCE);
        assert!(range.contains(&record.value.unwrap().as_ptr()));
        assert!(range.contains(&record.key.unwrap().as_ptr()));
    }
}

#[test]
fn a_batch_from_compaction_may_have_holes_but_not_run_back() {
    // Offsets 0, 1, 4 of five, as compaction leaves them: the header keeps the range.
    let mut builder = BatchBuilder::new(Compression::None);
    (0..3).for_each(|index| drop(builder.append(NOW_MS + index, Some(b"k"), None, &[])));
    let bytes = builder.build();
    let record_bytes = (bytes.len() - HEADER_BYTES) / 3;
    let with_deltas = |deltas: [u8; 3]| {
        let mut bytes = bytes.to_vec();
        for (index, delta) in deltas.into_iter().enumerate() {
            // After length, attributes and timestamp delta, one byte each; zigzag doubles.
            bytes[HEADER_BYTES + index * record_bytes + 3] = delta * 2;
        }
        let header = BatchHeader { last_offset_delta: 4, ..BatchHeader::parse(&bytes).unwrap() };
        header::rewrite(&mut bytes, header);
        Batch::parse(bytes.into()).unwrap()
    };
    let offsets = |batch: Batch| -> Result<Vec<i64>, BatchError> {
        batch.records(0).unwrap().map(|record| record.map(|record| record.offset)).collect()
    };
    assert_eq!(offsets(with_deltas([0, 1, 4])), Ok(vec![0, 1, 4]));
    for (deltas, index, expected, found) in [([0, 2, 2], 2, 3, 2), ([0, 1, 5], 2, 2, 5), ([3, 1, 4], 1, 4, 1)]
    {
        let problem = RecordProblem::BadOffset { expected, found };
        assert_eq!(offsets(with_deltas(deltas)), Err(BatchError::MalformedRecord { index, problem }));
    }
}
