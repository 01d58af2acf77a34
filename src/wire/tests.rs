//! What the differential tests cannot see: parts that are not copied, nulls and defaults by version, and error texts.

use std::collections::HashMap;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::messages::api_versions::{ApiVersion, ApiVersionsResponse, FinalizedFeatureKey};
use super::messages::fetch::{FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData};
use super::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use super::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use super::*;

fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version);
    writer.finish().into_bytes()
}

fn decoded<M: Message>(bytes: &Bytes, version: i16) -> M {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version).unwrap();
    assert_eq!(reader.remaining(), 0);
    message
}

fn fault_of<M: Message>(bytes: &'static [u8], version: i16) -> DecodeFault {
    M::decode(&mut Reader::new(&Bytes::from_static(bytes)), version).unwrap_err().fault
}

fn fetch_response(records: Records) -> FetchResponse {
    let partition = PartitionData {
        high_watermark: 9,
        records: Some(records),
        current_leader: LeaderIdAndEpoch { leader_id: 1, leader_epoch: 5 },
        ..PartitionData::default()
    };
    let topic = FetchableTopicResponse {
        topic: "t".into(),
        partitions: vec![partition].into(),
        ..FetchableTopicResponse::default()
    };
    FetchResponse { responses: vec![topic].into(), ..FetchResponse::default() }
}

// === parts ===

#[test]
fn record_bytes_leave_as_parts_that_were_never_copied() {
    let batches: Vec<Bytes> = (1..4u8).map(|fill| Bytes::from(vec![fill; 5000])).collect();
    let frame = encode_response(&fetch_response(batches.clone().into()), 12, 7).unwrap();
    let size_bytes = frame.size_bytes();
    let parts = frame.into_parts();
    assert_eq!(parts.iter().map(Bytes::len).sum::<usize>(), size_bytes);
    let shared = parts.iter().filter(|part| batches.iter().any(|batch| batch.as_ptr() == part.as_ptr()));
    assert_eq!(shared.count(), 3);
    // In front the header, behind them the tagged fields.
    assert_eq!(parts.len(), 5);
    let size = parts.front().unwrap().first_chunk().map(|size| u32::from_be_bytes(*size));
    assert_eq!(size.map(usize::try_from), Some(Ok(size_bytes - 4)));
}

#[test]
fn record_bytes_of_a_request_are_slices_of_its_frame() {
    let batch = PartitionProduceData { index: 0, records: Some(vec![1; 600].into()) };
    let topic =
        TopicProduceData { name: "t".into(), partition_data: vec![batch].into(), ..Default::default() };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic].into(), ..ProduceRequest::default() };
    let frame = encoded(&request, 9);
    let read: ProduceRequest = decoded(&frame, 9);
    assert_eq!(read, request);
    let records =
        read.topic_data.iter().flat_map(|topic| topic.partition_data).find_map(|batch| batch.records);
    assert!(frame.as_ptr_range().contains(&records.unwrap().as_ptr()));
}

#[test]
fn parts_are_a_buffer_that_vectored_writes_drain_in_any_steps() {
    let response = fetch_response(vec![Bytes::from(vec![1; 900]), Bytes::from(vec![2; 700])].into());
    let whole = encode_response(&response, 12, 7).unwrap().into_bytes();
    for step in [1, 3, 500, 899, 10_000] {
        let mut parts = encode_response(&response, 12, 7).unwrap();
        let mut drained = Vec::new();
        while parts.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = parts.chunks_vectored(&mut slices);
            let offered: Vec<u8> = slices.iter().take(count).flat_map(|slice| slice.to_vec()).collect();
            let taken = offered.len().min(step);
            drained.extend(offered.iter().take(taken));
            parts.advance(taken);
        }
        assert_eq!(drained, whole);
    }
}

#[test]
fn a_frame_beyond_2_gib_is_refused() {
    // The same memory many times: nothing is copied.
    let batch = Bytes::from(vec![0; 64 << 20]);
    let refused = encode_response(&fetch_response(vec![batch.clone(); 32].into()), 12, 7).unwrap_err();
    assert!(refused.size_bytes > 2 << 30);
    assert!(encode_response(&fetch_response(vec![batch; 31].into()), 12, 7).is_ok());
}

// === versions ===

#[test]
fn a_field_that_a_version_lacks_is_not_written_and_reads_as_its_default() {
    let request = MetadataRequest {
        topics: None,
        allow_auto_topic_creation: false,
        include_topic_authorized_operations: true,
        ..MetadataRequest::default()
    };
    assert_eq!(encoded(&request, 1)[..], [0xff; 4]);
    let read: MetadataRequest = decoded(&encoded(&request, 1), 1);
    assert!(read.allow_auto_topic_creation, "implied before version 4");
    assert_eq!(decoded::<MetadataRequest>(&encoded(&request, 13), 13), request);
}

#[test]
fn a_null_in_a_version_without_is_an_error_to_read_and_empty_when_written() {
    assert_eq!(fault_of::<MetadataRequest>(&[0xff; 4], 0), DecodeFault::UnexpectedNull);
    assert_eq!(encoded(&MetadataRequest::default(), 0)[..], [0; 4]);
    let by_id = MetadataRequestTopic { name: None, ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![by_id].into()), ..MetadataRequest::default() };
    assert_eq!(encoded(&request, 1)[..], [0, 0, 0, 1, 0, 0]);
    assert_eq!(decoded::<MetadataRequest>(&encoded(&request, 10), 10), request);
}

#[test]
fn tagged_fields_with_their_defaults_are_not_written() {
    let key = ApiVersion { api_key: 18, min_version: 0, max_version: 4 };
    let mut response = ApiVersionsResponse { api_keys: vec![key].into(), ..ApiVersionsResponse::default() };
    assert_eq!(encoded(&response, 3)[..], [0, 0, 2, 0, 18, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0]);
    response.finalized_features_epoch = 1;
    let feature = FinalizedFeatureKey { name: "f".into(), max_version_level: 2, min_version_level: 1 };
    response.finalized_features = vec![feature].into();
    let tags = [2, 1, 8, 0, 0, 0, 0, 0, 0, 0, 1, 2, 8, 2, 2, b'f', 0, 2, 0, 1, 0];
    assert_eq!(encoded(&response, 3).slice(14..), tags[..]);
    // The older encoding has no tags at all.
    assert_eq!(encoded(&response, 0)[..], [0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
}

#[test]
fn unknown_tagged_fields_are_passed_over() {
    let plain = Bytes::from_static(&[2, b'a', 2, b'b', 0]);
    let tagged = Bytes::from_static(&[2, b'a', 2, b'b', 2, 9, 1, 0xff, 0x8a, 1, 0]);
    type Read = messages::api_versions::ApiVersionsRequest;
    assert_eq!(decoded::<Read>(&tagged, 3), decoded::<Read>(&plain, 3));
}

#[test]
fn bytes_behind_a_request_are_let_be() {
    let bytes = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
    let mut reader = Reader::new(&bytes);
    assert_eq!(decode_request::<MetadataRequest>(&mut reader, 1), Ok(MetadataRequest::default()));
    assert_eq!(reader.remaining(), 3);
}

#[test]
fn headers_follow_the_version_of_the_message() {
    let versions =
        |api, version| (request_header_version(api, version), response_header_version(api, version));
    assert_eq!(versions(ApiKey::Produce, 8), (Some(1), Some(0)));
    assert_eq!(versions(ApiKey::Produce, 9), (Some(2), Some(1)));
    assert_eq!(versions(ApiKey::ApiVersions, 2), (Some(1), Some(0)));
    assert_eq!(versions(ApiKey::ApiVersions, 99), (Some(2), Some(0)), "always 0 in the response");
    assert_eq!(versions(ApiKey::LeaderAndIsr, 0), (None, None));
    let unknown = RequestHeader::read(&mut Reader::new(&Bytes::from_static(&[3, 0xe7, 0, 0, 0, 0, 0, 1])));
    assert_eq!(unknown.unwrap_err().fault, DecodeFault::UnsupportedApi { api_key: 999 });
}

#[test]
fn a_version_without_a_table_is_an_error() {
    let fault = fault_of::<MetadataResponse>(&[], 14);
    assert_eq!(fault, DecodeFault::UnsupportedVersion { api: ApiKey::Metadata, version: 14 });
    assert_eq!(fault.to_string(), "Metadata has no version 14");
}

// === faults ===

#[test]
fn each_fault_says_what_is_wrong_and_in_which_field() {
    let check = |bytes: &'static [u8], version, expected: &str| {
        let bytes = Bytes::from_static(bytes);
        let error = MetadataRequest::decode(&mut Reader::new(&bytes), version).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(&[0, 0], 1, "MetadataRequest.topics: 4 bytes needed, 2 remain");
    check(
        &[0x7f, 0xff, 0xff, 0xff, 0],
        1,
        "MetadataRequest.topics: an array of 2147483647 elements in 1 bytes",
    );
    check(&[0xff, 0xff, 0xff, 0xfe], 1, "MetadataRequest.topics: negative length -2");
    check(&[0, 0, 0, 1, 0, 3, b'a'], 1, "MetadataRequestTopic.name: 3 bytes needed, 1 remain");
    check(&[0, 0, 0, 1, 0, 1, 0xc3], 1, "MetadataRequestTopic.name: not UTF-8 from byte 0 on");
    check(&[0, 0, 0, 1, 0xff, 0xff], 1, "MetadataRequestTopic.name: null in a field that may not be null");
    check(&[0xff; 6], 9, "MetadataRequest.topics: a variable-length integer of more than 32 bits");
    check(&[2, 0x81, 0x80, 0x02], 9, "MetadataRequestTopic.name: a string of 32768 bytes; 32767 is the most");
    let tag_of_9_bytes = Bytes::from_static(&[0, 0, 1, 0, 0, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let error = ApiVersionsResponse::decode(&mut Reader::new(&tag_of_9_bytes), 3).unwrap_err();
    assert_eq!(error.to_string(), "tagged field 1 announces 9 bytes and uses 8");
}

#[test]
fn variable_length_integers_hold_32_bits() {
    for value in [0, 1, 127, 128, 16_383, 16_384, 300_000_000, u32::MAX] {
        let mut writer = Writer::new();
        writer.unsigned_varint(value);
        let bytes = writer.finish().into_bytes();
        assert_eq!(Reader::new(&bytes).unsigned_varint(), Ok(value));
    }
}

// === values ===

#[test]
fn an_overlong_text_is_cut_at_the_end_of_a_character() {
    let response = messages::create_topics::CreatableTopicResult {
        error_message: Some("ß".repeat(20_000).into()),
        ..Default::default()
    };
    for (flexible, length) in [(false, 32_766), (true, 32_766)] {
        let mut writer = Writer::new();
        writer.set_flexible(flexible);
        response.error_message.write(&mut writer, 7);
        let bytes = writer.finish().into_bytes();
        let mut reader = Reader::new(&bytes);
        reader.set_flexible(flexible);
        let read: Option<Str> = Field::read(&mut reader, 7).unwrap();
        assert_eq!(read.map(|text| text.len()), Some(length));
    }
}

#[test]
fn an_array_is_the_same_built_or_received() {
    let built: Array<Str> = ["a", "bc", ""].into_iter().map(Str::from).collect();
    let mut writer = Writer::new();
    built.write(&mut writer, 0);
    let bytes = writer.finish().into_bytes();
    let received = Array::<Str>::read(&mut Reader::new(&bytes), 0).unwrap();
    assert_eq!(received, built);
    assert_eq!((received.len(), received.is_empty()), (3, false));
    assert_eq!(received.iter().len(), 3);
    assert_eq!(format!("{received:?}"), r#"["a", "bc", ""]"#);
    assert!(received.clone().into_iter().eq(built.clone()));
    assert!(received.iter().skip(1).eq(["bc", ""].map(Str::from)));
    assert_ne!(received, Array::from(vec![Str::from("a")]));
    assert!(Array::<i32>::default().is_empty());
}

#[test]
fn a_str_is_looked_up_by_text() {
    let map = HashMap::from([(Str::from_static("topic"), 1)]);
    assert_eq!(map.get("topic"), Some(&1));
    assert_eq!(Str::from(String::from("topic")), "topic");
    assert_eq!(Str::from("a").cmp(&Str::from("b")), std::cmp::Ordering::Less);
    assert_eq!(String::from(Str::from("x")), "x");
}

#[test]
fn a_log_line_shows_records_by_their_size() {
    let shown = format!("{:?}", fetch_response(vec![Bytes::from_static(&[0; 10]); 2].into()));
    assert!(shown.contains("records: <20 bytes>"), "{shown}");
    assert!(shown.contains("aborted_transactions: null"), "{shown}");
    let batch = PartitionProduceData { index: 0, records: Some(Bytes::from_static(b"abc")) };
    assert_eq!(format!("{batch:?}"), "PartitionProduceData { index: 0, records: <3 bytes> }");
}
