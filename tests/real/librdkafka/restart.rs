//! A clean stop and a start: a client notices nothing but a pause.

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::FutureRecord;

use super::{Cluster, PATIENCE, assign, numbers, plain};
use crate::process::Broker;

/// The next message; that the broker was away meanwhile is told as errors before it.
fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    loop {
        match consumer.poll(PATIENCE).expect("the consumer goes on") {
            Ok(message) => return message,
            Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            )) => {}
            Err(error) => panic!("the consumer does not go on: {error}"),
        }
    }
}

#[tokio::test]
async fn topics_records_configs_and_the_cluster_id_survive_a_clean_stop() {
    let mut cluster = Cluster::start(&[]);
    let Some((broker, directory)) = cluster.broker.take() else { return };
    let name = cluster.topic("kept", 2, &[("max.message.bytes", "5000")]).await;
    cluster.produce(&name, &plain(&numbers(100)), &[]).await;
    let identity = cluster.consumer(&[]).client().fetch_cluster_id(PATIENCE);

    // These two live across the stop: the consumer at its place, the producer with its sequence numbers.
    let consumer = cluster.consumer(&[("reconnect.backoff.max.ms", "100")]);
    assign(&consumer, &name, 0, Offset::Offset(99));
    assert_eq!(consumer.poll(PATIENCE).expect("the last record").unwrap().offset(), 99);
    let producer = cluster.producer(&[("enable.idempotence", "true"), ("reconnect.backoff.max.ms", "100")]);
    let send = |value: &'static str| {
        producer.send(FutureRecord::<[u8], _>::to(&name).partition(0).payload(value), PATIENCE)
    };
    assert_eq!(send("before").await.unwrap().offset, 100);

    assert!(broker.terminate().success(), "SIGTERM ends the broker with status 0");
    let broker = Broker::start(directory.path(), &cluster.address, &[]);
    cluster.broker = Some((broker, directory));

    assert_eq!(send("after").await.unwrap().offset, 101);
    for (offset, value) in [(100, "before"), (101, "after")] {
        let message = next(&consumer);
        assert_eq!((message.offset(), message.payload()), (offset, Some(value.as_bytes())));
    }
    assert_eq!(cluster.consumer(&[]).client().fetch_cluster_id(PATIENCE), identity);
    assert_eq!(cluster.values(&name, 0)[..100], numbers(100));
    assert_eq!(cluster.consumer(&[]).fetch_watermarks(&name, 1, PATIENCE).unwrap(), (0, 0));
    let large = cluster.produce(&name, &[(1, None, Some(&[7; 6_000]))], &[]).await;
    assert!(large[0].is_err(), "the topic's own limit is still in force");
}
