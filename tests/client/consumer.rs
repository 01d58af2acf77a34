//! What the consumer promises: every record from the position on, in order, or an error that names the place.

use std::time::Duration;

use millrace::client::{
    Admin, Consumer, ConsumerConfig, Error, ErrorKind, OutOfRange, ProducerConfig, ProducerRecord, StartAt,
};

use super::fixture::{Broker, PATIENCE, producer, read, send_all, value_for, values};

fn numbers(range: std::ops::Range<i32>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

#[tokio::test]
async fn reading_starts_where_it_is_told_to() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("starts", 1).await;
    let (producer, topic) = producer(&client, "starts", ProducerConfig::default()).await;
    for number in 0..100 {
        let value = number.to_string();
        let record = ProducerRecord { timestamp_ms: Some(1000 + 10 * number), ..value_for(0, &value) };
        topic.send(&record).await.unwrap();
    }
    producer.close().await.unwrap();
    let mut consumer = Consumer::new(&client, ConsumerConfig::default());
    for (start, first) in [
        (StartAt::Beginning, 0),
        (StartAt::Offset(42), 42),
        (StartAt::Offset(99), 99),
        (StartAt::Timestamp(0), 0),
        (StartAt::Timestamp(1500), 50),
        (StartAt::Timestamp(1501), 51),
    ] {
        consumer.assign("starts", &[(0, start)]).await.unwrap();
        assert_eq!(consumer.position("starts", 0), Some(first), "{start:?}");
        let records = read(&mut consumer, (100 - first) as usize).await;
        assert_eq!((records[0].offset, records[0].timestamp_ms), (first, 1000 + 10 * first), "{start:?}");
        assert_eq!(consumer.position("starts", 0), Some(100));
    }
    for start in [StartAt::End, StartAt::Timestamp(5000)] {
        consumer.assign("starts", &[(0, start)]).await.unwrap();
        assert_eq!(consumer.position("starts", 0), Some(100), "{start:?}");
    }
    assert_eq!(consumer.watermarks("starts", 0).unwrap().high_watermark, 100);
}

#[tokio::test]
async fn records_that_come_later_are_read_at_once() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("later", 3).await;
    let mut consumer =
        Consumer::new(&client, ConsumerConfig { max_wait: PATIENCE, ..ConsumerConfig::default() });
    consumer.assign_topic("later", StartAt::End).await.unwrap();
    assert_eq!(consumer.poll(Duration::from_millis(20)).await.unwrap(), []);
    let (_producer, topic) = producer(&client, "later", ProducerConfig::default()).await;
    for partition in [2, 0, 1] {
        topic.send(&value_for(partition, "x")).await.unwrap();
        let records = read(&mut consumer, 1).await;
        assert_eq!(records[0].partition, partition);
    }
}

#[tokio::test]
async fn a_batch_is_read_whole_even_where_it_is_larger_than_a_fetch() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("whole", 1).await;
    send_all(&client, "whole", (0..20).map(|number| format!("{number}{}", "x".repeat(100_000)))).await;
    let config = ConsumerConfig {
        max_partition_bytes: 10,
        max_bytes: 10,
        buffer_bytes: 10,
        ..ConsumerConfig::default()
    };
    let mut consumer = Consumer::new(&client, config);
    consumer.assign("whole", &[(0, StartAt::Offset(7))]).await.unwrap();
    let records = read(&mut consumer, 13).await;
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), (7..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_poll_returns_at_most_as_many_records_as_it_may() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("few", 1).await;
    send_all(&client, "few", numbers(0..25)).await;
    let mut consumer =
        Consumer::new(&client, ConsumerConfig { max_poll_records: 10, ..ConsumerConfig::default() });
    consumer.assign_topic("few", StartAt::Beginning).await.unwrap();
    for (count, position) in [(10, 10), (10, 20), (5, 25)] {
        assert_eq!(consumer.poll(PATIENCE).await.unwrap().len(), count);
        assert_eq!(consumer.position("few", 0), Some(position));
    }
}

#[tokio::test]
async fn after_a_seek_nothing_from_before_it_comes() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("seek", 1).await;
    send_all(&client, "seek", numbers(0..1000)).await;
    let mut consumer =
        Consumer::new(&client, ConsumerConfig { max_poll_records: 7, ..ConsumerConfig::default() });
    consumer.assign_topic("seek", StartAt::Beginning).await.unwrap();
    for start in [500, 3, 990, 0] {
        consumer.seek("seek", 0, StartAt::Offset(start)).await.unwrap();
        assert_eq!(consumer.poll(PATIENCE).await.unwrap()[0].offset, start);
    }
    consumer.unassign("seek", 0);
    assert_eq!(consumer.poll(Duration::from_millis(20)).await.unwrap(), []);
    assert_eq!(consumer.position("seek", 0), None);
}

#[tokio::test]
async fn a_position_outside_of_the_log_is_an_error_or_moves_as_told() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("range", 1).await;
    send_all(&client, "range", numbers(0..10)).await;
    Admin::new(&client).delete_records("range", 0, 4).await.unwrap();
    for outside in [2, 11] {
        let mut consumer = Consumer::new(&client, ConsumerConfig::default());
        consumer.assign("range", &[(0, StartAt::Offset(outside))]).await.unwrap();
        let error = consumer.poll(PATIENCE).await.unwrap_err();
        assert!(matches!(error, Error::OffsetOutOfRange { offset, .. } if offset == outside), "{error}");
        // Nothing more comes, and nothing is asked for, until a seek.
        assert_eq!(consumer.poll(Duration::from_millis(20)).await.unwrap(), []);
        consumer.seek("range", 0, StartAt::Beginning).await.unwrap();
        assert_eq!(read(&mut consumer, 6).await[0].offset, 4);

        let config = ConsumerConfig { out_of_range: OutOfRange::Beginning, ..ConsumerConfig::default() };
        let mut consumer = Consumer::new(&client, config);
        consumer.assign("range", &[(0, StartAt::Offset(outside))]).await.unwrap();
        assert_eq!(read(&mut consumer, 6).await[0].offset, 4);
    }
}

#[tokio::test]
async fn reading_goes_on_after_a_restart() {
    let mut broker = Broker::start().await;
    let client = broker.client_with_topic("restart", 1).await;
    send_all(&client, "restart", numbers(0..10)).await;
    let mut consumer = Consumer::new(&client, ConsumerConfig::default());
    consumer.assign_topic("restart", StartAt::Beginning).await.unwrap();
    assert_eq!(read(&mut consumer, 10).await.len(), 10);
    broker.stop().await;
    broker.start_again().await;
    send_all(&client, "restart", numbers(10..20)).await;
    let records = read(&mut consumer, 10).await;
    assert_eq!(values(&records), numbers(10..20).collect::<Vec<_>>());
    assert_eq!(records[0].leader_epoch, Some(1), "each start has an epoch of its own");
}

#[tokio::test]
async fn what_does_not_exist_is_said_at_once() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("there", 1).await;
    let mut consumer = Consumer::new(&client, ConsumerConfig::default());
    for (topic, partition) in [("nowhere", 0), ("there", 1)] {
        let error = consumer.assign(topic, &[(partition, StartAt::Beginning)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}
