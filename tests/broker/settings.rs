//! Settings of the broker that are given while it runs, and replication factors above 1.

use millrace::wire::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use millrace::wire::messages::create_topics::CreatableTopic;
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Broker, Client, batch, broker, only, produce};
use super::topics::{alter, create, describe, topic, with_assignments, with_config};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;

const TOPIC_SOURCE: i8 = 1;
const OWN: i8 = 2;
const FOR_ALL: i8 = 3;
const AT_START: i8 = 4;
const DEFAULT: i8 = 5;

/// A setting as it is described: its value and source, and the sources of all values given for it.
async fn setting(
    client: &mut Client,
    resource_type: i8,
    name: &'static str,
    key: &'static str,
) -> (String, i8, Vec<i8>) {
    let described = describe(client, resource_type, name, &[key]).await;
    let one = described.configs.into_iter().next().unwrap();
    let sources = one.synonyms.iter().map(|synonym| synonym.source).collect();
    (one.value.unwrap().to_string(), one.config_source, sources)
}

async fn set(client: &mut Client, broker: &'static str, key: &'static str, value: &'static str) {
    assert_eq!(alter(client, BROKER, broker, &[(key, SET, Some(value))]).await, ErrorCode::NONE, "{key}");
}

/// Writes some bytes; says how that went and when the broker says they were appended.
async fn write(client: &mut Client, size: usize) -> (ErrorCode, i64) {
    let produced = only(&client.ask(&produce("feed", -1, batch(&[&vec![7; size]])), 9).await);
    (produced.error_code, produced.log_append_time_ms)
}

const SETTINGS: &[&str] = &["message.max.bytes=4000"];

async fn started() -> (Broker, Client) {
    let broker = broker(SETTINGS).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    (broker, client)
}

#[tokio::test]
async fn what_is_given_for_this_broker_stands_over_what_is_given_for_all() {
    let (_broker, mut client) = started().await;
    let key = "message.max.bytes";
    let too_large = ErrorCode::MESSAGE_TOO_LARGE;
    assert_eq!(
        setting(&mut client, BROKER, "1", key).await,
        ("4000".into(), AT_START, vec![AT_START, DEFAULT])
    );
    assert_eq!(write(&mut client, 3000).await.0, ErrorCode::NONE);

    set(&mut client, "", key, "2000").await;
    assert_eq!(write(&mut client, 3000).await.0, too_large);
    let for_all = ("2000".to_owned(), FOR_ALL, vec![FOR_ALL, AT_START, DEFAULT]);
    assert_eq!(setting(&mut client, BROKER, "1", key).await, for_all);
    assert_eq!(setting(&mut client, TOPIC, "feed", "max.message.bytes").await, for_all);

    set(&mut client, "1", key, "1000").await;
    assert_eq!(write(&mut client, 1500).await.0, too_large);
    let own = ("1000".to_owned(), OWN, vec![OWN, FOR_ALL, AT_START, DEFAULT]);
    assert_eq!(setting(&mut client, BROKER, "1", key).await, own);
    // Of all brokers only what was given for all.
    let all = describe(&mut client, BROKER, "", &[]).await;
    let all: Vec<_> =
        all.configs.iter().map(|one| (one.name.to_string(), one.value.unwrap().to_string())).collect();
    assert_eq!(all, [(key.to_owned(), "2000".to_owned())]);

    // A topic's own value stands over everybody's.
    let change = [("max.message.bytes", SET, Some("5000"))];
    assert_eq!(alter(&mut client, TOPIC, "feed", &change).await, ErrorCode::NONE);
    assert_eq!(write(&mut client, 4500).await.0, ErrorCode::NONE);
    let described = setting(&mut client, TOPIC, "feed", "max.message.bytes").await;
    assert_eq!(described, ("5000".into(), TOPIC_SOURCE, vec![TOPIC_SOURCE, OWN, FOR_ALL, AT_START, DEFAULT]));
    assert_eq!(
        alter(&mut client, TOPIC, "feed", &[("max.message.bytes", DELETE, None)]).await,
        ErrorCode::NONE
    );

    assert_eq!(alter(&mut client, BROKER, "1", &[(key, DELETE, None)]).await, ErrorCode::NONE);
    assert_eq!(write(&mut client, 1500).await.0, ErrorCode::NONE);
    assert_eq!(write(&mut client, 3000).await.0, too_large);
    assert_eq!(alter(&mut client, BROKER, "", &[(key, DELETE, None)]).await, ErrorCode::NONE);
    assert_eq!(write(&mut client, 3000).await.0, ErrorCode::NONE);
}

#[tokio::test]
async fn what_is_given_while_the_broker_runs_is_there_after_a_restart() {
    let (broker, mut client) = started().await;
    set(&mut client, "", "message.max.bytes", "2000").await;
    set(&mut client, "", "log.segment.bytes", "2097152").await;
    set(&mut client, "1", "log.segment.bytes", "1048576").await;
    set(&mut client, "1", "log.message.timestamp.type", "LogAppendTime").await;
    let mut known = Vec::new();
    for key in ["max.message.bytes", "segment.bytes", "message.timestamp.type", "retention.ms"] {
        known.push((key, setting(&mut client, TOPIC, "feed", key).await));
    }
    assert_eq!(known[0].1.1, FOR_ALL);
    assert_eq!(known[1].1.2, [OWN, FOR_ALL, DEFAULT]);
    let broker = broker.restart(SETTINGS).await;
    let mut client = broker.connect().await;
    for (key, before) in known {
        assert_eq!(setting(&mut client, TOPIC, "feed", key).await, before, "{key}");
    }
    assert_eq!(write(&mut client, 3000).await.0, ErrorCode::MESSAGE_TOO_LARGE);
    let (error, appended_ms) = write(&mut client, 100).await;
    assert!(error.is_none() && appended_ms > 0, "{error} {appended_ms}");
}

#[tokio::test]
async fn what_is_read_at_the_start_only_is_an_invalid_request() {
    let (_broker, mut client) = started().await;
    for key in ["queued.append.bytes", "node.id", "listeners", "num.network.threads"] {
        for name in ["", "1"] {
            let change = [(key, SET, Some("2000000"))];
            assert_eq!(alter(&mut client, BROKER, name, &change).await, ErrorCode::INVALID_REQUEST, "{key}");
        }
    }
    // One that cannot be changed spoils those that can.
    let changes = [("log.retention.ms", SET, Some("5")), ("node.id", SET, Some("9"))];
    assert_eq!(alter(&mut client, BROKER, "1", &changes).await, ErrorCode::INVALID_REQUEST);
    assert_eq!(setting(&mut client, BROKER, "1", "log.retention.ms").await.1, DEFAULT);
    for (key, value) in [("log.retention.ms", "-2"), ("num.partitions", "0"), ("no.such.thing", "1")] {
        let change = [(key, SET, Some(value))];
        assert_eq!(alter(&mut client, BROKER, "1", &change).await, ErrorCode::INVALID_CONFIG, "{key}");
    }
}

/// What applications ask for that were written for three brokers.
fn replicated() -> Vec<CreatableTopic> {
    vec![
        topic("by-factor", 2, 3),
        with_config("in-sync", "min.insync.replicas", "2"),
        with_assignments("by-hand", &[(0, &[1, 2, 3]), (1, &[2, 3, 1])]),
    ]
}

/// Gives a topic a second partition on brokers 1 and 2.
async fn grow(client: &mut Client, name: &'static str) -> ErrorCode {
    let assignment = CreatePartitionsAssignment { broker_ids: vec![1, 2].into() };
    let wanted = CreatePartitionsTopic {
        name: Str::from_static(name),
        count: 2,
        assignments: Some(vec![assignment].into()),
    };
    let request =
        CreatePartitionsRequest { topics: vec![wanted].into(), timeout_ms: 1000, validate_only: false };
    client.ask(&request, 3).await.results.into_iter().next().unwrap().error_code
}

#[tokio::test]
async fn more_than_one_replica_is_refused() {
    let (_broker, mut client) = started().await;
    let made = create(&mut client, replicated(), 5).await;
    let made: Vec<_> = made.iter().map(|made| made.error_code).collect();
    assert_eq!(
        made,
        [
            ErrorCode::INVALID_REPLICATION_FACTOR,
            ErrorCode::INVALID_CONFIG,
            ErrorCode::INVALID_REPLICA_ASSIGNMENT
        ]
    );
    assert_eq!(grow(&mut client, "feed").await, ErrorCode::INVALID_REPLICA_ASSIGNMENT);
}

#[tokio::test]
async fn more_than_one_replica_is_taken_as_one_where_the_broker_is_told_to() {
    // The broker's own settings, which others would refuse to start with.
    let settings = ["replication.factor.clamp=true", "default.replication.factor=3", "min.insync.replicas=2"];
    for at_start in [true, false] {
        let broker = broker(if at_start { &settings } else { &[] }).await;
        let mut client = broker.connect().await;
        if !at_start {
            set(&mut client, "", "replication.factor.clamp", "true").await;
        }
        let mut wanted = replicated();
        wanted.push(topic("by-default", -1, -1));
        for made in create(&mut client, wanted, 5).await {
            assert_eq!(made.error_code, ErrorCode::NONE, "{}: {:?}", made.name, made.error_message);
            assert_eq!(made.replication_factor, 1, "{}", made.name);
        }
        assert_eq!(grow(&mut client, "in-sync").await, ErrorCode::NONE);
        let key = "min.insync.replicas";
        for name in ["in-sync", "by-factor", "by-default"] {
            assert_eq!(alter(&mut client, TOPIC, name, &[(key, SET, Some("3"))]).await, ErrorCode::NONE);
            assert_eq!(setting(&mut client, TOPIC, name, key).await.0, "1", "what is in force is shown");
        }
        client.make_topic("feed").await;
        assert_eq!(write(&mut client, 10).await.0, ErrorCode::NONE, "acks=all waits for nobody else");
        // What is wrong by any count stays wrong.
        for (refused, error) in [
            (topic("x", 1, 0), ErrorCode::INVALID_REPLICATION_FACTOR),
            (with_config("x", key, "0"), ErrorCode::INVALID_CONFIG),
            (with_config("x", key, "many"), ErrorCode::INVALID_CONFIG),
            (with_assignments("x", &[(0, &[2, 3])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
            (with_assignments("x", &[(0, &[1, 2, 2])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        ] {
            assert_eq!(create(&mut client, vec![refused], 5).await[0].error_code, error);
        }
    }
}
