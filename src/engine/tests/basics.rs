use std::time::Duration;

use crate::engine::api::*;
use crate::engine::*;
use crate::env::Env;
use crate::record::{BatchBuilder, Compression, batches};
use crate::types::{BrokerId, Isolation};
use std::sync::Arc;

fn open(dir: &std::path::Path) -> Arc<Engine> {
    let config = EngineConfig {
        data_dir: dir.to_owned(),
        broker_id: BrokerId(1),
        settings: config::Overrides::new(),
        holder: "a test".into(),
        shown_settings: Vec::new(),
        own_timer: true,
    };
    Engine::open(config, Env::system(), Arc::new(ThreadPool::new())).unwrap()
}

fn batch(values: &[&str]) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.append(1, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build()
}

fn produce_one(name: &str, partition: i32, values: &[&str], acks: Acks) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout: Duration::from_secs(10),
        zstd: true,
        partitions: vec![ProducePartition {
            topic: TopicRef::Name(name.into()),
            partition,
            records: batch(values),
        }],
    }
}

fn fetch_one(name: &str, offset: i64, wait_ms: u64) -> FetchRequest {
    FetchRequest {
        max_wait: Duration::from_millis(wait_ms),
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation: Isolation::ReadUncommitted,
        partitions: vec![FetchPartition {
            topic: TopicRef::Name(name.into()),
            partition: 0,
            fetch_offset: offset,
            max_bytes: 1 << 20,
            current_leader_epoch: None,
            last_fetched_epoch: None,
        }],
    }
}

fn values(outcome: &FetchOutcome) -> Vec<String> {
    let fetched = outcome.as_ref().unwrap();
    fetched
        .records
        .iter()
        .cloned()
        .flat_map(batches)
        .flat_map(|batch| batch.unwrap().records(1 << 20).unwrap())
        .map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_produced_is_fetched_and_survives_an_orderly_stop_and_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    assert!(engine.auto_create(vec!["orders".into()]).await.is_empty());
    let id = engine.image().topic_by_name("orders").unwrap().id;

    let waiting = tokio::spawn(engine.fetch(fetch_one("orders", 0, 60_000)));
    for (index, acks) in [Acks::All, Acks::Leader, Acks::All].into_iter().enumerate() {
        let outcomes = engine.produce(produce_one("orders", 0, &["a", "b"], acks)).await;
        assert_eq!(outcomes[0].as_ref().unwrap().base_offset, 2 * index as i64);
    }
    assert_eq!(values(&waiting.await.unwrap()[0])[..2], ["a", "b"]);
    assert_eq!(values(&engine.fetch(fetch_one("orders", 1, 0)).await[0]), ["a", "b", "a", "b", "a", "b"]);
    engine.shutdown_clean().unwrap();
    drop(engine);

    for epoch in 1..3 {
        let engine = open(dir.path());
        let image = engine.image();
        assert_eq!(image.leader_epoch.0, epoch);
        assert_eq!(image.topic_by_name("orders").unwrap().id, id);
        assert_eq!(values(&engine.fetch(fetch_one("orders", 4, 0)).await[0]), ["a", "b"]);
        // No orderly stop.
        drop(engine);
    }
}

#[tokio::test]
async fn deleting_a_topic_wakes_a_fetch_that_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    assert!(engine.auto_create(vec!["gone".into()]).await.is_empty());
    let waiting = tokio::spawn(engine.fetch(fetch_one("gone", 0, 600_000)));
    while engine.waiting_requests() == 0 {
        tokio::task::yield_now().await;
    }
    let deleted = engine.delete_topics(vec![TopicRef::Name("gone".into())]).await;
    assert_eq!(deleted, [Ok(())]);
    assert_eq!(waiting.await.unwrap()[0].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
}

/// It once stayed for all its time, up to 24 days: a client that asked and hung up, over and over, filled the memory.
#[tokio::test]
async fn a_fetch_whose_client_has_gone_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    assert!(engine.auto_create(vec!["quiet".into()]).await.is_empty());
    let mut fetch = Box::pin(engine.fetch(fetch_one("quiet", 0, 2_000_000_000)));
    let first_poll =
        std::future::poll_fn(|context| std::task::Poll::Ready(fetch.as_mut().poll(context))).await;
    assert!(first_poll.is_pending());
    assert_eq!(engine.waiting_requests(), 1);
    drop(fetch);
    assert_eq!(engine.waiting_requests(), 0);
}

#[tokio::test]
async fn a_fetch_of_nothing_waits_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let nothing = FetchRequest { partitions: Vec::new(), ..fetch_one("any", 0, 600_000) };
    let mut fetch = std::pin::pin!(engine.fetch(nothing));
    let first_poll =
        std::future::poll_fn(|context| std::task::Poll::Ready(fetch.as_mut().poll(context))).await;
    assert!(first_poll.is_ready());
}
