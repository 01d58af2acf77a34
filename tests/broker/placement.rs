//! The admin APIs about where partitions are and who decides, by the answers of Apache Kafka 4.3.1 to the same requests.

use bytes::Bytes;
use millrace::record::{BatchBuilder, Compression};
use millrace::types::{ProducerEpoch, ProducerId};
use millrace::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use millrace::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use millrace::wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use millrace::wire::messages::describe_producers::{DescribeProducersRequest, TopicRequest};
use millrace::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumRequestPartition, DescribeQuorumRequestTopic,
};
use millrace::wire::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use millrace::wire::messages::list_config_resources::ListConfigResourcesRequest;
use millrace::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use millrace::wire::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Client, broker, only, produce};
use super::topics::alter;

const NONE: ErrorCode = ErrorCode::NONE;
const UNKNOWN: ErrorCode = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;

/// What elections come to: the code of the whole, and of each topic and partition.
async fn elect(
    client: &mut Client,
    version: i16,
    election_type: i8,
    topics: Option<&[(&'static str, &[i32])]>,
) -> (ErrorCode, Vec<(String, Vec<ErrorCode>)>) {
    let asked = |&(topic, partitions): &(&'static str, &[i32])| TopicPartitions {
        topic: Str::from_static(topic),
        partitions: partitions.to_vec().into(),
    };
    let request = ElectLeadersRequest {
        election_type,
        topic_partitions: topics.map(|topics| topics.iter().map(asked).collect()),
        timeout_ms: 1000,
    };
    let response = client.ask(&request, version).await;
    let results = response.replica_election_results.iter().map(|result| {
        let codes = result.partition_result.iter().map(|partition| partition.error_code).collect();
        (result.topic.to_string(), codes)
    });
    (response.error_code, results.collect())
}

#[tokio::test]
async fn no_election_is_ever_needed() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let not_needed = ErrorCode::ELECTION_NOT_NEEDED;
    let asked: &[(&'static str, &[i32])] = &[("feed", &[0, 7]), ("nope", &[0]), ("a b", &[0])];
    let expected = [
        ("feed".to_owned(), vec![not_needed, UNKNOWN]),
        ("nope".to_owned(), vec![UNKNOWN]),
        ("a b".to_owned(), vec![UNKNOWN]),
    ];
    for (version, election_type) in [(0, 0), (1, 0), (2, 0), (2, 1)] {
        let elected = elect(&mut client, version, election_type, Some(asked)).await;
        assert_eq!(elected, (NONE, expected.to_vec()), "version {version} type {election_type}");
    }
    // For all that need it: the topics, with no partition.
    assert_eq!(elect(&mut client, 2, 0, None).await, (NONE, vec![("feed".to_owned(), vec![])]));
    let invalid = ErrorCode::INVALID_REQUEST;
    let elected = elect(&mut client, 2, 9, Some(&[("feed", &[0])])).await;
    assert_eq!(elected, (invalid, vec![("feed".to_owned(), vec![invalid])]));
}

#[tokio::test]
async fn a_partition_can_be_reassigned_to_where_it_is() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let invalid = ErrorCode::INVALID_REPLICA_ASSIGNMENT;
    for (topic, partition_index, replicas, expected) in [
        ("feed", 0, None, ErrorCode::NO_REASSIGNMENT_IN_PROGRESS),
        ("feed", 0, Some(vec![1]), NONE),
        ("feed", 0, Some(vec![2]), invalid),
        ("feed", 0, Some(vec![1, 2]), invalid),
        ("feed", 0, Some(vec![1, 1]), invalid),
        ("feed", 0, Some(vec![-1]), invalid),
        ("feed", 0, Some(vec![]), invalid),
        ("feed", 9, Some(vec![1]), UNKNOWN),
        ("nope", 0, Some(vec![1]), UNKNOWN),
        ("nope", 0, None, UNKNOWN),
        ("a b", 0, Some(vec![1]), UNKNOWN),
    ] {
        for version in [0, 1] {
            let partition =
                ReassignablePartition { partition_index, replicas: replicas.clone().map(Into::into) };
            let topic =
                ReassignableTopic { name: Str::from_static(topic), partitions: vec![partition].into() };
            let request = AlterPartitionReassignmentsRequest {
                allow_replication_factor_change: version == 0,
                topics: vec![topic.clone()].into(),
                ..Default::default()
            };
            let response = client.ask(&request, version).await;
            assert_eq!(response.error_code, NONE);
            assert_eq!(response.allow_replication_factor_change, version == 0, "as it was asked");
            let answered = response.responses.iter().next().unwrap().partitions.into_iter().next().unwrap();
            assert_eq!(answered.error_code, expected, "{topic:?}");
            let is_told = !matches!(expected, NONE | ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
            assert_eq!(answered.error_message.is_some(), is_told, "{answered:?}");
        }
    }
    let some = ListPartitionReassignmentsTopics {
        name: Str::from_static("nope"),
        partition_indexes: vec![0].into(),
    };
    for topics in [None, Some(vec![some].into())] {
        let request = ListPartitionReassignmentsRequest { topics, ..Default::default() };
        let listed = client.ask(&request, 0).await;
        assert_eq!((listed.error_code, listed.topics.len()), (NONE, 0));
    }
}

#[tokio::test]
async fn a_replica_can_be_moved_to_the_directory_it_is_in() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let dirs = client.ask(&DescribeLogDirsRequest::default(), 4).await;
    let own = dirs.results.into_iter().next().unwrap().log_dir.to_string();
    let nowhere = ErrorCode::LOG_DIR_NOT_FOUND;
    for (path, topic, partition, expected) in [
        (own.clone(), "feed", 0, NONE),
        (own.clone(), "feed", 9, UNKNOWN),
        (own.clone(), "nope", 0, UNKNOWN),
        (own.clone(), "a b", 0, UNKNOWN),
        (format!("{own}/"), "feed", 0, nowhere),
        ("/elsewhere".to_owned(), "feed", 0, nowhere),
        ("/elsewhere".to_owned(), "nope", 0, nowhere),
        ("elsewhere".to_owned(), "feed", 0, nowhere),
    ] {
        for version in [1, 2] {
            // Asked twice, answered once.
            let topic = AlterReplicaLogDirTopic {
                name: Str::from_static(topic),
                partitions: vec![partition, partition].into(),
            };
            let dir = AlterReplicaLogDir { path: path.clone().into(), topics: vec![topic.clone()].into() };
            let request = AlterReplicaLogDirsRequest { dirs: vec![dir].into() };
            let results: Vec<_> = client.ask(&request, version).await.results.into_iter().collect();
            assert_eq!((results.len(), &results[0].topic_name), (1, &topic.name));
            let moved: Vec<_> = results[0].partitions.iter().collect();
            assert_eq!(
                (moved.len(), moved[0].partition_index, moved[0].error_code),
                (1, partition, expected),
                "{path} {topic:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_log_directory_tells_how_much_there_is_and_how_much_is_left() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    let response = client.ask(&DescribeLogDirsRequest::default(), 5).await;
    let dir = response.results.into_iter().next().unwrap();
    assert!(0 < dir.usable_bytes && dir.usable_bytes <= dir.total_bytes, "{dir:?}");
}

#[tokio::test]
async fn the_quorum_is_this_broker_and_its_log_the_catalog() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    let asked = |topic: &'static str, partitions: &[i32]| {
        let partition = |&partition_index: &i32| DescribeQuorumRequestPartition { partition_index };
        let topic = DescribeQuorumRequestTopic {
            topic_name: Str::from_static(topic),
            partitions: partitions.iter().map(partition).collect(),
        };
        DescribeQuorumRequest { topics: vec![topic].into() }
    };
    let mut ends = Vec::new();
    for version in 0..=2 {
        let response = client.ask(&asked("__cluster_metadata", &[0]), version).await;
        let partition = response.topics.iter().next().unwrap().partitions.into_iter().next().unwrap();
        let voters: Vec<_> = partition.current_voters.iter().collect();
        assert_eq!((partition.error_code, partition.leader_id, voters.len()), (NONE, 1, 1));
        assert_eq!((voters[0].replica_id, partition.observers.len()), (1, 0));
        assert_eq!(voters[0].log_end_offset, partition.high_watermark);
        assert_eq!(voters[0].last_caught_up_timestamp > 0, version >= 1);
        let nodes: Vec<_> = response.nodes.iter().map(|node| (node.node_id, node.listeners.len())).collect();
        assert_eq!(nodes, if version >= 2 { vec![(1, 1)] } else { vec![] });
        ends.push(partition.high_watermark);
        let name: &'static str = ["a", "b", "c"][usize::try_from(version).unwrap()];
        client.make_topic(name).await;
    }
    assert!(ends[0] < ends[1] && ends[1] < ends[2], "every change of the metadata is in its log: {ends:?}");
    for (topic, partitions) in
        [("__cluster_metadata", &[1][..]), ("__cluster_metadata", &[0, 1]), ("a", &[0]), ("nope", &[0])]
    {
        let response = client.ask(&asked(topic, partitions), 2).await;
        let answered: Vec<_> =
            response.topics.iter().next().unwrap().partitions.iter().map(|one| one.error_code).collect();
        assert_eq!(answered, vec![UNKNOWN; partitions.len()], "{topic} {partitions:?}");
    }
    assert_eq!(client.ask(&DescribeQuorumRequest::default(), 2).await.topics.len(), 0);
}

#[tokio::test]
async fn a_feature_can_be_given_the_level_it_has() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    let refused = ErrorCode::INVALID_UPDATE_VERSION;
    for (updates, expected) in [
        (&[][..], NONE),
        (&[("metadata.version", 30, 1)], NONE),
        (&[("metadata.version", 31, 1)], refused),
        (&[("metadata.version", 29, 1)], refused),
        (&[("metadata.version", 29, 2)], refused),
        (&[("metadata.version", 0, 2)], refused),
        (&[("metadata.version", -1, 1)], refused),
        (&[("metadata.version", 30, 9)], refused),
        (&[("nope", 1, 1)], refused),
        (&[("metadata.version", 30, 1), ("nope", 1, 1)], refused),
    ] {
        let update =
            |&(feature, max_version_level, upgrade_type): &(&'static str, i16, i8)| FeatureUpdateKey {
                feature: Str::from_static(feature),
                max_version_level,
                upgrade_type,
                ..Default::default()
            };
        for version in 1..=2 {
            let request = UpdateFeaturesRequest {
                feature_updates: updates.iter().map(update).collect(),
                ..Default::default()
            };
            let response = client.ask(&request, version).await;
            assert_eq!(response.error_code, expected, "{updates:?}");
            assert_eq!(response.error_message.is_some(), expected == refused);
            let listed = if version == 1 && expected == NONE { updates.len() } else { 0 };
            assert_eq!(response.results.len(), listed);
        }
    }
}

#[tokio::test]
async fn everything_that_has_settings_is_listed() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let own = |resource_type| (resource_type, "1".to_owned());
    let feed = (2, "feed".to_owned());
    // Of groups those that have settings of their own.
    let readers = (32, "readers".to_owned());
    for (group, changes) in [("readers", &[0][..]), ("others", &[0, 1])] {
        for operation in changes {
            let change = [("consumer.session.timeout.ms", *operation, Some("50000"))];
            assert_eq!(alter(&mut client, 32, group, &change).await, NONE);
        }
    }
    for (types, expected) in [
        (&[][..], vec![readers.clone(), own(4), feed.clone()]),
        (&[2], vec![feed.clone()]),
        (&[4, 2, 4], vec![own(4), feed]),
        (&[8], vec![]),
        (&[16], vec![]),
        (&[32], vec![readers]),
    ] {
        let request = ListConfigResourcesRequest { resource_types: types.to_vec().into() };
        let response = client.ask(&request, 1).await;
        assert_eq!(response.error_code, NONE, "{types:?}");
        let listed: Vec<_> = response
            .config_resources
            .iter()
            .map(|resource| (resource.resource_type, resource.resource_name.to_string()))
            .collect();
        assert_eq!(listed, expected, "{types:?}");
    }
    for types in [&[0][..], &[1], &[64], &[2, 99]] {
        let request = ListConfigResourcesRequest { resource_types: types.to_vec().into() };
        let response = client.ask(&request, 1).await;
        assert_eq!(
            (response.error_code, response.config_resources.len()),
            (ErrorCode::UNSUPPORTED_VERSION, 0)
        );
    }
    // Version 0 means client metrics, which nobody has asked for.
    let response = client.ask(&ListConfigResourcesRequest::default(), 0).await;
    assert_eq!((response.error_code, response.config_resources.len()), (NONE, 0));
}

#[tokio::test]
async fn idempotent_producers_are_described() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let batch = |id, epoch, sequence, timestamp| -> Bytes {
        let mut builder =
            BatchBuilder::new(Compression::None).producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        for _ in 0..3 {
            builder.append(timestamp, None, Some(b"value"), &[]).unwrap();
        }
        builder.build()
    };
    for (id, epoch, sequence, timestamp) in [(7, 1, 0, 1000), (7, 1, 3, 2000), (5, 0, 0, 3000)] {
        let answer = client.ask(&produce("feed", -1, batch(id, epoch, sequence, timestamp)), 9).await;
        assert_eq!(only(&answer).error_code, NONE);
    }
    let topic = |name, partitions: &[i32]| TopicRequest {
        name: Str::from_static(name),
        partition_indexes: partitions.to_vec().into(),
    };
    let request = DescribeProducersRequest {
        topics: vec![topic("feed", &[0, 9, 0]), topic("nope", &[0]), topic("a b", &[0])].into(),
    };
    let response = client.ask(&request, 0).await;
    let codes: Vec<_> = response
        .topics
        .iter()
        .map(|topic| topic.partitions.iter().map(|one| one.error_code).collect::<Vec<_>>())
        .collect();
    let again = ErrorCode::INVALID_REQUEST;
    assert_eq!(codes, [vec![NONE, UNKNOWN, again], vec![UNKNOWN], vec![ErrorCode::INVALID_TOPIC_EXCEPTION]]);
    let first = response.topics.iter().next().unwrap().partitions.into_iter().next().unwrap();
    let producers: Vec<_> = first
        .active_producers
        .iter()
        .map(|one| (one.producer_id, one.producer_epoch, one.last_sequence, one.last_timestamp))
        .collect();
    assert_eq!(producers, [(5, 0, 2, 3000), (7, 1, 5, 2000)]);
    assert!(
        first
            .active_producers
            .iter()
            .all(|one| one.coordinator_epoch == -1 && one.current_txn_start_offset == -1)
    );
}
