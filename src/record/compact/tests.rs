use super::*;
use crate::record::{BatchBuilder, Header, stamp};
use crate::types::{LeaderEpoch, ProducerEpoch, ProducerId};

const LIMIT: usize = 1 << 20;
const HORIZON_MS: TimestampMs = 1_700_086_400_000;
const NOW_MS: TimestampMs = 1_700_000_000_000;

/// Records 0 to 4 at offsets 100 to 104; the one of key `c` has no value.
fn batch(compression: Compression, timestamp_type: TimestampType) -> Batch {
    let mut builder = BatchBuilder::new(compression).timestamp_type(timestamp_type).producer(
        ProducerId(7),
        ProducerEpoch(1),
        40,
    );
    let header = Header { key: Bytes::from_static(b"h"), value: None };
    for (index, key) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let value = (key != "c").then_some(&b"value"[..]);
        let headers = if key == "b" { vec![header.clone(), header.clone()] } else { Vec::new() };
        builder.append(NOW_MS + index as i64 * 10, Some(key.as_bytes()), value, &headers).unwrap();
    }
    let mut bytes = builder.build().to_vec();
    stamp(&mut bytes, 100, LeaderEpoch(3));
    Batch::parse(bytes.into()).unwrap()
}

fn keys(batch: &Batch) -> Vec<(Offset, String, TimestampMs)> {
    let records = batch.records(LIMIT).unwrap().map(Result::unwrap);
    records
        .map(|record| {
            let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
            (record.offset, key, record.timestamp_ms)
        })
        .collect()
}

fn kept(batch: &Batch, wanted: &str) -> Remains {
    let keep = |record: KeyedRecord<'_>| {
        record.key.and_then(<[u8]>::first).is_some_and(|key| wanted.as_bytes().contains(key))
    };
    batch.retain(LIMIT, HORIZON_MS, keep).unwrap()
}

#[test]
fn what_stays_keeps_offsets_times_and_place() {
    for compression in Compression::ALL {
        let batch = batch(compression, TimestampType::CreateTime);
        let Remains::Some(bytes) = kept(&batch, "bd") else { panic!("two of five stay") };
        let left = Batch::parse(bytes).unwrap();
        assert!(left.crc_matches());
        assert_eq!(keys(&left), [(101, "b".into(), NOW_MS + 10), (103, "d".into(), NOW_MS + 30)]);
        let (old, new) = (batch.header(), left.header());
        assert_eq!((new.base_offset, new.last_offset(), new.leader_epoch), (100, 104, LeaderEpoch(3)));
        assert_eq!((new.producer(), new.base_sequence, new.last_sequence()), (old.producer(), 40, 44));
        assert_eq!(new.max_timestamp, NOW_MS + 30);
        assert_eq!(new.compression(), Ok(compression));
        assert!(!new.has_delete_horizon());
        let headers = left.records(LIMIT).unwrap().next().unwrap().unwrap().headers;
        assert_eq!(headers.len(), 2);
    }
}

#[test]
fn a_batch_of_which_all_stays_is_the_same_bytes() {
    let plain = batch(Compression::Gzip, TimestampType::CreateTime);
    let Remains::Some(without) = kept(&plain, "abde") else { panic!("the tombstone goes") };
    let without = Batch::parse(without).unwrap();
    assert_eq!(kept(&without, "abde"), Remains::All);
    assert_eq!(kept(&without, "c"), Remains::Nothing);
}

#[test]
fn a_tombstone_that_stays_gives_its_batch_a_delete_horizon_once() {
    for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        let batch = batch(Compression::Lz4, timestamp_type);
        let Remains::Some(bytes) = kept(&batch, "abcde") else { panic!("the horizon is new") };
        let left = Batch::parse(bytes).unwrap();
        assert!(left.crc_matches() && left.header().has_delete_horizon());
        assert_eq!(left.header().base_timestamp, HORIZON_MS);
        assert_eq!(keys(&left), keys(&batch), "the records' times are what they were");
        let again = left.retain(LIMIT, HORIZON_MS + 1, |_| true).unwrap();
        assert_eq!(again, Remains::All, "the first horizon stays");
    }
}

#[test]
fn under_the_brokers_time_the_largest_stays_that_of_all() {
    let batch = batch(Compression::None, TimestampType::LogAppendTime);
    let Remains::Some(bytes) = kept(&batch, "a") else { panic!("one stays") };
    assert_eq!(Batch::parse(bytes).unwrap().header().max_timestamp, batch.header().max_timestamp);
}

#[test]
fn an_emptied_batch_has_its_offsets_and_sequences_and_no_record() {
    let batch = batch(Compression::Zstd, TimestampType::CreateTime);
    let empty = Batch::parse(batch.emptied()).unwrap();
    assert!(empty.crc_matches());
    assert_eq!(empty.bytes().len(), HEADER_BYTES);
    assert_eq!(keys(&empty), []);
    let (old, new) = (batch.header(), empty.header());
    assert_eq!((new.base_offset, new.next_offset()), (old.base_offset, old.next_offset()));
    assert_eq!((new.producer(), new.base_sequence), (old.producer(), old.base_sequence));
    assert_eq!((new.max_timestamp, new.record_count), (old.max_timestamp, 0));
    assert_eq!(new.compression(), Ok(Compression::None));
    assert_eq!(empty.retain(LIMIT, 0, |_| true), Ok(Remains::Nothing));
}

#[test]
fn garbage_is_an_error_and_not_less_records() {
    let good = batch(Compression::None, TimestampType::CreateTime);
    let mut bytes = good.bytes().to_vec();
    *bytes.get_mut(HEADER_BYTES).unwrap() ^= 0x55;
    let bad = Batch::parse(bytes.into()).unwrap();
    assert!(bad.retain(LIMIT, 0, |_| true).is_err());
    assert!(bad.each_keyed(LIMIT, |_| {}).is_err());
    let mut seen = Vec::new();
    good.each_keyed(LIMIT, |record| seen.push((record.offset, record.is_tombstone))).unwrap();
    assert_eq!(seen, [(100, false), (101, false), (102, true), (103, false), (104, false)]);
}
