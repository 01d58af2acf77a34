//! Metadata, DescribeCluster and DescribeTopicPartitions, as Kafka 4.3.1 answers them.

use millrace::types::TopicId;
use millrace::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use millrace::wire::messages::describe_cluster::DescribeClusterRequest;
use millrace::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicRequest,
};
use millrace::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Broker, Client, broker};

fn named(names: &[&'static str], allow_auto_topic_creation: bool) -> MetadataRequest {
    let topics: Vec<_> = names
        .iter()
        .map(|name| MetadataRequestTopic { name: Some(Str::from_static(name)), ..Default::default() })
        .collect();
    MetadataRequest { topics: Some(topics.into()), allow_auto_topic_creation, ..Default::default() }
}

fn only(response: &MetadataResponse) -> MetadataResponseTopic {
    assert_eq!(response.topics.len(), 1);
    response.topics.iter().next().unwrap()
}

async fn client_of(broker: &Broker) -> Client {
    broker.connect().await
}

#[tokio::test]
async fn a_topic_is_made_when_it_is_first_asked_for_and_is_there_at_once() {
    let broker = broker(&["num.partitions=3"]).await;
    let mut client = client_of(&broker).await;
    let refused = only(&client.ask(&named(&["events"], false), 9).await);
    assert_eq!(refused.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    for version in [1, 4, 9, 13] {
        let topic = only(&client.ask(&named(&["events"], true), version).await);
        assert_eq!((topic.error_code, topic.partitions.len()), (ErrorCode::NONE, 3), "version {version}");
        for (index, partition) in topic.partitions.iter().enumerate() {
            assert_eq!(partition.partition_index, i32::try_from(index).unwrap());
            assert_eq!(partition.leader_id, 1);
            assert_eq!(partition.replica_nodes.iter().collect::<Vec<_>>(), [1]);
            assert_eq!(partition.isr_nodes.iter().collect::<Vec<_>>(), [1]);
        }
    }
}

#[tokio::test]
async fn with_auto_creation_off_nothing_is_made() {
    let broker = broker(&["auto.create.topics.enable=false"]).await;
    let mut client = client_of(&broker).await;
    let topic = only(&client.ask(&named(&["events"], true), 9).await);
    assert_eq!(topic.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[tokio::test]
async fn a_name_that_breaks_the_rules_is_told_so_and_makes_nothing() {
    let broker = broker(&[]).await;
    let mut client = client_of(&broker).await;
    for name in ["a b", ".", "..", "", "../../etc/passwd", "ä"] {
        for allow in [true, false] {
            let topic = only(&client.ask(&named(&[name], allow), 9).await);
            assert_eq!(topic.error_code, ErrorCode::INVALID_TOPIC_EXCEPTION, "{name:?}");
        }
    }
    assert!(client.ask(&MetadataRequest::default(), 9).await.topics.is_empty());
}

#[tokio::test]
async fn null_asks_for_all_and_empty_for_none_but_in_version_0_empty_asks_for_all() {
    let broker = broker(&[]).await;
    let mut client = client_of(&broker).await;
    client.make_topic("a").await;
    client.make_topic("b").await;
    let all = MetadataRequest::default();
    let none = named(&[], true);
    assert_eq!(client.ask(&none, 0).await.topics.len(), 2);
    for version in 1..=13 {
        assert_eq!(client.ask(&all, version).await.topics.len(), 2, "version {version}");
        assert_eq!(client.ask(&none, version).await.topics.len(), 0, "version {version}");
    }
}

#[tokio::test]
async fn topics_are_looked_up_by_id() {
    let broker = broker(&[]).await;
    let mut client = client_of(&broker).await;
    client.make_topic("a").await;
    let id = only(&client.ask(&named(&["a"], false), 12).await).topic_id;
    let by_id = |topic_id, name| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { topic_id, name }].into()),
        ..Default::default()
    };
    let found = only(&client.ask(&by_id(id, None), 12).await);
    assert_eq!((found.error_code, found.name), (ErrorCode::NONE, Some(Str::from_static("a"))));
    // An id beats a name beside it.
    let unknown = TopicId([1; 16]);
    for name in [None, Some(Str::from_static("a"))] {
        let missing = only(&client.ask(&by_id(unknown, name), 12).await);
        assert_eq!((missing.error_code, missing.topic_id), (ErrorCode::UNKNOWN_TOPIC_ID, unknown));
        assert_eq!(missing.name, None);
    }
    // Before version 12 an id is a contradiction.
    let refused = client.ask(&by_id(id, None), 11).await;
    assert_eq!(only(&refused).error_code, ErrorCode::INVALID_REQUEST);
}

#[tokio::test]
async fn the_cluster_is_one_broker_with_an_address_that_can_be_reached() {
    let broker = broker(&[]).await;
    let mut client = client_of(&broker).await;
    let metadata = client
        .ask(&MetadataRequest { include_cluster_authorized_operations: true, ..Default::default() }, 9)
        .await;
    let node = metadata.brokers.iter().next().unwrap();
    assert_eq!((node.node_id, metadata.controller_id), (1, 1));
    assert_eq!(node.host, "127.0.0.1");
    assert_eq!(node.port, i32::from(broker.address.port()));
    assert_eq!(metadata.cluster_authorized_operations, 0x1fa0);
    let cluster_id = metadata.cluster_id.unwrap();
    assert_eq!(cluster_id.len(), 22, "{cluster_id}");

    for version in 0..=2 {
        let cluster = client.ask(&DescribeClusterRequest::default(), version).await;
        assert_eq!((cluster.error_code, cluster.cluster_id), (ErrorCode::NONE, cluster_id.clone()));
        assert_eq!(cluster.cluster_authorized_operations, i32::MIN);
        assert_eq!(cluster.brokers.len(), 1);
    }
    for (endpoint_type, error) in
        [(2, ErrorCode::MISMATCHED_ENDPOINT_TYPE), (9, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE)]
    {
        let refused = client.ask(&DescribeClusterRequest { endpoint_type, ..Default::default() }, 1).await;
        assert_eq!(refused.error_code, error);
    }
}

#[tokio::test]
async fn an_advertised_address_is_what_clients_are_told() {
    let broker = broker(&["advertised.listeners=PLAINTEXT://broker.example:19092"]).await;
    let metadata = client_of(&broker).await.ask(&MetadataRequest::default(), 9).await;
    let node = metadata.brokers.iter().next().unwrap();
    assert_eq!((node.host, node.port), (Str::from_static("broker.example"), 19092));
}

#[tokio::test]
async fn a_wildcard_is_not_what_clients_are_told() {
    let broker = broker(&["listeners=0.0.0.0:0", "allow.anonymous=true"]).await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], broker.address.port()));
    let mut client = Client::connect(address).await;
    let metadata = client.ask(&MetadataRequest::default(), 9).await;
    assert_eq!(metadata.brokers.iter().next().unwrap().host, "127.0.0.1", "the address the client came by");
}

#[tokio::test]
async fn partitions_are_described_page_by_page() {
    let broker = broker(&[]).await;
    let mut client = client_of(&broker).await;
    for name in ["a", "b"] {
        client.make_topic(name).await;
        let topic = CreatePartitionsTopic { name: Str::from_static(name), count: 3, ..Default::default() };
        let request =
            CreatePartitionsRequest { topics: vec![topic].into(), timeout_ms: 1000, ..Default::default() };
        let made = client.ask(&request, 3).await;
        assert!(made.results.iter().all(|result| result.error_code.is_none()), "{made:?}");
    }
    let mut cursor = None;
    let mut seen = Vec::new();
    loop {
        let request = DescribeTopicPartitionsRequest {
            response_partition_limit: 2,
            cursor: cursor.take(),
            ..Default::default()
        };
        let page: DescribeTopicPartitionsResponse = client.ask(&request, 0).await;
        let mut count = 0;
        for topic in &page.topics {
            for partition in &topic.partitions {
                seen.push((topic.name.clone().unwrap().to_string(), partition.partition_index));
                count += 1;
            }
        }
        assert!(count <= 2);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> =
        ["a", "b"].iter().flat_map(|name| (0..3).map(|index| (name.to_string(), index))).collect();
    assert_eq!(seen, expected);

    let names = ["zz", "a b", "b"].map(|name| TopicRequest { name: Str::from_static(name) });
    let request = DescribeTopicPartitionsRequest { topics: names.to_vec().into(), ..Default::default() };
    let page = client.ask(&request, 0).await;
    let errors: Vec<_> = page.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(
        errors,
        [ErrorCode::INVALID_TOPIC_EXCEPTION, ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]
    );
    let cursor = Some(Cursor { topic_name: Str::from_static("a"), partition_index: -1 });
    let page = client.ask(&DescribeTopicPartitionsRequest { cursor, ..Default::default() }, 0).await;
    assert!(page.topics.iter().all(|topic| topic.error_code == ErrorCode::INVALID_REQUEST));
}
