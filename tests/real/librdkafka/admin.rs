//! Topics, configs and the cluster, as librdkafka's admin calls tell and change them.

use rdkafka::admin::{
    AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::{Cluster, PATIENCE, numbers, plain, unused_name};

async fn config_of(cluster: &Cluster, topic: &str, key: &str) -> (Option<String>, ConfigSource) {
    let resource = ResourceSpecifier::Topic(topic);
    let mut answers = cluster.admin().describe_configs([&resource], &AdminOptions::new()).await.unwrap();
    let entries = answers.remove(0).unwrap().entries;
    let mut found = entries.into_iter().filter(|entry| entry.name == key);
    let entry = found.next().unwrap_or_else(|| panic!("no config {key} is told"));
    (entry.value, entry.source)
}

#[tokio::test]
async fn metadata_names_one_broker_that_leads_every_partition() {
    let cluster = Cluster::start(&[]);
    let topic = cluster.topic("metadata", 3, &[]).await;
    let consumer = cluster.consumer(&[]);
    let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE).unwrap();
    assert_eq!(metadata.brokers().len(), 1);
    let broker = &metadata.brokers()[0];
    assert_eq!(format!("{}:{}", broker.host(), broker.port()), cluster.address);
    let partitions = metadata.topics()[0].partitions();
    assert_eq!(partitions.iter().map(|partition| partition.id()).collect::<Vec<_>>(), [0, 1, 2]);
    for partition in partitions {
        assert_eq!(partition.leader(), broker.id());
        assert_eq!(
            (partition.replicas(), partition.isr()),
            ([broker.id()].as_slice(), [broker.id()].as_slice())
        );
    }
    let first = consumer.client().fetch_cluster_id(PATIENCE).expect("a cluster has an id");
    assert_eq!(cluster.consumer(&[]).client().fetch_cluster_id(PATIENCE), Some(first));
}

#[tokio::test]
async fn creating_a_topic_is_refused_with_the_reason() {
    let cluster = Cluster::start(&[]);
    let admin = cluster.admin();
    let existing = cluster.topic("existing", 1, &[]).await;
    let (zero, many, bad, odd) = (unused_name("z"), unused_name("m"), unused_name("b"), unused_name("o"));
    let fixed = TopicReplication::Fixed;
    let attempts = [
        (NewTopic::new(&existing, 1, fixed(1)), RDKafkaErrorCode::TopicAlreadyExists),
        (NewTopic::new("not/a/name", 1, fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (NewTopic::new("..", 1, fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (NewTopic::new(&zero, 0, fixed(1)), RDKafkaErrorCode::InvalidPartitions),
        (NewTopic::new(&many, 1, fixed(3)), RDKafkaErrorCode::InvalidReplicationFactor),
        (NewTopic::new(&bad, 1, fixed(1)).set("retention.ms", "soon"), RDKafkaErrorCode::InvalidConfig),
        (NewTopic::new(&odd, 1, fixed(1)).set("no.such.config", "1"), RDKafkaErrorCode::InvalidConfig),
    ];
    let results =
        admin.create_topics(attempts.iter().map(|(topic, _)| topic), &AdminOptions::new()).await.unwrap();
    assert_eq!(results.len(), attempts.len());
    for (topic, expected) in &attempts {
        let told =
            results.iter().find_map(|result| result.as_ref().err().filter(|(name, _)| name == topic.name));
        assert_eq!(told.map(|(_, code)| *code), Some(*expected), "{:?}", topic.name);
    }
}

#[tokio::test]
async fn validating_a_topic_does_not_create_it() {
    let cluster = Cluster::start(&[]);
    let name = unused_name("dry");
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().validate_only(true);
    assert_eq!(cluster.admin().create_topics([&topic], &options).await.unwrap(), [Ok(name.clone())]);
    let metadata = cluster.consumer(&[]).fetch_metadata(None, PATIENCE).unwrap();
    assert!(metadata.topics().iter().all(|topic| topic.name() != name));
}

#[tokio::test]
async fn a_deleted_topic_is_gone_and_created_again_it_is_empty() {
    let cluster = Cluster::start(&[]);
    let admin = cluster.admin();
    let name = cluster.topic("gone", 1, &[]).await;
    cluster.produce(&name, &plain(&numbers(10)), &[]).await;
    assert_eq!(admin.delete_topics(&[&name], &AdminOptions::new()).await.unwrap(), [Ok(name.clone())]);
    let again = admin.delete_topics(&[&name], &AdminOptions::new()).await.unwrap();
    assert_eq!(again, [Err((name.clone(), RDKafkaErrorCode::UnknownTopicOrPartition))]);

    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    assert_eq!(admin.create_topics([&topic], &AdminOptions::new()).await.unwrap(), [Ok(name.clone())]);
    assert_eq!(cluster.consumer(&[]).fetch_watermarks(&name, 0, PATIENCE).unwrap(), (0, 0));
    assert_eq!(cluster.produce(&name, &plain(&numbers(1)), &[]).await, [Ok(0)]);
}

#[tokio::test]
async fn partitions_can_be_added_but_not_taken_away() {
    let cluster = Cluster::start(&[]);
    let admin = cluster.admin();
    let name = cluster.topic("more", 2, &[]).await;
    let more = |count| NewPartitions::new(&name, count);
    assert_eq!(admin.create_partitions([&more(4)], &AdminOptions::new()).await.unwrap(), [Ok(name.clone())]);
    for count in [3, 4] {
        let refused = admin.create_partitions([&more(count)], &AdminOptions::new()).await.unwrap();
        assert_eq!(refused, [Err((name.clone(), RDKafkaErrorCode::InvalidPartitions))]);
    }
    assert_eq!(cluster.produce(&name, &[(3, None, Some(b"new"))], &[]).await, [Ok(0)]);
}

#[tokio::test]
async fn configs_are_told_with_their_source_and_altered_as_a_whole() {
    let cluster = Cluster::start(&[]);
    let configs = [("segment.bytes", "2000000"), ("retention.ms", "1000000")];
    let name = cluster.topic("configs", 1, &configs).await;
    let own = |value: &str| (Some(value.to_owned()), ConfigSource::DynamicTopic);
    let default = |value: &str| (Some(value.to_owned()), ConfigSource::Default);
    assert_eq!(config_of(&cluster, &name, "segment.bytes").await, own("2000000"));
    assert_eq!(config_of(&cluster, &name, "max.message.bytes").await, default("1048588"));
    assert_eq!(config_of(&cluster, &name, "cleanup.policy").await, default("delete"));

    let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("retention.ms", "2000000");
    let results = cluster.admin().alter_configs([&change], &AdminOptions::new()).await.unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(config_of(&cluster, &name, "retention.ms").await, own("2000000"));
    // What the whole leaves out is no longer the topic's own.
    assert_eq!(config_of(&cluster, &name, "segment.bytes").await, default("1073741824"));

    let bad = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("retention.ms", "soon");
    // The crate does not pass on what librdkafka says of each resource; that nothing changed is what counts.
    cluster.admin().alter_configs([&bad], &AdminOptions::new()).await.unwrap();
    assert_eq!(config_of(&cluster, &name, "retention.ms").await, own("2000000"));
}

#[tokio::test]
async fn deleted_records_move_the_log_start_and_nothing_else() {
    let cluster = Cluster::start(&[]);
    let admin = cluster.admin();
    let name = cluster.topic("records", 1, &[]).await;
    cluster.produce(&name, &plain(&numbers(10)), &[]).await;
    let before = |offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, 0, offset).unwrap();
        list
    };
    let told = admin.delete_records(&before(Offset::Offset(4)), &AdminOptions::new()).await.unwrap();
    assert_eq!(told.elements()[0].offset(), Offset::Offset(4));
    assert_eq!(cluster.values(&name, 0), numbers(10)[4..]);
    assert_eq!(cluster.consumer(&[]).fetch_watermarks(&name, 0, PATIENCE).unwrap(), (4, 10));

    let beyond = admin.delete_records(&before(Offset::Offset(11)), &AdminOptions::new()).await.unwrap();
    let error = beyond.elements()[0].error().unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::OffsetOutOfRange));

    let all = admin.delete_records(&before(Offset::End), &AdminOptions::new()).await.unwrap();
    assert_eq!(all.elements()[0].offset(), Offset::Offset(10));
    assert_eq!(cluster.produce(&name, &plain(&numbers(1)), &[]).await, [Ok(10)]);
}
