//! What the producer promises: everything arrives as it was sent, once, in order, within bounds.

use std::time::Duration;

use bytes::Bytes;
use millrace::client::{
    Acks, Compression, Error, ErrorKind, Header, Producer, ProducerConfig, ProducerRecord, partition_for_key,
};

use super::fixture::{Broker, producer, read_all, value_for, values};

#[tokio::test]
async fn records_come_back_as_they_were_sent_whatever_the_codec() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("all", 1).await;
    let headers = [
        Header { key: Bytes::from("name"), value: Some(Bytes::from("value")) },
        Header { key: Bytes::from("name"), value: None },
        Header { key: Bytes::new(), value: Some(Bytes::new()) },
    ];
    let large = vec![b'x'; 300_000];
    let texts: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"\xff\0text"), Some(&large)];
    let mut sent = Vec::new();
    for compression in Compression::ALL {
        let config = ProducerConfig { compression, ..ProducerConfig::default() };
        let (producer, topic) = producer(&client, "all", config).await;
        for (key, value) in texts.iter().flat_map(|key| texts.iter().map(move |value| (*key, *value))) {
            let timestamp_ms = 1_000 + sent.len() as i64;
            let record = ProducerRecord {
                timestamp_ms: Some(timestamp_ms),
                key,
                value,
                headers: &headers,
                partition: None,
            };
            sent.push((record, topic.send(&record).await.unwrap()));
        }
        producer.close().await.unwrap();
    }
    let records = read_all(&client, "all", sent.len()).await;
    for (record, (sent, delivery)) in records.iter().zip(&sent) {
        assert_eq!(delivery.wait().await.unwrap().offset, Some(record.offset));
        assert_eq!(Some(record.timestamp_ms), sent.timestamp_ms);
        assert_eq!(record.key.as_deref(), sent.key);
        assert_eq!(record.value.as_deref(), sent.value);
        assert_eq!(record.headers, headers);
        assert_eq!(record.leader_epoch, Some(0));
    }
}

#[tokio::test]
async fn keys_choose_partitions_as_javas_do_and_others_are_spread() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("spread", 5).await;
    let config = ProducerConfig { batch_bytes: 1000, ..ProducerConfig::default() };
    let (producer, topic) = producer(&client, "spread", config).await;
    for number in 0..50 {
        let key = format!("key-{number}");
        let record = ProducerRecord { key: Some(key.as_bytes()), ..ProducerRecord::default() };
        let delivered = topic.send(&record).await.unwrap().wait().await.unwrap();
        assert_eq!(delivered.partition as usize, partition_for_key(key.as_bytes(), 5));
    }
    let mut counts = [0; 5];
    let mut deliveries = Vec::new();
    for _ in 0..500 {
        let record = ProducerRecord { value: Some(&[0; 200]), ..ProducerRecord::default() };
        deliveries.push(topic.send(&record).await.unwrap());
    }
    producer.flush().await.unwrap();
    for delivery in deliveries {
        counts[delivery.result().unwrap().unwrap().partition as usize] += 1;
    }
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
}

#[tokio::test]
async fn every_kind_of_ack_delivers_and_tells_what_it_knows() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("acks", 1).await;
    for (index, acks) in [Acks::None, Acks::Leader, Acks::All].into_iter().enumerate() {
        let config = ProducerConfig { acks, idempotence: acks == Acks::All, ..ProducerConfig::default() };
        let (producer, topic) = producer(&client, "acks", config).await;
        let delivered = topic.send(&value_for(0, "x")).await.unwrap().wait().await.unwrap();
        assert_eq!(delivered.offset, (acks != Acks::None).then_some(index as i64));
        assert_eq!(producer.stats().delivered_records, 1);
        producer.close().await.unwrap();
        assert_eq!(read_all(&client, "acks", index + 1).await.len(), index + 1);
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_nothing_doubles_nothing_and_keeps_the_order() {
    let mut broker = Broker::start().await;
    let client = broker.client_with_topic("restart", 2).await;
    let config = ProducerConfig { batch_bytes: 500, linger: Duration::ZERO, ..ProducerConfig::default() };
    let (producer, topic) = producer(&client, "restart", config).await;
    let count = 3000;
    let sending = tokio::spawn(async move {
        for number in 0..count {
            topic.send(&value_for(number % 2, &number.to_string())).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..2 {
        let before = producer.stats().delivered_records;
        while producer.stats().delivered_records < before + 100 {
            tokio::task::yield_now().await;
        }
        broker.stop().await;
        broker.start_again().await;
    }
    sending.await.unwrap();
    producer.close().await.unwrap();
    assert!(producer.stats().retried_batches > 0, "the restarts were noticed");
    let records = read_all(&client, "restart", count as usize).await;
    for partition in 0..2 {
        let of_partition: Vec<_> =
            records.iter().filter(|record| record.partition == partition).cloned().collect();
        let expected: Vec<String> =
            (0..count).filter(|n| n % 2 == partition).map(|n| n.to_string()).collect();
        assert_eq!(values(&of_partition), expected);
    }
}

#[tokio::test]
async fn without_a_broker_the_buffer_fills_and_records_are_given_up_in_time() {
    let mut broker = Broker::start().await;
    let client = broker.client_with_topic("gone", 1).await;
    let config = ProducerConfig {
        batch_bytes: 1000,
        max_record_bytes: 1000,
        buffer_bytes: 5000,
        delivery_timeout: Duration::from_millis(200),
        ..ProducerConfig::default()
    };
    let (producer, topic) = producer(&client, "gone", config).await;
    broker.stop().await;
    let value = "x".repeat(600);
    let mut deliveries = Vec::new();
    let full = loop {
        match topic.try_send(&value_for(0, &value)) {
            Ok(delivery) => deliveries.push(delivery),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::BufferFull), "{full}");
    assert_eq!(deliveries.len(), 5);
    for delivery in &deliveries {
        let error = delivery.wait().await.unwrap_err();
        assert!(matches!(error, Error::Timeout { last: Some(_), .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }
    assert_eq!(producer.stats().failed_records, 5);
    // There is room again, and the broker comes back: what follows is numbered anew and arrives.
    broker.start_again().await;
    let delivered = topic.send(&value_for(0, "later")).await.unwrap().wait().await;
    assert_eq!(delivered.unwrap().offset, Some(0));
}

#[tokio::test]
async fn what_is_too_large_is_refused_where_the_limit_is() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("large", 1).await;
    let (_, topic) = producer(&client, "large", ProducerConfig::default()).await;
    let value = "x".repeat(1_200_000);
    let error = topic.send(&value_for(0, &value)).await.unwrap_err();
    assert!(matches!(error, Error::RecordTooLarge { limit_bytes: 1_048_576, .. }), "{error}");

    let config = ProducerConfig { max_record_bytes: 2_000_000, ..ProducerConfig::default() };
    let (producer, topic) = producer(&client, "large", config).await;
    let error = topic.send(&value_for(0, &value)).await.unwrap().wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
    // One that is refused does not hold up the next.
    let delivered = topic.send(&value_for(0, "small")).await.unwrap().wait().await.unwrap();
    assert_eq!(delivered.offset, Some(0));
    producer.close().await.unwrap();
}

#[tokio::test]
async fn an_unknown_topic_is_created_only_where_that_is_wanted() {
    let broker = Broker::start().await;
    let client = broker.client().await;
    let config = ProducerConfig { auto_create_topics: false, ..ProducerConfig::default() };
    let error = Producer::new(&client, config).unwrap().topic("new").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let (_, topic) = producer(&client, "new", ProducerConfig::default()).await;
    assert_eq!(topic.send(&value_for(0, "x")).await.unwrap().wait().await.unwrap().offset, Some(0));
    let error = topic.send(&value_for(99, "x")).await.unwrap_err();
    assert!(error.to_string().contains("no partition 99"), "{error}");
}

#[tokio::test]
async fn a_closed_producer_takes_nothing_and_a_dropped_one_delivers_what_it_took() {
    let broker = Broker::start().await;
    let client = broker.client_with_topic("closing", 1).await;
    let config = ProducerConfig { linger: Duration::from_secs(60), ..ProducerConfig::default() };
    let (one, topic) = producer(&client, "closing", config.clone()).await;
    let delivery = topic.send(&value_for(0, "a")).await.unwrap();
    one.close().await.unwrap();
    assert_eq!(delivery.result().unwrap().unwrap().offset, Some(0));
    assert!(matches!(topic.send(&value_for(0, "b")).await, Err(Error::Closed)));

    let (other, topic) = producer(&client, "closing", config).await;
    let delivery = topic.send(&value_for(0, "c")).await.unwrap();
    drop((other, topic));
    assert_eq!(delivery.wait().await.unwrap().offset, Some(1));
}

#[tokio::test]
async fn a_contradiction_in_the_configuration_is_refused() {
    let broker = Broker::start().await;
    let client = broker.client().await;
    for config in [
        ProducerConfig { acks: Acks::Leader, ..ProducerConfig::default() },
        ProducerConfig { max_in_flight: 0, ..ProducerConfig::default() },
        ProducerConfig { buffer_bytes: 10, ..ProducerConfig::default() },
        ProducerConfig { batch_bytes: 1 << 30, buffer_bytes: 1 << 31, ..ProducerConfig::default() },
    ] {
        assert!(matches!(Producer::new(&client, config), Err(Error::Invalid(_))));
    }
}
