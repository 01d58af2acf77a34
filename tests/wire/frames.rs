//! Frames that a real Apache Kafka has sent, see `tests/golden/kafka-4.3.1-frames.txt`.

use bytes::Bytes;
use millrace::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use millrace::wire::messages::describe_cluster::DescribeClusterRequest;
use millrace::wire::messages::describe_topic_partitions::DescribeTopicPartitionsRequest;
use millrace::wire::messages::init_producer_id::InitProducerIdRequest;
use millrace::wire::messages::list_offsets::ListOffsetsRequest;
use millrace::wire::messages::metadata::MetadataRequest;
use millrace::wire::{
    ApiKey, ErrorCode, Parts, Reader, Request, RequestHeader, RequestPrefix, decode_request, decode_response,
    encode_request, encode_response,
};

/// A recorded frame, without the size in front.
fn frame(name: &str) -> Bytes {
    let text = include_str!("../golden/kafka-4.3.1-frames.txt");
    let hex = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// A frame of ours, without the size in front, which must fit.
fn body_of(parts: Parts) -> Bytes {
    let mut bytes = parts.into_bytes();
    let size = bytes.split_to(4);
    assert_eq!(size[..], (bytes.len() as u32).to_be_bytes());
    bytes
}

/// Reads the request and the response of a recorded exchange and writes both again: the bytes are the same.
fn exchange<R: Request>(name: &str) -> (R, R::Response) {
    let recorded = frame(&format!("{name} request"));
    let mut reader = Reader::new(&recorded);
    let header = RequestHeader::read(&mut reader).unwrap();
    assert_eq!((header.api_key, header.correlation_id), (R::API_KEY, 7));
    let request: R = decode_request(&mut reader, header.api_version).unwrap();
    assert_eq!(reader.remaining(), 0);
    let written = encode_request(&request, header.api_version, 7, header.client_id.as_ref());
    assert_eq!(body_of(written.unwrap()), recorded);

    let recorded = frame(&format!("{name} response"));
    let (response_header, response) = decode_response::<R::Response>(&recorded, header.api_version).unwrap();
    assert_eq!(response_header.correlation_id, 7);
    assert_eq!(body_of(encode_response(&response, header.api_version, 7).unwrap()), recorded);
    (request, response)
}

#[test]
fn api_versions_names_keys_and_features() {
    let (request, response) = exchange::<ApiVersionsRequest>("ApiVersions_4");
    assert_eq!(request.client_software_name, "a");
    let fetch = response.api_keys.iter().find(|key| key.api_key == ApiKey::Fetch.code()).unwrap();
    assert_eq!((fetch.min_version, fetch.max_version), (4, 18));
    let level = |name: &str| response.finalized_features.iter().find(|feature| feature.name == name).unwrap();
    assert_eq!(level("transaction.version").max_version_level, 2);
    assert!(response.supported_features.iter().any(|feature| feature.name == "share.version"));
    assert!(response.finalized_features_epoch > 0);
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_the_shape_of_version_0() {
    let recorded = frame("ApiVersions_5 request");
    let prefix = RequestPrefix::read(&mut Reader::new(&recorded)).unwrap();
    assert_eq!(prefix, RequestPrefix { api_key: 18, api_version: 5, correlation_id: 7 });
    let header = RequestHeader::read(&mut Reader::new(&recorded)).unwrap();
    assert_eq!(header.client_id, Some("x".into()));

    let answer = frame("ApiVersions_5 response");
    let (_, response) = decode_response::<ApiVersionsResponse>(&answer, 0).unwrap();
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION);
    let keys: Vec<_> =
        response.api_keys.iter().map(|key| (key.api_key, key.min_version, key.max_version)).collect();
    assert_eq!(keys, [(18, 0, 4)]);
    assert_eq!(body_of(encode_response(&response, 0, 7).unwrap()), answer);
}

#[test]
fn metadata_has_the_topic_and_its_leader() {
    let (_, response) = exchange::<MetadataRequest>("Metadata_13");
    let broker = response.brokers.iter().next().unwrap();
    assert_eq!((broker.node_id, broker.host.as_str(), broker.port), (1, "127.0.0.1", 19792));
    let topic = response.topics.iter().next().unwrap();
    assert_eq!(topic.name.as_deref(), Some("golden"));
    assert_eq!(topic.topic_authorized_operations, i32::MIN);
    let partition = topic.partitions.iter().next().unwrap();
    assert_eq!((partition.leader_id, partition.leader_epoch), (1, 0));
    assert_eq!(partition.replica_nodes, vec![1].into());
}

#[test]
fn list_offsets_11_is_newer_than_the_crate() {
    let (request, response) = exchange::<ListOffsetsRequest>("ListOffsets_11");
    let asked = request.topics.iter().next().unwrap();
    let timestamps: Vec<_> = asked.partitions.iter().map(|partition| partition.timestamp).collect();
    assert_eq!((timestamps, request.timeout_ms), (vec![-1, -2, -6], 1000));
    let errors: Vec<_> =
        response.topics.iter().flat_map(|topic| topic.partitions).map(|p| p.error_code).collect();
    // Partition 9 does not exist, and partition 0 was asked for twice.
    assert_eq!(errors, [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::INVALID_REQUEST]);
}

#[test]
fn the_admin_messages_read_as_kafka_writes_them() {
    let (_, cluster) = exchange::<DescribeClusterRequest>("DescribeCluster_2");
    assert_eq!((cluster.controller_id, cluster.brokers.len()), (1, 1));
    let (request, topics) = exchange::<DescribeTopicPartitionsRequest>("DescribeTopicPartitions_0");
    assert_eq!((request.cursor, &topics.next_cursor), (None, &None));
    let partition = topics.topics.iter().next().unwrap().partitions.into_iter().next().unwrap();
    assert!(partition.eligible_leader_replicas.is_some_and(|replicas| replicas.is_empty()));
    let (_, producer) = exchange::<InitProducerIdRequest>("InitProducerId_5");
    assert_eq!((producer.error_code, producer.producer_id), (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, -1));
}
