//! Limits of connections: how many, how long, how much at once.

use std::time::Duration;

use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use millrace::wire::messages::metadata::{MetadataRequest, MetadataResponse};
use millrace::wire::messages::produce::ProduceResponse;
use millrace::wire::{ErrorCode, Str};
use tokio::io::Interest;

use super::fixture::{End, PATIENCE, batch, broker, only, produce};
use super::topics::alter;

const BROKER: i8 = 4;

fn fetch(topic: &'static str, max_wait_ms: i32, min_bytes: i32) -> FetchRequest {
    let partition = FetchPartition { partition_max_bytes: i32::MAX, ..Default::default() };
    let topic = FetchTopic {
        topic: Str::from_static(topic),
        partitions: vec![partition].into(),
        ..Default::default()
    };
    FetchRequest {
        replica_id: -1,
        max_wait_ms,
        min_bytes,
        max_bytes: i32::MAX,
        topics: vec![topic].into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let broker = broker(&["max.connections.per.ip=2"]).await;
    let mut first = broker.connect().await;
    let mut second = broker.connect().await;
    first.ask(&MetadataRequest::default(), 1).await;
    second.ask(&MetadataRequest::default(), 1).await;
    let mut third = broker.connect().await;
    third.is_closed().await;
    drop(first);
    // The broker learns of the end when it reads; a client that comes too early is closed and comes again.
    let served = async {
        loop {
            let mut client = broker.connect().await;
            client.send(&MetadataRequest::default(), 1).await;
            if client.next().await != End::Closed {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
}

#[tokio::test]
async fn beyond_all_connections_a_client_waits_for_its_turn() {
    let broker = broker(&["max.connections=1"]).await;
    let mut first = broker.connect().await;
    first.ask(&MetadataRequest::default(), 1).await;
    let mut second = broker.connect().await;
    let correlation_id = second.send(&MetadataRequest::default(), 1).await;
    let early = tokio::time::timeout(Duration::from_millis(100), second.next()).await;
    assert!(early.is_err(), "served beyond the limit");
    drop(first);
    let _: MetadataResponse = second.receive(1, correlation_id).await;
}

#[tokio::test]
async fn limits_of_connections_are_changed_while_the_broker_runs() {
    let broker = broker(&["max.connections=2", "max.connections.per.ip=1"]).await;
    let mut first = broker.connect().await;
    first.ask(&MetadataRequest::default(), 1).await;
    broker.connect().await.is_closed().await;
    let change = |key, value| [(key, 0, Some(value))];
    assert_eq!(alter(&mut first, BROKER, "1", &change("max.connections.per.ip", "9")).await, ErrorCode::NONE);
    let mut second = broker.connect().await;
    second.ask(&MetadataRequest::default(), 1).await;
    // The third waits for its turn, which comes when there may be more.
    let mut third = broker.connect().await;
    let correlation_id = third.send(&MetadataRequest::default(), 1).await;
    assert_eq!(alter(&mut first, BROKER, "", &change("max.connections", "3")).await, ErrorCode::NONE);
    let _: MetadataResponse = third.receive(1, correlation_id).await;
    for refused in ["0", "many"] {
        let change = change("max.connections", refused);
        assert_eq!(alter(&mut first, BROKER, "1", &change).await, ErrorCode::INVALID_CONFIG);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let broker = broker(&["connections.max.idle.ms=100"]).await;
    let mut client = broker.connect().await;
    client.ask(&MetadataRequest::default(), 1).await;
    client.is_closed().await;
    broker.serves().await;
}

#[tokio::test]
async fn a_request_that_stops_in_its_middle_is_not_waited_for() {
    let broker = broker(&["connections.request.timeout.ms=100"]).await;
    let mut client = broker.connect().await;
    client.send_bytes(&[0, 0, 0, 100, 0, 3]).await;
    client.is_closed().await;
    broker.serves().await;
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_cut() {
    let broker = broker(&["connections.response.timeout.ms=200"]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let megabyte = vec![b'x'; 900_000];
    for _ in 0..24 {
        let response = client.ask(&produce("feed", -1, batch(&[&megabyte])), 9).await;
        assert_eq!(only(&response).error_code, ErrorCode::NONE);
    }
    let mut greedy = broker.connect().await;
    for _ in 0..20 {
        greedy.send(&fetch("feed", 0, 1), 4).await;
    }
    broker.serves().await;
    // The cut is a reset, which a client notices without reading.
    let reset = greedy.stream.ready(Interest::ERROR);
    tokio::time::timeout(PATIENCE, reset).await.expect("the connection was not cut").unwrap();
    broker.serves().await;
}

#[tokio::test]
async fn answers_come_in_the_order_of_requests() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let mut sent = Vec::new();
    for round in 0..50u8 {
        sent.push((
            0i16,
            client.send(&produce("feed", if round % 2 == 0 { -1 } else { 1 }, batch(&[&[round]])), 9).await,
        ));
        if round % 7 == 0 {
            sent.push((3, client.send(&MetadataRequest::default(), 1).await));
        }
    }
    let mut offsets = Vec::new();
    for (api_key, correlation_id) in sent {
        if api_key == 0 {
            let response: ProduceResponse = client.receive(9, correlation_id).await;
            assert_eq!(only(&response).error_code, ErrorCode::NONE);
            offsets.push(only(&response).base_offset);
        } else {
            let _: MetadataResponse = client.receive(1, correlation_id).await;
        }
    }
    assert_eq!(offsets, (0..50).collect::<Vec<i64>>(), "batches of one connection keep their order");
}

#[tokio::test]
async fn a_produce_behind_a_parked_fetch_waits_for_it() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let fetched = client.send(&fetch("feed", 300, 1), 4).await;
    let produced = client.send(&produce("feed", -1, batch(&[b"late"])), 9).await;
    let response: FetchResponse = client.receive(4, fetched).await;
    let topic = response.responses.iter().next().unwrap();
    let records = topic.partitions.iter().next().unwrap().records.unwrap();
    assert!(records.is_empty(), "the produce overtook the fetch");
    let response: ProduceResponse = client.receive(9, produced).await;
    assert_eq!(only(&response).base_offset, 0);
}

#[tokio::test]
async fn a_stopping_broker_answers_what_it_has_taken() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic("feed").await;
    let mut parked = broker.connect().await;
    parked.send(&fetch("feed", 600_000, 1), 4).await;
    let produced = client.send(&produce("feed", -1, batch(&[b"last"])), 9).await;
    let response: ProduceResponse = client.receive(9, produced).await;
    assert_eq!(only(&response).error_code, ErrorCode::NONE);
    tokio::time::timeout(PATIENCE, broker.server.stop()).await.unwrap().unwrap();
    client.is_closed().await;
}
