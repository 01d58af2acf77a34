//! Where a group goes on: commits by the application and by the client, and what they are worth.

use std::time::Duration;

use millrace::client::{
    CommittedOffset, Error, ErrorCode, GroupConfig, GroupConsumer, GroupEvent, GroupProtocol, OutOfRange,
    StartAt, TopicPartition,
};

use super::super::fixture::{Broker, PATIENCE};
use super::{PROTOCOLS, config, fill, named};

fn manual(protocol: GroupProtocol, group_id: &str) -> GroupConfig {
    let mut config = config(protocol, group_id);
    config.auto_commit = None;
    config
}

/// The offsets of the next records, until there are `count`.
async fn read(consumer: &mut GroupConsumer, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let records = consumer.poll(PATIENCE).await.unwrap();
        assert!(!records.is_empty(), "{} of {count} records came", offsets.len());
        offsets.extend(records.iter().map(|record| record.offset));
    }
    offsets
}

#[tokio::test]
async fn the_next_member_begins_where_the_group_has_committed_to_be() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("committed", protocol);
        let client = broker.client_with_topic(&topic, 1).await;
        fill(&client, &topic, 1, 10).await;
        let key: TopicPartition = (topic.as_str().into(), 0);
        let mut few = manual(protocol, &topic);
        few.consumer.max_poll_records = 3;
        let start = || {
            let mut consumer = GroupConsumer::new(&client, few.clone());
            consumer.subscribe(&[&topic]);
            consumer
        };

        let mut consumer = start();
        assert_eq!(read(&mut consumer, 3).await, [0, 1, 2]);
        assert_eq!(consumer.committed(std::slice::from_ref(&key)).await.unwrap().len(), 0);
        consumer.commit().await.unwrap();
        let committed = consumer.committed(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(committed[&key].offset, 3);
        read(&mut consumer, 3).await;
        consumer.close().await.unwrap();

        let mut consumer = start();
        assert_eq!(read(&mut consumer, 3).await, [3, 4, 5], "what was not committed comes again");
        let offset = CommittedOffset { offset: 7, leader_epoch: None, metadata: "half way".into() };
        consumer.commit_offsets(&[(key.clone(), offset.clone())]).await.unwrap();
        assert_eq!(consumer.committed(std::slice::from_ref(&key)).await.unwrap()[&key], offset);
        let elsewhere = [((topic.as_str().into(), 7), CommittedOffset::new(0))];
        assert!(consumer.commit_offsets(&elsewhere).await.is_err(), "not its partition");
        consumer.close().await.unwrap();

        let mut consumer = start();
        assert_eq!(read(&mut consumer, 3).await, [7, 8, 9]);
        consumer.seek(&topic, 0, StartAt::Offset(1)).await.unwrap();
        consumer.commit_in_background();
        assert_eq!(read(&mut consumer, 3).await, [1, 2, 3]);
        consumer.close().await.unwrap();

        let mut consumer = start();
        assert_eq!(read(&mut consumer, 3).await, [1, 2, 3], "a seek is committed like any position");
        consumer.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_handed_out_is_committed_at_the_next_call_and_at_the_end() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("auto", protocol);
        let client = broker.client_with_topic(&topic, 1).await;
        fill(&client, &topic, 1, 10).await;
        let key: TopicPartition = (topic.as_str().into(), 0);
        let mut auto = config(protocol, &topic);
        auto.auto_commit = Some(Duration::ZERO);
        auto.consumer.max_poll_records = 4;
        let mut consumer = GroupConsumer::new(&client, auto);
        consumer.subscribe(&[&topic]);
        read(&mut consumer, 4).await;
        let committed = async |consumer: &GroupConsumer| {
            consumer.committed(std::slice::from_ref(&key)).await.unwrap().get(&key).map(|found| found.offset)
        };
        // The four are not done before the application asks for more.
        assert!(matches!(committed(&consumer).await, None | Some(0)));
        read(&mut consumer, 4).await;
        let in_time = async {
            while committed(&consumer).await != Some(4) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, in_time).await.unwrap();
        consumer.close().await.unwrap();
        let other = GroupConsumer::new(&client, manual(protocol, &topic));
        assert_eq!(committed(&other).await, Some(8));
        other.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_application_that_is_told_in_time_may_commit_before_it_loses_a_partition() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("told", protocol);
        let client = broker.client_with_topic(&topic, 2).await;
        fill(&client, &topic, 2, 10).await;
        let mut first = GroupConsumer::new(&client, manual(protocol, &topic));
        first.subscribe(&[&topic]);
        read(&mut first, 20).await;
        let mut second = GroupConsumer::new(&client, manual(protocol, &topic));
        second.subscribe(&[&topic]);
        let take = async {
            match second.next(PATIENCE).await.unwrap() {
                Some(GroupEvent::Assigned(keys)) => keys,
                other => panic!("{other:?}"),
            }
        };
        let give = async {
            loop {
                if let Some(GroupEvent::Revoking(keys)) = first.next(Duration::from_millis(50)).await.unwrap()
                {
                    first.commit().await.unwrap();
                    // Coming back gives them up.
                    assert_eq!(first.next(Duration::ZERO).await.unwrap(), None);
                    return keys;
                }
            }
        };
        let (taken, given) =
            tokio::time::timeout(PATIENCE, async { tokio::join!(take, give) }).await.unwrap();
        assert_eq!((taken.len(), &taken), (1, &given), "{protocol:?}");
        assert_eq!(second.position(&topic, taken[0].1), Some(10), "{protocol:?}");
        first.close().await.unwrap();
        second.close().await.unwrap();
    }
}

#[tokio::test]
async fn committed_offsets_survive_a_restart_of_the_broker() {
    for protocol in PROTOCOLS {
        let mut broker = Broker::start().await;
        let topic = named("survive", protocol);
        let client = broker.client_with_topic(&topic, 1).await;
        fill(&client, &topic, 1, 10).await;
        let mut few = manual(protocol, &topic);
        few.consumer.max_poll_records = 4;
        let mut consumer = GroupConsumer::new(&client, few);
        consumer.subscribe(&[&topic]);
        read(&mut consumer, 4).await;
        consumer.commit().await.unwrap();
        consumer.close().await.unwrap();
        broker.stop().await;
        broker.start_again().await;
        let mut consumer = GroupConsumer::new(&client, manual(protocol, &topic));
        consumer.subscribe(&[&topic]);
        assert_eq!(read(&mut consumer, 6).await, [4, 5, 6, 7, 8, 9]);
        consumer.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_group_without_a_committed_offset_begins_where_it_is_told_to() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("begins", protocol);
        let client = broker.client_with_topic(&topic, 1).await;
        fill(&client, &topic, 1, 10).await;
        for (out_of_range, position) in [(OutOfRange::Beginning, 0), (OutOfRange::End, 10)] {
            let mut config = manual(protocol, &format!("{topic}-{position}"));
            config.consumer.out_of_range = out_of_range;
            let mut consumer = GroupConsumer::new(&client, config);
            consumer.subscribe(&[&topic]);
            let event = consumer.next(PATIENCE).await.unwrap();
            assert!(matches!(event, Some(GroupEvent::Assigned(_))), "{event:?}");
            assert_eq!(consumer.position(&topic, 0), Some(position));
            consumer.close().await.unwrap();
        }
        let mut config = manual(protocol, &format!("{topic}-nowhere"));
        config.consumer.out_of_range = OutOfRange::Error;
        let mut consumer = GroupConsumer::new(&client, config);
        consumer.subscribe(&[&topic]);
        for _ in 0..2 {
            let error = consumer.next(PATIENCE).await.unwrap_err();
            assert!(matches!(error, Error::NoCommittedOffset { .. }), "{error}");
        }
        assert!(consumer.close().await.is_err());
    }
}

#[tokio::test]
async fn members_that_have_nothing_in_common_are_refused_with_a_word_on_what_to_do() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("common", 1).await;
    let mut first = GroupConsumer::new(&client, config(GroupProtocol::Classic, "common"));
    first.subscribe(&["common"]);
    assert!(matches!(first.next(PATIENCE).await.unwrap(), Some(GroupEvent::Assigned(_))));
    let mut other = config(GroupProtocol::Classic, "common");
    other.assignors = vec![millrace::client::Assignor::Range];
    let mut second = GroupConsumer::new(&client, other);
    second.subscribe(&["common"]);
    let error = second.next(PATIENCE).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
    assert!(error.to_string().contains("other assignors"), "{error}");
    assert!(second.close().await.is_err());
    first.close().await.unwrap();
}
