//! The administrative calls, one by one.

use std::sync::Arc;

use millrace::client::{
    Admin, ConfigChange, ConfigResource, ConfigSource, ErrorCode, ErrorKind, NewTopic, OffsetSpec,
};
use millrace::types::Isolation;

use super::fixture::{Broker, send_all};

#[tokio::test]
async fn topics_are_created_listed_grown_and_deleted() {
    let broker = Broker::start().await;
    let admin = Admin::new(&broker.client().await);
    let topics = [NewTopic::new("b").partitions(3), NewTopic::new("not a name"), NewTopic::new("a")];
    let checked = admin.create_topics(&topics, true).await.unwrap();
    assert!(checked[0].is_ok() && checked[1].is_err());
    assert!(admin.list_topics().await.unwrap().is_empty(), "they were only checked");

    let created = admin.create_topics(&topics, false).await.unwrap();
    let id = created[0].as_ref().unwrap().id;
    assert_eq!(created[0].as_ref().unwrap().partitions, Some(3));
    assert_eq!(created[1].as_ref().unwrap_err().code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION));
    let again = admin.create_topics(&topics[..1], false).await.unwrap();
    assert_eq!(again[0].as_ref().unwrap_err().code(), Some(ErrorCode::TOPIC_ALREADY_EXISTS));

    let names = |topics: Vec<millrace::client::TopicMetadata>| -> Vec<String> {
        topics.iter().map(|topic| topic.name.to_string()).collect()
    };
    assert_eq!(names(admin.list_topics().await.unwrap()), ["a", "b"]);
    admin.create_partitions("b", 5).await.unwrap();
    let described = admin.describe_topic("b").await.unwrap();
    assert_eq!((Some(described.id), described.partitions.len()), (id, 5));
    assert_eq!(admin.create_partitions("b", 5).await.unwrap_err().kind(), ErrorKind::Refused);

    let deleted = admin.delete_topics(&["b", "nowhere"]).await.unwrap();
    assert!(deleted[0].is_ok());
    assert_eq!(deleted[1].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(admin.list_topics().await.unwrap()), ["a"]);
    assert_eq!(admin.describe_topic("b").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn configs_are_read_changed_and_set_back() {
    let broker = Broker::start().await;
    let admin = Admin::new(&broker.client().await);
    let topic = NewTopic::new("configured").config("retention.ms", "60000");
    admin.create_topics(&[topic], false).await.unwrap().remove(0).unwrap();
    let resource = ConfigResource::Topic("configured".into());

    let all = admin.describe_configs(&resource, &[]).await.unwrap();
    assert!(all.len() > 10 && all.is_sorted_by(|one, other| one.name < other.name));
    let set: Vec<_> = all.iter().filter(|config| config.is_set_here()).collect();
    assert_eq!(
        (set.len(), set[0].name.as_str(), set[0].value.as_deref()),
        (1, "retention.ms", Some("60000"))
    );

    let one = async |name: &str| admin.describe_configs(&resource, &[name]).await.unwrap().remove(0);
    let change = ConfigChange::Set("max.message.bytes".into(), "1234".into());
    admin.alter_configs(&resource, std::slice::from_ref(&change), true).await.unwrap();
    assert_eq!(one("max.message.bytes").await.source, ConfigSource::Default, "it was only checked");
    admin
        .alter_configs(&resource, &[change, ConfigChange::Reset("retention.ms".into())], false)
        .await
        .unwrap();
    assert_eq!(one("max.message.bytes").await.value.as_deref(), Some("1234"));
    assert!(!one("retention.ms").await.is_set_here());

    let wrong = ConfigChange::Set("retention.ms".into(), "soon".into());
    let error = admin.alter_configs(&resource, &[wrong], false).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_CONFIG));
    let nowhere = ConfigResource::Topic("nowhere".into());
    assert_eq!(admin.describe_configs(&nowhere, &[]).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!admin.describe_configs(&ConfigResource::Broker(1), &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn offsets_are_looked_up_and_records_deleted_before_them() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("offsets", 2).await;
    send_all(&client, "offsets", (0..10).map(|number| number.to_string())).await;
    let admin = Admin::new(&client);
    let topic: Arc<str> = "offsets".into();
    let offsets = async || {
        let queries = [
            (Arc::clone(&topic), 0, OffsetSpec::Earliest),
            (Arc::clone(&topic), 0, OffsetSpec::Latest),
            (Arc::clone(&topic), 0, OffsetSpec::Timestamp(i64::MAX)),
            (Arc::clone(&topic), 1, OffsetSpec::Latest),
        ];
        let listed = admin.list_offsets(&queries, Isolation::ReadUncommitted).await;
        listed.into_iter().map(|listed| listed.unwrap().offset).collect::<Vec<_>>()
    };
    assert_eq!(offsets().await, [Some(0), Some(10), None, Some(0)]);
    assert_eq!(admin.delete_records("offsets", 0, 7).await.unwrap(), 7);
    assert_eq!(offsets().await, [Some(7), Some(10), None, Some(0)]);
    assert_eq!(admin.delete_records("offsets", 0, -1).await.unwrap(), 10);
    assert_eq!(admin.delete_records("offsets", 0, 11).await.unwrap_err().kind(), ErrorKind::NotFound);

    let queries = [
        (topic, 0, OffsetSpec::Latest),
        ("nowhere".into(), 0, OffsetSpec::Latest),
        ("offsets".into(), 9, OffsetSpec::Latest),
    ];
    let listed = admin.list_offsets(&queries, Isolation::ReadUncommitted).await;
    let kinds: Vec<_> =
        listed.iter().map(|listed| listed.as_ref().err().map(millrace::client::Error::kind)).collect();
    assert_eq!(
        kinds,
        [None, Some(ErrorKind::NotFound), Some(ErrorKind::NotFound)],
        "one does not fail the others"
    );
}

#[tokio::test]
async fn the_cluster_and_its_disks_are_described() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("disk", 2).await;
    send_all(&client, "disk", ["x".repeat(5000)]).await;
    let admin = Admin::new(&client);
    let cluster = admin.describe_cluster().await.unwrap();
    let (node_id, address) = cluster.brokers[0].clone();
    assert_eq!(address.port, broker.address().port());
    assert_eq!(cluster.controller_id, Some(node_id));
    assert!(cluster.cluster_id.is_some());
    let log_dirs = admin.describe_log_dirs(node_id).await.unwrap();
    let sizes: Vec<_> =
        log_dirs[0].partitions.iter().map(|found| (found.topic.as_str(), found.size_bytes)).collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes.iter().any(|(topic, size)| *topic == "disk" && *size >= 5000), "{sizes:?}");
    assert_eq!((log_dirs.len(), log_dirs[0].node_id), (1, node_id));
}
