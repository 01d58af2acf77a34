//! Answers that Apache Kafka 4.3.1 gave to the same bytes, where this broker once answered otherwise.

use bytes::Bytes;
use millrace::record::{BatchBuilder, Compression};
use millrace::types::{ProducerEpoch, ProducerId};
use millrace::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use millrace::wire::messages::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use millrace::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millrace::wire::messages::init_producer_id::InitProducerIdRequest;
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Client, batch, broker, only, produce};

const TOPIC: i8 = 2;

fn fetch(partition: FetchPartition, min_bytes: i32, max_bytes: i32) -> FetchRequest {
    let topic = Str::from_static("feed");
    let topic = FetchTopic { topic, partitions: vec![partition].into(), ..Default::default() };
    FetchRequest {
        max_wait_ms: 60_000,
        min_bytes,
        max_bytes,
        topics: vec![topic].into(),
        ..Default::default()
    }
}

async fn first(client: &mut Client, request: &FetchRequest) -> PartitionData {
    let response = client.ask(request, 12).await;
    response.responses.iter().next().unwrap().partitions.iter().next().unwrap()
}

/// Batches are sent whole, so what is sent can stay below the limit for ever. A reader with
/// `fetch.min.bytes = max.partition.fetch.bytes` then waited `max_wait` in each fetch, however much there was: here
/// longer than the fixture is patient.
#[tokio::test]
async fn a_fetch_whose_limits_are_full_does_not_wait_for_min_bytes() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    for _ in 0..4 {
        client.ask(&produce("feed", -1, batch(&[b"value"])), 9).await;
    }
    let one = i32::try_from(batch(&[b"value"]).len()).unwrap();
    // Two and a half batches by partition, by the whole answer, and a minimum that no answer can reach.
    let enough = one * 5 / 2;
    for (partition_max_bytes, min_bytes, max_bytes) in
        [(enough, enough, 1 << 20), (1 << 20, enough, enough), (1 << 20, 1 << 20, enough)]
    {
        let partition = FetchPartition { partition_max_bytes, ..Default::default() };
        let answer = first(&mut client, &fetch(partition, min_bytes, max_bytes)).await;
        assert_eq!(answer.records.unwrap().into_bytes().len(), usize::try_from(one * 2).unwrap());
    }
}

#[tokio::test]
async fn an_epoch_that_the_log_has_never_seen_is_out_of_range() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    client.ask(&produce("feed", -1, batch(&[b"value"])), 9).await;
    for fetch_offset in [0, 1] {
        let partition = FetchPartition {
            fetch_offset,
            partition_max_bytes: 1 << 20,
            last_fetched_epoch: 1_000_000,
            ..Default::default()
        };
        let answer = first(&mut client, &fetch(partition, 1, 1 << 20)).await;
        assert_eq!(answer.error_code, ErrorCode::OFFSET_OUT_OF_RANGE, "offset {fetch_offset}");
    }
}

/// A transactional batch was stored without a transaction. Nobody could have ended it, so that from the first version
/// with transactions on nobody would have read past it.
#[tokio::test]
async fn a_transactional_batch_without_a_transactional_id_is_refused() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let produced = only(&client.ask(&produce("feed", -1, transactional()), 9).await);
    assert_eq!(produced.error_code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    let produced = only(&client.ask(&produce("feed", -1, batch(&[b"plain"])), 9).await);
    assert_eq!((produced.error_code, produced.base_offset), (ErrorCode::NONE, 0));
}

fn transactional() -> Bytes {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(ProducerId(7), ProducerEpoch(0), 0).transactional();
    builder.append(0, None, Some(b"value"), &[]).unwrap();
    builder.build()
}

#[tokio::test]
async fn half_a_producer_identity_and_an_empty_transactional_id_are_invalid_requests() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    for (producer_id, producer_epoch, expected) in [
        (-1, -1, ErrorCode::NONE),
        (5, 1, ErrorCode::NONE),
        (5, -1, ErrorCode::INVALID_REQUEST),
        (-1, 1, ErrorCode::INVALID_REQUEST),
    ] {
        let request = InitProducerIdRequest { producer_id, producer_epoch, ..Default::default() };
        let answer = client.ask(&request, 4).await;
        assert_eq!(answer.error_code, expected, "{producer_id} {producer_epoch}");
    }
    let request =
        InitProducerIdRequest { transactional_id: Some(Str::from_static("")), ..Default::default() };
    assert_eq!(client.ask(&request, 4).await.error_code, ErrorCode::INVALID_REQUEST);
}

#[tokio::test]
async fn space_around_a_value_is_not_part_of_it() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    for (name, given, kept) in
        [("retention.ms", " 66 ", "66"), ("cleanup.policy", " compact , delete ", "compact,delete")]
    {
        let name = Str::from_static(name);
        let change = AlterableConfig { name: name.clone(), value: Some(given.into()), ..Default::default() };
        let resource = AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: Str::from_static("feed"),
            configs: vec![change].into(),
        };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource].into(), ..Default::default() };
        let answer = client.ask(&request, 1).await;
        assert!(answer.responses.iter().all(|one| one.error_code.is_none()), "{answer:?}");
        let resource = DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: Str::from_static("feed"),
            configuration_keys: Some(vec![name].into()),
        };
        let request = DescribeConfigsRequest { resources: vec![resource].into(), ..Default::default() };
        let answer = client.ask(&request, 4).await;
        let entry = answer.results.iter().next().unwrap().configs.iter().next().unwrap();
        assert_eq!(entry.value.as_deref(), Some(kept));
    }
}

#[tokio::test]
async fn a_log_directory_lists_no_topic_without_partitions() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    for (partition, listed) in [(0, 1), (7, 0)] {
        let topic =
            DescribableLogDirTopic { topic: Str::from_static("feed"), partitions: vec![partition].into() };
        let request = DescribeLogDirsRequest { topics: Some(vec![topic].into()) };
        let answer = client.ask(&request, 4).await;
        assert_eq!(answer.results.iter().next().unwrap().topics.len(), listed, "partition {partition}");
    }
}
