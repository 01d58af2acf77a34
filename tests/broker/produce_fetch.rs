//! Produce, Fetch, ListOffsets, OffsetForLeaderEpoch, InitProducerId, DeleteRecords through the socket.

use bytes::Bytes;
use millrace::record::{BatchBuilder, Compression, batches};
use millrace::types::TopicId;
use millrace::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use millrace::wire::messages::init_producer_id::InitProducerIdRequest;
use millrace::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::wire::messages::metadata::{MetadataRequest, MetadataResponse};
use millrace::wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Client, batch, broker, only, produce};

fn fetch_at(topic: &'static str, fetch_offset: i64) -> FetchRequest {
    let partition = FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic {
        topic: Str::from_static(topic),
        partitions: vec![partition].into(),
        ..Default::default()
    };
    FetchRequest { max_bytes: 1 << 20, topics: vec![topic].into(), ..Default::default() }
}

async fn fetched(client: &mut Client, request: &FetchRequest, version: i16) -> PartitionData {
    let response = client.ask(request, version).await;
    assert_eq!((response.error_code, response.session_id), (ErrorCode::NONE, 0));
    response.responses.iter().next().unwrap().partitions.iter().next().unwrap()
}

fn values(partition: &PartitionData) -> Vec<Bytes> {
    let records = partition.records.clone().unwrap().into_bytes();
    batches(records)
        .flat_map(|batch| {
            batch
                .unwrap()
                .records(1 << 20)
                .unwrap()
                .map(|record| record.unwrap().value.unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

async fn listed(client: &mut Client, timestamp: i64, version: i16) -> (ErrorCode, i64, i64) {
    let partition = ListOffsetsPartition { timestamp, ..Default::default() };
    let topic = ListOffsetsTopic { name: Str::from_static("feed"), partitions: vec![partition].into() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic].into(), ..Default::default() };
    let response = client.ask(&request, version).await;
    let found = response.topics.iter().next().unwrap().partitions.iter().next().unwrap();
    (found.error_code, found.offset, found.timestamp)
}

#[tokio::test]
async fn what_is_produced_is_fetched_in_every_version() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let id = {
        let metadata: MetadataResponse = client.ask(&MetadataRequest::default(), 12).await;
        metadata.topics.iter().next().unwrap().topic_id
    };
    let mut expected = Vec::new();
    for version in 3..=13 {
        let value = format!("by version {version}");
        let mut request = produce("feed", if version % 2 == 0 { 1 } else { -1 }, batch(&[value.as_bytes()]));
        if version >= 13 {
            request.topic_data = request
                .topic_data
                .iter()
                .map(|topic| millrace::wire::messages::produce::TopicProduceData { topic_id: id, ..topic })
                .collect();
        }
        let produced = only(&client.ask(&request, version).await);
        assert_eq!((produced.error_code, produced.base_offset), (ErrorCode::NONE, expected.len() as i64));
        expected.push(value);
    }
    for version in 4..=18 {
        let mut request = fetch_at("feed", 0);
        if version >= 13 {
            request.topics =
                request.topics.iter().map(|topic| FetchTopic { topic_id: id, ..topic }).collect();
        }
        let partition = fetched(&mut client, &request, version).await;
        assert_eq!(partition.error_code, ErrorCode::NONE);
        assert_eq!(partition.high_watermark, expected.len() as i64);
        assert_eq!(values(&partition), expected, "version {version}");
    }
}

#[tokio::test]
async fn a_fetch_inside_a_batch_gets_the_whole_batch() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    client.ask(&produce("feed", -1, batch(&[b"0", b"1", b"2", b"3"])), 9).await;
    let partition = fetched(&mut client, &fetch_at("feed", 2), 11).await;
    assert_eq!(values(&partition), ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_waiting_fetch_is_answered_when_there_is_something() {
    let broker = broker(&[]).await;
    let mut reader = broker.connect().await;
    reader.make_topic("feed").await;
    let waiting = FetchRequest { max_wait_ms: 15_000, min_bytes: 1, ..fetch_at("feed", 0) };
    let correlation_id = reader.send(&waiting, 11).await;
    let mut writer = broker.connect().await;
    writer.ask(&produce("feed", -1, batch(&[b"now"])), 9).await;
    let response: millrace::wire::messages::fetch::FetchResponse = reader.receive(11, correlation_id).await;
    let partition = response.responses.iter().next().unwrap().partitions.iter().next().unwrap();
    assert_eq!(values(&partition), ["now"]);
}

#[tokio::test]
async fn acks_0_is_not_answered_and_its_failure_ends_the_connection() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    client.send(&produce("feed", 0, batch(&[b"quiet"])), 9).await;
    // The next answer is the next request's: nothing came for the first.
    let produced = only(&client.ask(&produce("feed", -1, batch(&[b"loud"])), 9).await);
    assert_eq!(produced.base_offset, 1);
    client.send(&produce("no-such-topic", 0, batch(&[b"lost"])), 9).await;
    client.is_closed().await;
}

#[tokio::test]
async fn each_refusal_has_its_code() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let mut wrong_crc = batch(&[b"x"]).to_vec();
    *wrong_crc.last_mut().unwrap() ^= 1;
    let two = [batch(&[b"x"]), batch(&[b"y"])].concat();
    let big = vec![b'x'; 1_100_000];
    for (topic, acks, records, error) in [
        ("feed", 2, batch(&[b"x"]), ErrorCode::INVALID_REQUIRED_ACKS),
        ("feed", -2, batch(&[b"x"]), ErrorCode::INVALID_REQUIRED_ACKS),
        ("nowhere", -1, batch(&[b"x"]), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        ("no way", -1, batch(&[b"x"]), ErrorCode::INVALID_TOPIC_EXCEPTION),
        ("feed", 1, wrong_crc.into(), ErrorCode::CORRUPT_MESSAGE),
        ("feed", 1, two.into(), ErrorCode::INVALID_RECORD),
        ("feed", 1, batch(&[&big]), ErrorCode::MESSAGE_TOO_LARGE),
    ] {
        let produced = only(&client.ask(&produce(topic, acks, records), 9).await);
        assert_eq!((produced.error_code, produced.base_offset), (error, -1), "{topic} {acks}");
    }
    let mut builder = BatchBuilder::new(Compression::Zstd);
    // Long enough to be worth compressing, or the builder leaves it as it is.
    builder.append(0, None, Some(&[b'x'; 1000]), &[]).unwrap();
    let zstd = builder.build();
    let produced = only(&client.ask(&produce("feed", 1, zstd.clone()), 6).await);
    assert_eq!(produced.error_code, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    let produced = only(&client.ask(&produce("feed", -1, zstd), 7).await);
    assert_eq!(
        (produced.error_code, produced.base_offset),
        (ErrorCode::NONE, 0),
        "nothing of the others was kept"
    );
    for version in [4, 9, 10] {
        // Whether a client reads zstd does not show in the version it asks in.
        assert_eq!(values(&fetched(&mut client, &fetch_at("feed", 0), version).await).len(), 1);
    }

    for offset in [-1, 2] {
        let partition = fetched(&mut client, &fetch_at("feed", offset), 11).await;
        assert_eq!(partition.error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    let unknown = FetchTopic {
        topic_id: TopicId([9; 16]),
        partitions: vec![FetchPartition { partition_max_bytes: 1, ..Default::default() }].into(),
        ..Default::default()
    };
    let request = FetchRequest { topics: vec![unknown].into(), max_bytes: 1, ..Default::default() };
    assert_eq!(fetched(&mut client, &request, 13).await.error_code, ErrorCode::UNKNOWN_TOPIC_ID);
}

#[tokio::test]
async fn no_fetch_session_is_kept() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    for (session_id, session_epoch) in [(0, 0), (0, -1), (7, 0), (7, -1)] {
        let request = FetchRequest { session_id, session_epoch, ..fetch_at("feed", 0) };
        assert_eq!(fetched(&mut client, &request, 11).await.error_code, ErrorCode::NONE);
    }
    for (session_id, session_epoch) in [(7, 1), (0, 1), (7, i32::MAX), (7, -2)] {
        let request = FetchRequest { session_id, session_epoch, ..fetch_at("feed", 0) };
        let response = client.ask(&request, 11).await;
        assert_eq!(response.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        assert!(response.responses.is_empty());
    }
}

#[tokio::test]
async fn offsets_are_found_by_end_and_by_time() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let mut builder = BatchBuilder::new(Compression::Gzip);
    for timestamp in [1_000, 3_000, 2_000] {
        builder.append(timestamp, None, Some(b"x"), &[]).unwrap();
    }
    client.ask(&produce("feed", -1, builder.build()), 9).await;
    for (timestamp, expected) in [
        (-1, (ErrorCode::NONE, 3, -1)),
        (-2, (ErrorCode::NONE, 0, -1)),
        (-3, (ErrorCode::NONE, 1, 3_000)),
        (-4, (ErrorCode::NONE, 0, -1)),
        (-5, (ErrorCode::NONE, -1, -1)),
        (-6, (ErrorCode::NONE, -1, -1)),
        (0, (ErrorCode::NONE, 0, 1_000)),
        (1_500, (ErrorCode::NONE, 1, 3_000)),
        (3_001, (ErrorCode::NONE, -1, -1)),
    ] {
        assert_eq!(listed(&mut client, timestamp, 11).await, expected, "{timestamp}");
    }
    assert_eq!(listed(&mut client, -3, 6).await.0, ErrorCode::UNSUPPORTED_VERSION);
}

#[tokio::test]
async fn records_are_deleted_from_the_start_of_the_log() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    for value in ["a", "b", "c"] {
        client.ask(&produce("feed", -1, batch(&[value.as_bytes()])), 9).await;
    }
    for (offset, expected) in
        [(1, (ErrorCode::NONE, 1)), (7, (ErrorCode::OFFSET_OUT_OF_RANGE, -1)), (-1, (ErrorCode::NONE, 3))]
    {
        let partition = DeleteRecordsPartition { partition_index: 0, offset };
        let topic = DeleteRecordsTopic { name: Str::from_static("feed"), partitions: vec![partition].into() };
        let request = DeleteRecordsRequest { topics: vec![topic].into(), timeout_ms: 1000 };
        let response = client.ask(&request, 2).await;
        let result = response.topics.iter().next().unwrap().partitions.iter().next().unwrap();
        assert_eq!((result.error_code, result.low_watermark), expected);
    }
    assert_eq!(listed(&mut client, -2, 5).await, (ErrorCode::NONE, 3, -1));
    assert_eq!(
        fetched(&mut client, &fetch_at("feed", 0), 11).await.error_code,
        ErrorCode::OFFSET_OUT_OF_RANGE
    );
}

#[tokio::test]
async fn an_epoch_ends_where_the_log_ends() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    client.ask(&produce("feed", -1, batch(&[b"x", b"y"])), 9).await;
    let metadata: MetadataResponse = client.ask(&MetadataRequest::default(), 9).await;
    let epoch = metadata.topics.iter().next().unwrap().partitions.iter().next().unwrap().leader_epoch;
    let mut ask = async |leader_epoch, current_leader_epoch| {
        let partition = OffsetForLeaderPartition { partition: 0, current_leader_epoch, leader_epoch };
        let topic =
            OffsetForLeaderTopic { topic: Str::from_static("feed"), partitions: vec![partition].into() };
        let request = OffsetForLeaderEpochRequest { topics: vec![topic].into(), ..Default::default() };
        let response = client.ask(&request, 4).await;
        let end = response.topics.iter().next().unwrap().partitions.iter().next().unwrap();
        (end.error_code, end.leader_epoch, end.end_offset)
    };
    assert_eq!(ask(epoch, -1).await, (ErrorCode::NONE, epoch, 2));
    assert_eq!(ask(epoch, epoch).await, (ErrorCode::NONE, epoch, 2));
    assert_eq!(ask(epoch + 1, -1).await, (ErrorCode::NONE, -1, -1));
    assert_eq!(ask(epoch, epoch + 1).await.0, ErrorCode::UNKNOWN_LEADER_EPOCH);
}

#[tokio::test]
async fn producer_ids_are_handed_out_once_and_not_to_transactions() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    let mut ids = Vec::new();
    for version in 0..=5 {
        let response = client.ask(&InitProducerIdRequest::default(), version).await;
        assert_eq!((response.error_code, response.producer_epoch), (ErrorCode::NONE, 0));
        ids.push(response.producer_id);
    }
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    let request =
        InitProducerIdRequest { transactional_id: Some(Str::from_static("t")), ..Default::default() };
    assert!(!client.ask(&request, 4).await.error_code.is_none());
}
