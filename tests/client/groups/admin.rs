//! Groups from outside: listed, described, measured, reset and deleted.

use std::sync::Arc;

use millrace::client::{
    Admin, CommittedOffset, ErrorCode, ErrorKind, GroupConsumer, GroupEvent, GroupProtocol, TopicPartition,
};

use super::super::fixture::{Broker, PATIENCE};
use super::{PROTOCOLS, config, fill, named};

fn key(topic: &str, partition: i32) -> TopicPartition {
    (Arc::from(topic), partition)
}

#[tokio::test]
async fn a_group_is_listed_and_described_with_its_members_and_its_lag() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("described", protocol);
        let client = broker.client_with_topic(&topic, 2).await;
        let admin = Admin::new(&client);
        assert_eq!(admin.describe_group(&topic).await.unwrap_err().kind(), ErrorKind::NotFound);
        fill(&client, &topic, 2, 10).await;
        let mut consumer = GroupConsumer::new(&client, config(protocol, &topic));
        consumer.subscribe(&[&topic]);
        assert!(matches!(consumer.next(PATIENCE).await.unwrap(), Some(GroupEvent::Assigned(_))));
        consumer.commit_offsets(&[(key(&topic, 1), CommittedOffset::new(4))]).await.unwrap();

        let listed = admin.list_groups(&["Stable"]).await.unwrap();
        let found = listed.iter().find(|group| group.group_id == topic).unwrap();
        assert_eq!(found.protocol_type, "consumer");
        assert!(found.shares_topics());
        let kind = if protocol == GroupProtocol::Classic { "classic" } else { "consumer" };
        assert_eq!(found.group_type.as_deref().map(str::to_lowercase).as_deref(), Some(kind));
        assert!(!admin.list_groups(&["Empty"]).await.unwrap().iter().any(|group| group.group_id == topic));

        let group = admin.describe_group(&topic).await.unwrap();
        assert_eq!((group.group_type, group.state.as_str(), group.members.len()), (kind, "Stable", 1));
        let member = &group.members[0];
        assert_eq!(Some(&member.member_id), consumer.membership().as_ref().map(|(id, _)| id));
        assert_eq!((member.client_id.as_str(), &member.topics), ("millrace", &vec![topic.clone()]));
        assert_eq!(member.assigned, [key(&topic, 0), key(&topic, 1)]);
        assert!(!member.client_host.is_empty());

        let lag = admin.group_lag(&group).await.unwrap();
        let shown: Vec<_> =
            lag.iter().map(|each| (each.partition.1, each.lag(), each.end, each.member)).collect();
        assert_eq!(shown, [(0, None, Some(10), Some(0)), (1, Some(6), Some(10), Some(0))]);
        let readers = admin.topic_readers(&topic).await.unwrap();
        assert_eq!(readers.len(), 1);
        assert_eq!((&readers[0].group, &readers[0].partitions), (&group, &lag));
        consumer.close().await.unwrap();
        assert_eq!(admin.describe_group(&topic).await.unwrap().state, "Empty");
        let lag = admin.group_lag(&admin.describe_group(&topic).await.unwrap()).await.unwrap();
        assert!(lag.iter().all(|each| each.member.is_none()));
    }
}

#[tokio::test]
async fn offsets_are_set_and_deleted_only_while_nobody_uses_them() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("altered", protocol);
        let client = broker.client_with_topic(&topic, 2).await;
        fill(&client, &topic, 2, 10).await;
        let admin = Admin::new(&client);
        let offsets = [(key(&topic, 0), CommittedOffset::new(3)), (key(&topic, 1), CommittedOffset::new(5))];
        for answer in admin.alter_group_offsets(&topic, &offsets).await.unwrap() {
            answer.unwrap();
        }
        assert_eq!(admin.list_group_offsets(&topic).await.unwrap(), offsets);

        let mut consumer = GroupConsumer::new(&client, config(protocol, &topic));
        consumer.subscribe(&[&topic]);
        assert!(matches!(consumer.next(PATIENCE).await.unwrap(), Some(GroupEvent::Assigned(_))));
        assert_eq!((consumer.position(&topic, 0), consumer.position(&topic, 1)), (Some(3), Some(5)));
        let refused = admin.alter_group_offsets(&topic, &offsets).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::NON_EMPTY_GROUP), "{refused}");
        let refused = admin.delete_groups(&[&topic]).await.remove(0).unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::NON_EMPTY_GROUP));
        let refused =
            admin.delete_group_offsets(&topic, &[key(&topic, 0)]).await.unwrap().remove(0).unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC));
        consumer.close().await.unwrap();

        admin.delete_group_offsets(&topic, &[key(&topic, 0)]).await.unwrap().remove(0).unwrap();
        let left: Vec<_> = admin.list_group_offsets(&topic).await.unwrap();
        assert_eq!(left.iter().map(|(key, _)| key.1).collect::<Vec<_>>(), [1]);
        let nowhere = named("nowhere", protocol);
        let deleted = admin.delete_groups(&[&topic, &nowhere]).await;
        assert!(deleted[0].is_ok(), "{deleted:?}");
        assert_eq!(deleted[1].as_ref().unwrap_err().code(), Some(ErrorCode::GROUP_ID_NOT_FOUND));
        assert_eq!(admin.describe_group(&topic).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
