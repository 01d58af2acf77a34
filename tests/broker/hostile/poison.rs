//! Batches that would make a log unreadable, a consumer stumble or the next start fail.

use std::net::SocketAddr;

use bytes::Bytes;
use millrace::record::{BatchBuilder, Compression};
use millrace::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::wire::{ErrorCode, Str};

use super::bombs::CODECS;
use super::victim::Victim;
use crate::fixture::{Client, batch, only, produce};

/// Where the fields of a batch are. Source: message format v2.
const LENGTH: usize = 8;
const MAGIC: usize = 16;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_TIMESTAMP: usize = 27;
const COUNT: usize = 57;
const RECORDS: usize = 61;

/// A good batch with bytes written over, its checksum put right again unless that is the point.
fn altered(good: &Bytes, at: usize, with: &[u8]) -> Bytes {
    let mut bytes = good.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    if at != CRC {
        let crc = crc32c::crc32c(&bytes[ATTRIBUTES..]);
        bytes[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    }
    bytes.into()
}

/// Every poison with its name.
pub(super) fn poisons() -> Vec<(String, Bytes)> {
    let good = batch(&[b"one", b"two", b"three"]);
    let mut poisons = vec![
        ("a wrong checksum".to_owned(), altered(&good, CRC, &[0, 0, 0, 0])),
        ("a cut batch".to_owned(), good.slice(..good.len() - 3)),
        ("a cut header".to_owned(), good.slice(..40)),
        ("bytes behind the batch".to_owned(), [&good[..], b"more"].concat().into()),
        ("two batches".to_owned(), [&good[..], &good[..]].concat().into()),
        ("no records at all".to_owned(), altered(&good, COUNT, &[0, 0, 0, 0])),
        ("a transaction nobody began".to_owned(), altered(&good, ATTRIBUTES, &[0, 0x10])),
        ("a control batch".to_owned(), altered(&good, ATTRIBUTES, &[0, 0x20])),
        ("an unknown codec".to_owned(), altered(&good, ATTRIBUTES, &[0, 7])),
        ("a delete horizon".to_owned(), altered(&good, ATTRIBUTES, &[0, 0x40])),
        ("an earlier last offset".to_owned(), altered(&good, LAST_OFFSET_DELTA, &[0, 0, 0, 1])),
        ("a last offset far away".to_owned(), altered(&good, LAST_OFFSET_DELTA, &[0x7f, 0xff, 0xff, 0xff])),
        ("a negative last offset".to_owned(), altered(&good, LAST_OFFSET_DELTA, &[0xff; 4])),
        ("a base timestamp out of range".to_owned(), altered(&good, BASE_TIMESTAMP, &[0x7f; 8])),
        ("a record with a huge length".to_owned(), altered(&good, RECORDS, &[0xfe, 0xff, 0xff, 0xff, 0x0f])),
        ("a record with a negative length".to_owned(), altered(&good, RECORDS, &[0x01])),
    ];
    for magic in [0, 1, 3, 0xff] {
        poisons.push((format!("magic {magic}"), altered(&good, MAGIC, &[magic])));
    }
    for length in [i32::MAX, -1, 0, i32::MIN, 49, good.len() as i32] {
        poisons.push((format!("a length of {length}"), altered(&good, LENGTH, &length.to_be_bytes())));
    }
    for count in [1, 2, 4, -1, i32::MAX, i32::MIN] {
        poisons.push((format!("a count of {count}"), altered(&good, COUNT, &count.to_be_bytes())));
    }
    for codec in CODECS {
        // Bytes that no codec takes for its own, behind a header that says it is compressed.
        poisons.push((format!("{codec} that is not"), altered(&good, ATTRIBUTES, &[0, codec.code() as u8])));
        let mut builder = BatchBuilder::new(codec);
        for _ in 0..50 {
            builder.append(0, None, Some(b"compressible compressible compressible"), &[]).unwrap();
        }
        let packed = builder.build();
        poisons.push((format!("{codec} with a false count"), altered(&packed, COUNT, &[0, 0, 0, 49])));
        let cut = packed.len() - 9;
        let mut shorter = packed.slice(..cut).to_vec();
        shorter[LENGTH..LENGTH + 4].copy_from_slice(&(cut as i32 - 12).to_be_bytes());
        poisons.push((format!("{codec} cut short"), altered(&shorter.into(), COUNT, &[0, 0, 0, 50])));
    }
    poisons
}

/// The end of partition 0 of the topic.
async fn end_of(client: &mut Client, topic: &'static str) -> i64 {
    let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: Str::from_static(topic), partitions: vec![partition].into() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic].into(), ..Default::default() };
    let response = client.ask(&request, 7).await;
    response.topics.iter().next().unwrap().partitions.iter().next().unwrap().offset
}

/// Sends every poison, each of which must be refused by a code that tells what it is.
pub(super) async fn give(broker: SocketAddr) {
    let mut client = Client::connect(broker).await;
    client.make_topic("well").await;
    for (name, poison) in poisons() {
        let response = client.ask(&produce("well", -1, poison), 9).await;
        let code = only(&response).error_code;
        let telling = [
            ErrorCode::CORRUPT_MESSAGE,
            ErrorCode::INVALID_RECORD,
            ErrorCode::INVALID_TIMESTAMP,
            ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            ErrorCode::MESSAGE_TOO_LARGE,
            ErrorCode::INVALID_TXN_STATE,
        ];
        assert!(telling.contains(&code), "{name}: {code:?}");
    }
    assert_eq!(end_of(&mut client, "well").await, 0, "a poison is in the log");
}

/// The bytes of all segments of topics, without what is reserved ahead.
fn segment_bytes(dir: &std::path::Path) -> usize {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes += segment_bytes(&path);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let content = std::fs::read(&path).unwrap();
            bytes += content.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        }
    }
    bytes
}

#[tokio::test]
async fn f20_no_byte_of_a_poison_batch_reaches_the_log_and_a_restart_is_well() {
    let mut victim = Victim::start(&[]);
    give(victim.address).await;
    assert_eq!(segment_bytes(&victim.dir.path().join("data/topics")), 0);
    let mut client = Client::connect(victim.address).await;
    let good = client.ask(&produce("well", -1, batch(&[b"good"])), 9).await;
    assert_eq!(only(&good).base_offset, 0);
    // Every codec is accepted when it is honest.
    for (index, codec) in (0i64..).zip(Compression::ALL) {
        let mut builder = BatchBuilder::new(codec);
        builder.append(0, None, Some(b"honest"), &[]).unwrap();
        let good = client.ask(&produce("well", -1, builder.build()), 9).await;
        assert_eq!(only(&good).base_offset, 1 + index, "{codec}");
    }
    victim.kill_and_start_again();
    let mut client = Client::connect(victim.address).await;
    assert_eq!(end_of(&mut client, "well").await, 1 + Compression::ALL.len() as i64);
}
