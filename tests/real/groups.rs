//! Groups over `kill -9` of the broker: an offset that was acknowledged is there, and the members go on.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace::client::{
    Admin, Client, ClientConfig, GroupConfig, GroupConsumer, GroupProtocol, NewTopic, Producer,
    ProducerConfig, ProducerRecord, RetryPolicy,
};
use tempfile::TempDir;

use super::process::Broker;

const TOPIC: &str = "groups";
const PARTITIONS: i32 = 3;
const PER_PARTITION: i64 = 400;
const KILLS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: [&str; 2] = ["group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=100"];

async fn connect(broker: &Broker) -> Client {
    let mut config = ClientConfig::new(&broker.address().to_string()).unwrap();
    config.retry = RetryPolicy { initial: Duration::from_millis(5), max: Duration::from_millis(50) };
    Client::connect(config).await.unwrap()
}

async fn fill(client: &Client) {
    let topic = NewTopic::new(TOPIC).partitions(PARTITIONS);
    Admin::new(client).create_topics(&[topic], false).await.unwrap().remove(0).unwrap();
    let producer = Producer::new(client, ProducerConfig::default()).unwrap();
    let topic = producer.topic(TOPIC).await.unwrap();
    for _ in 0..PER_PARTITION {
        for partition in 0..PARTITIONS {
            let record =
                ProducerRecord { partition: Some(partition), value: Some(b"x"), ..ProducerRecord::default() };
            topic.send(&record).await.unwrap();
        }
    }
    producer.close().await.unwrap();
}

/// Reads everything with a commit after each poll, while the broker is killed now and then.
async fn read_over_kills(protocol: GroupProtocol) {
    let dir = TempDir::new().unwrap();
    let mut broker = Broker::start(dir.path(), "127.0.0.1:0", &SETTINGS);
    let address = broker.address().to_string();
    let client = connect(&broker).await;
    fill(&client).await;
    let mut config = GroupConfig::new("over-kills");
    config.protocol = protocol;
    config.auto_commit = None;
    config.heartbeat_interval = Duration::from_millis(100);
    config.consumer.max_poll_records = 20;
    let mut consumer = GroupConsumer::new(&client, config);
    consumer.subscribe(&[TOPIC]);

    let mut read: BTreeMap<(i32, i64), usize> = BTreeMap::new();
    let mut acknowledged: BTreeMap<i32, i64> = BTreeMap::new();
    let all = usize::try_from(PER_PARTITION).unwrap() * usize::try_from(PARTITIONS).unwrap();
    let mut kills = 0;
    while read.len() < all {
        let records = consumer.poll(PATIENCE).await.unwrap();
        assert!(!records.is_empty(), "{} of {all} records came", read.len());
        for record in &records {
            *read.entry((record.partition, record.offset)).or_default() += 1;
        }
        let is_to_be_killed = kills < KILLS && read.len() > (kills + 1) * all / (KILLS + 1);
        let committed = if is_to_be_killed {
            kills += 1;
            let (path, listen) = (dir.path().to_owned(), address.clone());
            let restart = tokio::task::spawn_blocking(move || {
                broker.kill();
                Broker::start(&path, &listen, &SETTINGS)
            });
            // The commit is on its way while the broker dies, and is tried again.
            let (committed, restarted) = tokio::join!(consumer.commit(), restart);
            broker = restarted.unwrap();
            committed
        } else {
            consumer.commit().await
        };
        if committed.is_ok() {
            let last = records.last().unwrap();
            acknowledged.insert(last.partition, last.offset + 1);
        }
        if kills == KILLS {
            let listed = Admin::new(&client).list_group_offsets("over-kills").await.unwrap();
            for ((_, partition), committed) in listed {
                let told = acknowledged.get(&partition).copied().unwrap_or_default();
                assert!(committed.offset >= told, "{partition}: {} < {told}", committed.offset);
            }
        }
    }
    assert_eq!(kills, KILLS);
    consumer.close().await.unwrap();
    let twice = read.values().filter(|count| **count > 1).count();
    assert!(twice <= KILLS * 20 * usize::try_from(PARTITIONS).unwrap(), "{twice} records were read twice");

    // Another member has nothing left to read.
    broker.kill();
    let broker = Broker::start(dir.path(), &address, &SETTINGS);
    let lag = Admin::new(&client).describe_group("over-kills").await.unwrap();
    let lag = Admin::new(&client).group_lag(&lag).await.unwrap();
    assert_eq!(lag.iter().map(|each| each.lag()).collect::<Vec<_>>(), vec![Some(0); 3]);
    drop(broker);
}

#[tokio::test]
async fn a_classic_member_goes_on_over_kills_of_the_broker() {
    read_over_kills(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn a_member_of_the_consumer_protocol_goes_on_over_kills_of_the_broker() {
    read_over_kills(GroupProtocol::Consumer).await;
}
