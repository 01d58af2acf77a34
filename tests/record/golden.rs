//! Batches that Kafka's Java client and librdkafka made, as a Kafka broker stored them.
//!
//! Where they come from: `tests/golden/record/README.md`.

use std::path::Path;

use bytes::Bytes;
use millrace::record::{
    Batch, Compression, HEADER_BYTES, Header, ProduceRules, Record, stamp, validate_produced,
};
use millrace::types::LeaderEpoch;

const LIMIT: usize = 1 << 20;

fn golden(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/record").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Reads a golden batch and holds it to what its broker made sure of.
fn read(name: &str, codec: Compression) -> (Batch, Vec<Record>) {
    let batch = Batch::parse(golden(name)).unwrap();
    assert!(batch.crc_matches(), "{name}");
    let header = *batch.header();
    assert_eq!(header.compression(), Ok(codec), "{name}");
    assert_eq!((header.base_offset, header.leader_epoch), (0, LeaderEpoch(0)), "{name}");
    // Sent as it is, it would be accepted unchanged; also by this clock.
    let accepted = validate_produced(batch.bytes(), &ProduceRules::default(), header.max_timestamp).unwrap();
    assert_eq!(accepted, batch, "{name}");
    let records: Vec<Record> = batch.records(LIMIT).unwrap().map(Result::unwrap).collect();
    let latest = records.iter().map(|record| record.timestamp_ms).max();
    let found = batch.max_timestamp_record(LIMIT).unwrap();
    assert_eq!(found.map(|found| found.timestamp_ms), latest, "{name}");
    (batch, records)
}

fn text(bytes: &Option<Bytes>) -> Option<&str> {
    bytes.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap())
}

#[test]
fn batches_of_the_java_client_read() {
    type Expected<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
    let long = "value two, a bit longer so that something repeats: two two two two two two two";
    let expected: [Expected<'_>; 5] = [
        (&[("h1", "v1"), ("h2", "v2")], Some("key-1"), Some("value one")),
        (&[("h1", ""), ("h1", "again")], Some("key-2"), Some(long)),
        (&[], None, Some("no key and no headers")),
        (&[("h", "x")], Some("key-4"), None),
        (&[("h", "x")], Some("key-5"), Some("")),
    ];
    for codec in Compression::ALL {
        let (batch, records) = read(&format!("java-{codec}.batch"), codec);
        // An idempotent producer, as Java's is by default.
        assert!(batch.header().producer().is_some());
        assert_eq!(records.len(), expected.len());
        for (record, (index, (headers, key, value))) in records.iter().zip((0i32..).zip(expected)) {
            assert_eq!(record.offset, i64::from(index));
            assert_eq!(record.sequence, index);
            assert_eq!((text(&record.key), text(&record.value)), (key, value));
            let pairs = record
                .headers
                .iter()
                .map(|Header { key, value }| (std::str::from_utf8(key).unwrap(), text(value).unwrap()));
            assert_eq!(pairs.collect::<Vec<_>>(), headers);
        }
    }
}

#[test]
fn batches_of_librdkafka_read() {
    for codec in Compression::ALL {
        let (batch, records) = read(&format!("librdkafka-{codec}.batch"), codec);
        assert_eq!(batch.header().producer(), None);
        assert_eq!(records.len(), 200);
        for (index, record) in records.iter().enumerate() {
            assert_eq!(text(&record.key), Some(&*format!("key-{index}")));
            assert_eq!(text(&record.value), Some(&*format!("value {index} of a batch made by librdkafka")));
            let header =
                Header { key: Bytes::from_static(b"origin"), value: Some(Bytes::from_static(b"kcat")) };
            assert_eq!(record.headers, [header]);
        }
    }
}

#[test]
fn the_same_records_built_here_are_the_same_bytes() {
    use millrace::record::BatchBuilder;
    // Codecs may choose other bytes; without one there is no choice.
    for name in ["java-none.batch", "librdkafka-none.batch"] {
        let (batch, records) = read(name, Compression::None);
        let mut builder = BatchBuilder::new(Compression::None);
        if let Some((id, epoch)) = batch.header().producer() {
            builder.set_producer(id, epoch, batch.header().base_sequence);
        }
        for record in &records {
            builder
                .append(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &record.headers)
                .unwrap();
        }
        let mut built = builder.build().to_vec();
        stamp(&mut built, 0, LeaderEpoch(0));
        assert!(built == batch.bytes()[..], "{name}: differs, header {:?}", &built[..HEADER_BYTES]);
    }
}
