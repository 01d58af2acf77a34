//! Members that come, go, crash, pause and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace::client::{
    Assignor, Client, ClientConfig, CommittedOffset, GroupConsumer, GroupEvent, GroupProtocol, TopicPartition,
};

use super::super::fixture::{Broker, PATIENCE};
use super::{Group, PROTOCOLS, config, fill, named};

const PARTITIONS: i32 = 6;

#[tokio::test]
async fn members_share_the_partitions_and_read_every_record_once() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("share", protocol);
        let client = broker.client_with_topic(&topic, PARTITIONS).await;
        let mut group = Group::new(&client);
        let join = |group: &mut Group| group.join_topic(config(protocol, &topic), &topic);
        let mut members = vec![join(&mut group)];
        fill(&client, &topic, PARTITIONS, 10).await;
        group.until("one reads all", |ledger| ledger.has_read_all(&topic, PARTITIONS, 10)).await;
        for (count, shares) in [(2, vec![3, 3]), (3, vec![2, 2, 2]), (5, vec![1, 1, 1, 1, 2])] {
            members.resize_with(count, || join(&mut group));
            group.until("the new ones have their share", |ledger| ledger.shares() == shares).await;
        }
        fill(&client, &topic, PARTITIONS, 10).await;
        group.until("five read all", |ledger| ledger.has_read_all(&topic, PARTITIONS, 20)).await;
        for left in [vec![1, 1, 2, 2], vec![2, 2, 2], vec![3, 3], vec![6]] {
            members.remove(0).close().await;
            group.until("the others take over", |ledger| ledger.shares() == left).await;
        }
        fill(&client, &topic, PARTITIONS, 10).await;
        let ledger =
            group.until("the last reads all", |ledger| ledger.has_read_all(&topic, PARTITIONS, 30)).await;
        members.remove(0).close().await;
        assert!(ledger.reads.values().all(|count| *count == 1), "{protocol:?}: {:?}", ledger.reads);
    }
}

#[tokio::test]
async fn when_a_member_is_killed_the_others_go_on_from_its_last_commit() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("killed", protocol);
        let client = broker.client_with_topic(&topic, PARTITIONS).await;
        // Each has connections of its own, which go with it.
        let mut group = Group::new(&client);
        let stays = group.join_topic(config(protocol, &topic), &topic);
        let mut config = config(protocol, &topic);
        config.auto_commit = None;
        let goes = group.join_topic(config, &topic);
        group.until("both have their share", |ledger| ledger.shares() == [3, 3]).await;
        fill(&client, &topic, PARTITIONS, 10).await;
        let before =
            group.until("both have read", |ledger| ledger.has_read_all(&topic, PARTITIONS, 10)).await;
        let orphans = before.owned_by(goes.number);
        goes.kill().await;
        fill(&client, &topic, PARTITIONS, 10).await;
        group.until("the session has ended", |ledger| ledger.shares() == [6]).await;
        let after =
            group.until("the other reads all", |ledger| ledger.has_read_all(&topic, PARTITIONS, 20)).await;
        stays.close().await;
        for ((key, offset), count) in &after.reads {
            // It committed nothing, so its first ten are read again; what was committed is not.
            let expected = if orphans.contains(key) && *offset < 10 { 2 } else { 1 };
            assert_eq!(*count, expected, "{protocol:?}: {key:?} at {offset}");
        }
    }
}

#[tokio::test]
async fn a_member_whose_application_stays_away_leaves_and_comes_back_when_it_asks() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let topic = named("away", protocol);
        let client = broker.client_with_topic(&topic, 2).await;
        let mut group = Group::new(&client);
        let mut short = config(protocol, &topic);
        short.max_poll_interval = Duration::from_millis(500);
        let mut away = GroupConsumer::new(&client, short);
        away.subscribe(&[&topic]);
        let assigned = away.next(PATIENCE).await.unwrap();
        assert!(matches!(assigned, Some(GroupEvent::Assigned(ref keys)) if keys.len() == 2), "{assigned:?}");
        let stays = group.join_topic(config(protocol, &topic), &topic);
        group.until("the other has everything", |ledger| ledger.shares() == [2]).await;
        // Its positions are nobody's business any more.
        let position = [((topic.as_str().into(), 0), CommittedOffset::new(1))];
        assert!(away.commit_offsets(&position).await.is_err());
        loop {
            match away.next(PATIENCE).await.unwrap() {
                Some(GroupEvent::Revoking(_)) => {}
                Some(GroupEvent::Lost(keys)) => assert_eq!(keys.len(), 2, "{protocol:?}"),
                Some(GroupEvent::Assigned(keys)) => {
                    assert_eq!(keys.len(), 1, "{protocol:?}: it has its share again");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            group.until("the other gave one up", |ledger| ledger.shares() == [1]).await.reads.len(),
            0
        );
        away.close().await.unwrap();
        stays.close().await;
    }
}

#[tokio::test]
async fn a_static_member_that_comes_back_gets_its_partitions_and_disturbs_nobody() {
    let broker = Broker::patient().await;
    for protocol in PROTOCOLS {
        let topic = named("static", protocol);
        let client = broker.client_with_topic(&topic, PARTITIONS).await;
        fill(&client, &topic, PARTITIONS, 5).await;
        let mut group = Group::new(&client);
        let join = |group: &mut Group, name: &str| {
            let mut config = config(protocol, &topic);
            config.session_timeout = PATIENCE;
            config.group_instance_id = Some(name.into());
            group.join_topic(config, &topic)
        };
        let one = join(&mut group, "one");
        let two = join(&mut group, "two");
        let before = group
            .until("both have read and know of one another", |ledger| {
                let generation =
                    |number: &usize| ledger.memberships.get(number).map(|(_, generation)| *generation);
                ledger.shares() == [3, 3]
                    && ledger.has_read_all(&topic, PARTITIONS, 5)
                    && generation(&one.number) == generation(&two.number)
            })
            .await;
        let (told, owned) = (before.told.len(), before.owned_by(two.number));
        two.close().await;
        let two = join(&mut group, "two");
        fill(&client, &topic, PARTITIONS, 5).await;
        let after = group.until("both go on", |ledger| ledger.has_read_all(&topic, PARTITIONS, 10)).await;
        assert_eq!(after.owned_by(two.number), owned, "{protocol:?}");
        let of_one = after.told[told..].iter().filter(|(number, _)| *number == one.number).count();
        assert_eq!(of_one, 0, "{protocol:?}: {:?}", &after.told[told..]);
        assert_eq!(after.memberships[&one.number], before.memberships[&one.number]);
        assert!(after.reads.values().all(|count| *count == 1));
        one.close().await;
        two.close().await;
    }
}

#[tokio::test]
async fn cooperative_members_give_up_only_what_moves_and_eager_ones_everything() {
    let broker = Broker::start().await;
    for (assignor, given_up) in
        [(Assignor::CooperativeSticky, 3), (Assignor::Range, 6), (Assignor::RoundRobin, 6)]
    {
        let topic = format!("moves-{}", assignor.name());
        let client = broker.client_with_topic(&topic, PARTITIONS).await;
        let mut group = Group::new(&client);
        let mut config = config(GroupProtocol::Classic, &topic);
        config.assignors = vec![assignor];
        let first = group.join_topic(config.clone(), &topic);
        group.until("one has all", |ledger| ledger.shares() == [6]).await;
        let second = group.join_topic(config, &topic);
        let ledger = group.until("both have their share", |ledger| ledger.shares() == [3, 3]).await;
        let revoked: BTreeSet<&TopicPartition> = ledger
            .told
            .iter()
            .filter_map(|(number, event)| match event {
                GroupEvent::Revoking(keys) if *number == first.number => Some(keys),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(revoked.len(), given_up, "{assignor:?}");
        first.close().await;
        second.close().await;
    }
}

#[tokio::test]
async fn a_pattern_takes_in_topics_that_come_later() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let (early, late) = (named("pattern-early", protocol), named("pattern-late", protocol));
        broker.client_with_topic(&early, 2).await;
        broker.client_with_topic(&format!("not-{early}"), 2).await;
        let client =
            Client::connect(ClientConfig { metadata_max_age: Duration::from_millis(100), ..broker.config() });
        let client = client.await.unwrap();
        let mut group = Group::new(&client);
        let pattern = named("pattern-.*", protocol);
        let member =
            group.join(config(protocol, &pattern), |consumer| consumer.subscribe_pattern(&pattern).unwrap());
        group.until("the early one is read", |ledger| ledger.shares() == [2]).await;
        broker.client_with_topic(&late, 3).await;
        let ledger = group.until("the late one is read too", |ledger| ledger.shares() == [5]).await;
        let topics: BTreeSet<&str> = ledger.owners.keys().map(|(topic, _)| &**topic).collect();
        assert_eq!(topics, BTreeSet::from([early.as_str(), late.as_str()]));
        member.close().await;
    }
}

#[tokio::test]
async fn a_subscription_may_change_and_name_topics_that_do_not_exist_yet() {
    let broker = Broker::start().await;
    for protocol in PROTOCOLS {
        let (first, second) = (named("changes-first", protocol), named("changes-second", protocol));
        broker.client_with_topic(&first, 1).await;
        let client =
            Client::connect(ClientConfig { metadata_max_age: Duration::from_millis(100), ..broker.config() });
        let client = client.await.unwrap();
        let mut consumer = GroupConsumer::new(&client, config(protocol, &first));
        let next = async |consumer: &mut GroupConsumer| consumer.next(PATIENCE).await.unwrap().unwrap();
        consumer.subscribe(&[&first]);
        assert_eq!(next(&mut consumer).await, GroupEvent::Assigned(vec![(first.as_str().into(), 0)]));
        consumer.subscribe(&[&second]);
        assert_eq!(next(&mut consumer).await, GroupEvent::Revoking(vec![(first.as_str().into(), 0)]));
        assert_eq!(consumer.next(Duration::from_millis(300)).await.unwrap(), None);
        assert_eq!(consumer.assignment(), []);
        broker.client_with_topic(&second, 1).await;
        assert_eq!(next(&mut consumer).await, GroupEvent::Assigned(vec![(second.as_str().into(), 0)]));
        consumer.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_group_goes_on_over_a_restart_of_the_broker() {
    for protocol in PROTOCOLS {
        let mut broker = Broker::patient().await;
        let topic = named("restart", protocol);
        let client = broker.client_with_topic(&topic, PARTITIONS).await;
        let mut group = Group::new(&client);
        let mut patient = config(protocol, &topic);
        patient.session_timeout = PATIENCE;
        let members = [group.join_topic(patient.clone(), &topic), group.join_topic(patient, &topic)];
        fill(&client, &topic, PARTITIONS, 10).await;
        group
            .until("both have read", |ledger| {
                ledger.shares() == [3, 3] && ledger.has_read_all(&topic, PARTITIONS, 10)
            })
            .await;
        broker.stop().await;
        broker.start_again().await;
        fill(&client, &topic, PARTITIONS, 10).await;
        let ledger = group.until("they go on", |ledger| ledger.has_read_all(&topic, PARTITIONS, 20)).await;
        let twice = ledger.reads.values().filter(|count| **count > 1).count();
        assert!(twice <= 10 * PARTITIONS as usize, "more than what was not committed yet: {twice}");
        for member in members {
            member.close().await;
        }
    }
}
