//! Decoding produce and fetch requests and encoding fetch responses: our tables against the `kafka-protocol` crate,
//! on the same bytes, in one run. `cargo bench --bench codec`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "the messages are the bench's own")]

mod support;

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as other;
use kafka_protocol::protocol::{Decodable as _, Encodable as _};
use millrace::wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData,
};
use millrace::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millrace::wire::{Message, Reader, decode_request, encode_request, encode_response};
use support::{in_turns, print_times, timed};

/// Bytes of request header before the body: key, version, correlation id, no client id, no tags.
const HEADER_BYTES: usize = 2 + 2 + 4 + 2 + 1;
const REPEATS: usize = 20_000;

fn main() {
    println!("codec: {REPEATS} messages a round");
    for partitions in [1, 100] {
        produce(partitions);
        fetch(partitions);
    }
    respond();
}

/// The body of a request as it stands in a frame.
fn body<R: millrace::wire::Request>(request: &R, version: i16) -> Bytes {
    let frame = encode_request(request, version, 1, None).unwrap().into_bytes();
    frame.slice(4 + HEADER_BYTES..)
}

fn produce(partitions: i32) {
    let version = 9;
    let parts: Vec<_> = (0..partitions)
        .map(|index| PartitionProduceData { index, records: Some(Bytes::from(vec![7; 1024])) })
        .collect();
    let topic =
        TopicProduceData { name: "orders".into(), partition_data: parts.into(), ..Default::default() };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic].into(), ..Default::default() };
    let bytes = body(&request, version);
    let mut ours = || {
        timed(|| {
            for _ in 0..REPEATS {
                let request: ProduceRequest = decode_request(&mut Reader::new(&bytes), version).unwrap();
                for topic in &request.topic_data {
                    for partition in &topic.partition_data {
                        black_box(partition.records);
                    }
                }
            }
        })
    };
    let mut theirs = || {
        timed(|| {
            for _ in 0..REPEATS {
                let request = other::ProduceRequest::decode(&mut bytes.clone(), version).unwrap();
                for topic in request.topic_data {
                    for partition in topic.partition_data {
                        black_box(partition.records);
                    }
                }
            }
        })
    };
    compare(&format!("decode and walk Produce v{version}, {partitions} partitions"), &mut ours, &mut theirs);
}

fn fetch(partitions: i32) {
    let version = 12;
    let parts: Vec<_> = (0..partitions)
        .map(|partition| FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() })
        .collect();
    let topic = FetchTopic { topic: "orders".into(), partitions: parts.into(), ..Default::default() };
    let request = FetchRequest { max_wait_ms: 500, topics: vec![topic].into(), ..Default::default() };
    let bytes = body(&request, version);
    let mut ours = || {
        timed(|| {
            for _ in 0..REPEATS {
                let request: FetchRequest = decode_request(&mut Reader::new(&bytes), version).unwrap();
                for topic in &request.topics {
                    for partition in &topic.partitions {
                        black_box(partition.fetch_offset);
                    }
                }
            }
        })
    };
    let mut theirs = || {
        timed(|| {
            for _ in 0..REPEATS {
                let request = other::FetchRequest::decode(&mut bytes.clone(), version).unwrap();
                for topic in request.topics {
                    for partition in topic.partitions {
                        black_box(partition.fetch_offset);
                    }
                }
            }
        })
    };
    compare(&format!("decode and walk Fetch v{version}, {partitions} partitions"), &mut ours, &mut theirs);
}

/// One partition with 160 KiB of records: ours splices them in, the crate copies them.
fn respond() {
    let version = 12;
    let records = Bytes::from(vec![7; 160 << 10]);
    let mut ours = || {
        timed(|| {
            for _ in 0..REPEATS {
                let partition =
                    PartitionData { records: Some(vec![records.clone()].into()), ..Default::default() };
                let topic = FetchableTopicResponse {
                    topic: "orders".into(),
                    partitions: vec![partition].into(),
                    ..Default::default()
                };
                let response = FetchResponse { responses: vec![topic].into(), ..Default::default() };
                black_box(encode_response(&response, version, 1).unwrap());
            }
        })
    };
    let mut theirs = || {
        timed(|| {
            for _ in 0..REPEATS {
                let mut partition = other::fetch_response::PartitionData::default();
                partition.records = Some(records.clone());
                let mut topic = other::fetch_response::FetchableTopicResponse::default();
                topic.topic = other::TopicName(kafka_protocol::protocol::StrBytes::from_static_str("orders"));
                topic.partitions.push(partition);
                let mut response = other::FetchResponse::default();
                response.responses.push(topic);
                let mut out = BytesMut::new();
                response.encode(&mut out, version).unwrap();
                black_box(out);
            }
        })
    };
    let title = format!("encode Fetch v{version} response, 160 KiB of records");
    assert_eq!(FetchResponse::API_KEY, FetchRequest::API_KEY);
    compare(&title, &mut ours, &mut theirs);
}

fn compare(
    title: &str,
    ours: &mut dyn FnMut() -> std::time::Duration,
    theirs: &mut dyn FnMut() -> std::time::Duration,
) {
    let contenders = in_turns(7, &mut [("millrace", ours), ("kafka-protocol", theirs)]);
    print_times(&format!("{title} (ms for {REPEATS})"), &contenders);
}
