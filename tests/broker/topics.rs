//! CreateTopics, DeleteTopics, CreatePartitions, the configuration APIs and DescribeLogDirs, by Kafka 4.3.1's codes.

use millrace::types::TopicId;
use millrace::wire::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use millrace::wire::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
    CreateTopicsRequest,
};
use millrace::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millrace::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResult,
};
use millrace::wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use millrace::wire::messages::{alter_configs, incremental_alter_configs};
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Client, batch, broker, produce};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub(super) fn topic(name: &'static str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { name: Str::from_static(name), num_partitions, replication_factor, ..Default::default() }
}

pub(super) fn with_config(name: &'static str, key: &'static str, value: &'static str) -> CreatableTopic {
    let config = CreatableTopicConfig { name: Str::from_static(key), value: Some(Str::from_static(value)) };
    CreatableTopic { configs: vec![config].into(), ..topic(name, 1, 1) }
}

pub(super) fn with_assignments(name: &'static str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments: Vec<_> = assignments
        .iter()
        .map(|(partition_index, brokers)| CreatableReplicaAssignment {
            partition_index: *partition_index,
            broker_ids: brokers.to_vec().into(),
        })
        .collect();
    CreatableTopic { assignments: assignments.into(), ..topic(name, -1, -1) }
}

pub(super) async fn create(
    client: &mut Client,
    topics: Vec<CreatableTopic>,
    version: i16,
) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest { topics: topics.into(), timeout_ms: 5000, validate_only: false };
    client.ask(&request, version).await.topics.into_iter().collect()
}

pub(super) async fn describe(
    client: &mut Client,
    resource_type: i8,
    name: &'static str,
    keys: &[&'static str],
) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: Str::from_static(name),
        configuration_keys: (!keys.is_empty())
            .then(|| keys.iter().map(|key| Str::from_static(key)).collect()),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource].into(),
        include_synonyms: true,
        include_documentation: true,
    };
    client.ask(&request, 4).await.results.into_iter().next().unwrap()
}

pub(super) async fn alter(
    client: &mut Client,
    resource_type: i8,
    name: &'static str,
    changes: &[(&'static str, i8, Option<&'static str>)],
) -> ErrorCode {
    use incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest};
    let configs = changes.iter().map(|(key, config_operation, value)| AlterableConfig {
        name: Str::from_static(key),
        config_operation: *config_operation,
        value: value.map(Str::from_static),
    });
    let resource = AlterConfigsResource {
        resource_type,
        resource_name: Str::from_static(name),
        configs: configs.collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource].into(), validate_only: false };
    client.ask(&request, 1).await.responses.into_iter().next().unwrap().error_code
}

#[tokio::test]
async fn topics_are_made_in_every_version() {
    let broker = broker(&["num.partitions=4"]).await;
    let mut client = broker.connect().await;
    for (version, name) in (2..=7).zip(["v2", "v3", "v4", "v5", "v6", "v7"]) {
        let made = create(&mut client, vec![topic(name, -1, -1)], version).await;
        assert_eq!((made.len(), made[0].error_code), (1, ErrorCode::NONE), "version {version}");
        if version >= 5 {
            assert_eq!((made[0].num_partitions, made[0].replication_factor), (4, 1));
            let configs = made[0].configs.clone().unwrap();
            assert!(configs.iter().any(|config| config.name == "retention.ms"));
        }
        if version >= 7 {
            assert!(!made[0].topic_id.is_zero());
        }
    }
}

#[tokio::test]
async fn a_topic_that_cannot_be_made_is_refused_alone() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    create(&mut client, vec![topic("there", 1, 1)], 7).await;
    for (refused, error) in [
        (topic("there", 1, 1), ErrorCode::TOPIC_ALREADY_EXISTS),
        (topic("a b", 1, 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (topic("", 1, 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (topic("x", 0, 1), ErrorCode::INVALID_PARTITIONS),
        (topic("x", -2, 1), ErrorCode::INVALID_PARTITIONS),
        (topic("x", 1, 0), ErrorCode::INVALID_REPLICATION_FACTOR),
        (topic("x", 1, 3), ErrorCode::INVALID_REPLICATION_FACTOR),
        (with_config("x", "retention.mss", "1"), ErrorCode::INVALID_CONFIG),
        (with_config("x", "retention.ms", "soon"), ErrorCode::INVALID_CONFIG),
        (with_assignments("x", &[(0, &[7])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (with_assignments("x", &[(0, &[1]), (2, &[1])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (with_assignments("x", &[(0, &[])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
    ] {
        let name = refused.name.clone();
        let results = create(&mut client, vec![refused], 4).await;
        assert_eq!(
            (results.len(), results[0].error_code),
            (1, error),
            "{name} {:?}",
            results[0].error_message
        );
        assert!(results[0].error_message.is_some());
    }
    let twice = vec![topic("twice", 1, 1), topic("once", 1, 1), topic("twice", 1, 1)];
    let mut results = create(&mut client, twice, 4).await;
    results.sort_by(|a, b| a.name.cmp(&b.name));
    let codes: Vec<_> = results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
    assert_eq!(codes, [("once", ErrorCode::NONE), ("twice", ErrorCode::INVALID_REQUEST)]);
    let assigned = create(&mut client, vec![with_assignments("assigned", &[(0, &[1]), (1, &[1])])], 5).await;
    assert_eq!((assigned[0].error_code, assigned[0].num_partitions), (ErrorCode::NONE, 2));
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    let made = create(&mut client, vec![topic("a", 1, 1), topic("b", 1, 1)], 7).await;
    let id_of_b = made.iter().find(|made| made.name == "b").unwrap().topic_id;
    let by_name =
        |name| DeleteTopicsRequest { topic_names: vec![Str::from_static(name)].into(), ..Default::default() };
    let mut delete = async |request: DeleteTopicsRequest, version| {
        let results: Vec<_> = client.ask(&request, version).await.responses.into_iter().collect();
        assert_eq!(results.len(), 1);
        results.into_iter().next().unwrap()
    };
    assert_eq!(delete(by_name("a"), 5).await.error_code, ErrorCode::NONE);
    assert_eq!(delete(by_name("a"), 5).await.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(delete(by_name("a b"), 5).await.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let state = |name, topic_id| DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name, topic_id }].into(),
        ..Default::default()
    };
    let both = delete(state(Some(Str::from_static("b")), id_of_b), 6).await;
    assert_eq!(both.error_code, ErrorCode::INVALID_REQUEST);
    assert_eq!(delete(state(None, TopicId::ZERO), 6).await.error_code, ErrorCode::INVALID_REQUEST);
    assert_eq!(delete(state(None, TopicId([1; 16])), 6).await.error_code, ErrorCode::UNKNOWN_TOPIC_ID);
    let deleted = delete(state(None, id_of_b), 6).await;
    assert_eq!(
        (deleted.error_code, deleted.name, deleted.topic_id),
        (ErrorCode::NONE, Some(Str::from_static("b")), id_of_b)
    );
    let again = create(&mut client, vec![topic("b", 1, 1)], 7).await;
    assert_ne!(again[0].topic_id, id_of_b, "a topic made again is another topic");
}

#[tokio::test]
async fn partitions_only_grow() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    create(&mut client, vec![topic("a", 2, 1)], 7).await;
    let brokers = |ids: &[i32]| CreatePartitionsAssignment { broker_ids: ids.to_vec().into() };
    for (name, count, assignments, error) in [
        ("a", 3, None, ErrorCode::NONE),
        ("a", 3, None, ErrorCode::INVALID_PARTITIONS),
        ("a", 2, None, ErrorCode::INVALID_PARTITIONS),
        ("a", 0, None, ErrorCode::INVALID_PARTITIONS),
        ("b", 3, None, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        ("a", 4, Some(vec![brokers(&[1])]), ErrorCode::NONE),
        ("a", 6, Some(vec![brokers(&[1])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        ("a", 5, Some(vec![brokers(&[9])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
    ] {
        let wanted = CreatePartitionsTopic {
            name: Str::from_static(name),
            count,
            assignments: assignments.map(Into::into),
        };
        let request =
            CreatePartitionsRequest { topics: vec![wanted].into(), timeout_ms: 1000, validate_only: false };
        for version in [3] {
            let result = client.ask(&request, version).await.results.into_iter().next().unwrap();
            assert_eq!(result.error_code, error, "{name} {count}: {:?}", result.error_message);
        }
    }
}

#[tokio::test]
async fn a_setting_is_described_with_where_it_comes_from() {
    let broker = broker(&["log.retention.ms=1000000", "max.connections=77"]).await;
    let mut client = broker.connect().await;
    create(&mut client, vec![topic("a", 1, 1)], 7).await;
    let all = describe(&mut client, TOPIC, "a", &[]).await;
    assert!(all.configs.len() > 20, "every setting, not some");
    let source = async |client: &mut Client| {
        let described = describe(client, TOPIC, "a", &["retention.ms"]).await;
        let setting = described.configs.into_iter().next().unwrap();
        let places: Vec<_> =
            setting.synonyms.iter().map(|place| (place.name.to_string(), place.source)).collect();
        assert!(setting.documentation.is_some_and(|text| !text.is_empty()));
        (setting.value.unwrap().to_string(), setting.config_source, places)
    };
    let broker_places = [("log.retention.ms".to_string(), 4), ("log.retention.ms".to_string(), 5)];
    assert_eq!(source(&mut client).await, ("1000000".into(), 4, broker_places.to_vec()));
    assert_eq!(alter(&mut client, TOPIC, "a", &[("retention.ms", 0, Some("5"))]).await, ErrorCode::NONE);
    let mut places = broker_places.to_vec();
    places.insert(0, ("retention.ms".into(), 1));
    assert_eq!(source(&mut client).await, ("5".into(), 1, places));

    let own = describe(&mut client, BROKER, "1", &["max.connections", "num.partitions"]).await;
    let own: Vec<_> = own
        .configs
        .iter()
        .map(|one| (one.name.to_string(), one.value.unwrap().to_string(), one.read_only))
        .collect();
    assert_eq!(
        own,
        [("max.connections".into(), "77".into(), false), ("num.partitions".into(), "1".into(), false)]
    );
    for (resource_type, name, error) in [
        (TOPIC, "nowhere", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "a b", ErrorCode::INVALID_TOPIC_EXCEPTION),
        (BROKER, "7", ErrorCode::INVALID_REQUEST),
        (99, "1", ErrorCode::INVALID_REQUEST),
    ] {
        assert_eq!(
            describe(&mut client, resource_type, name, &[]).await.error_code,
            error,
            "{resource_type} {name}"
        );
    }
}

#[tokio::test]
async fn a_resource_is_described_once_however_often_it_is_named() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    let named = |resource_name| DescribeConfigsResource {
        resource_type: BROKER,
        resource_name: Str::from_static(resource_name),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest {
        resources: vec![named("1"), named("01"), named("1"), named("")].into(),
        ..Default::default()
    };
    let results: Vec<_> = client.ask(&request, 4).await.results.into_iter().collect();
    let codes: Vec<_> = results.iter().map(|result| result.error_code).collect();
    let twice = ErrorCode::INVALID_REQUEST;
    assert_eq!(codes, [ErrorCode::NONE, twice, twice, ErrorCode::NONE]);
    assert!(results[0].configs.len() > 20 && results[1].configs.is_empty());
}

#[tokio::test]
async fn settings_are_changed_one_by_one() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    create(&mut client, vec![topic("a", 1, 1)], 7).await;
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    for (resource_type, name, changes, error) in [
        (TOPIC, "a", &[("retention.ms", SET, Some("1000"))][..], ErrorCode::NONE),
        (TOPIC, "a", &[("retention.mss", SET, Some("1"))], ErrorCode::INVALID_CONFIG),
        (TOPIC, "a", &[("retention.ms", SET, Some("x"))], ErrorCode::INVALID_CONFIG),
        (TOPIC, "a", &[("retention.ms", SET, None)], ErrorCode::INVALID_REQUEST),
        (
            TOPIC,
            "a",
            &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))],
            ErrorCode::INVALID_REQUEST,
        ),
        (TOPIC, "a", &[("retention.ms", 9, Some("1"))], ErrorCode::INVALID_REQUEST),
        (TOPIC, "a", &[("retention.ms", 2, Some("1"))], ErrorCode::INVALID_CONFIG),
        (TOPIC, "a", &[("segment.bytes", DELETE, None)], ErrorCode::NONE),
        (TOPIC, "a", &[], ErrorCode::NONE),
        (TOPIC, "nowhere", &[("retention.ms", SET, Some("1"))], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "a b", &[("retention.ms", SET, Some("1"))], ErrorCode::INVALID_TOPIC_EXCEPTION),
        (BROKER, "1", &[("message.max.bytes", SET, Some("2000000"))], ErrorCode::NONE),
        (BROKER, "1", &[("queued.append.bytes", SET, Some("2000000"))], ErrorCode::INVALID_REQUEST),
        (BROKER, "1", &[("node.id", SET, Some("2"))], ErrorCode::INVALID_REQUEST),
        (BROKER, "7", &[("message.max.bytes", SET, Some("2000000"))], ErrorCode::INVALID_REQUEST),
        (99, "1", &[("message.max.bytes", SET, Some("2000000"))], ErrorCode::INVALID_REQUEST),
    ] {
        assert_eq!(
            alter(&mut client, resource_type, name, changes).await,
            error,
            "{resource_type} {name} {changes:?}"
        );
    }
    let described = describe(&mut client, TOPIC, "a", &["retention.ms", "max.message.bytes"]).await;
    let values: Vec<_> = described
        .configs
        .iter()
        .map(|one| (one.name.to_string(), one.value.unwrap().to_string(), one.config_source))
        .collect();
    assert_eq!(
        values,
        [("max.message.bytes".into(), "2000000".into(), 2), ("retention.ms".into(), "1000".into(), 1)]
    );
    assert_eq!(alter(&mut client, TOPIC, "a", &[("retention.ms", DELETE, None)]).await, ErrorCode::NONE);
    let described = describe(&mut client, TOPIC, "a", &["retention.ms"]).await;
    assert_eq!(described.configs.iter().next().unwrap().config_source, 5);
}

#[tokio::test]
async fn alter_configs_replaces_all_settings_of_a_topic() {
    use alter_configs::{AlterConfigsRequest, AlterConfigsResource, AlterableConfig};
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    create(&mut client, vec![with_config("a", "retention.ms", "7")], 7).await;
    let mut replace = async |key, value: Option<&'static str>, validate_only| {
        let config = AlterableConfig { name: Str::from_static(key), value: value.map(Str::from_static) };
        let resource = AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: Str::from_static("a"),
            configs: vec![config].into(),
        };
        let request = AlterConfigsRequest { resources: vec![resource].into(), validate_only };
        let error = client.ask(&request, 2).await.responses.into_iter().next().unwrap().error_code;
        let described = describe(&mut client, TOPIC, "a", &[]).await;
        let own = described.configs.iter().filter(|one| one.config_source == 1);
        (error, own.map(|one| one.name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(
        replace("segment.bytes", Some("2097152"), true).await,
        (ErrorCode::NONE, vec!["retention.ms".into()])
    );
    assert_eq!(
        replace("segment.bytes", None, false).await,
        (ErrorCode::INVALID_REQUEST, vec!["retention.ms".into()])
    );
    assert_eq!(
        replace("segment.bytes", Some("x"), false).await,
        (ErrorCode::INVALID_CONFIG, vec!["retention.ms".into()])
    );
    assert_eq!(
        replace("segment.bytes", Some("2097152"), false).await,
        (ErrorCode::NONE, vec!["segment.bytes".into()])
    );
}

#[tokio::test]
async fn the_log_directory_is_described_with_sizes() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    client.ask(&produce("feed", -1, batch(&[b"some bytes"])), 9).await;
    for version in 1..=5 {
        let response = client.ask(&DescribeLogDirsRequest::default(), version).await;
        let dir = response.results.into_iter().next().unwrap();
        assert_eq!(dir.error_code, ErrorCode::NONE);
        let topic = dir.topics.iter().next().unwrap();
        let partition = topic.partitions.iter().next().unwrap();
        assert!(topic.name == "feed" && partition.partition_size > 60, "{topic:?}");
        assert!(version < 4 || dir.usable_bytes > 0);
    }
}
