//! `kill -9` under load: what was acknowledged is there once, at its offset, with its bytes; what was not is whole
//! or absent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::process::Broker;

const TOPIC: &str = "crash";
const PARTITIONS: i32 = 3;
/// Acks to see between two kills: enough for many batches, few enough for a quick test.
const ACKS_PER_ROUND: usize = 1_500;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the producer was told: the value acknowledged at each offset.
#[derive(Default)]
struct Oracle {
    acked: Mutex<BTreeMap<(i32, i64), Vec<u8>>>,
    more: Condvar,
}

struct Recorder(Arc<Oracle>);

impl ClientContext for Recorder {}

impl ProducerContext for Recorder {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = match result {
            Ok(message) => message,
            Err((error, _)) => panic!("an idempotent producer with time to spare lost a message: {error}"),
        };
        let place = (message.partition(), message.offset());
        let value = message.payload().expect("every message has a value").to_vec();
        let earlier = self.0.acked.lock().insert(place, value);
        assert!(earlier.is_none(), "two messages were acknowledged at {place:?}");
        self.0.more.notify_all();
    }
}

impl Oracle {
    fn wait_for(&self, count: usize) {
        let mut acked = self.acked.lock();
        while acked.len() < count {
            let timeout = self.more.wait_for(&mut acked, PATIENCE).timed_out();
            assert!(!timeout, "no acks for {PATIENCE:?}: {} of {count}", acked.len());
        }
    }
}

/// Sends numbered messages until told to stop; returns how many were sent to each partition.
fn load(producer: &ThreadedProducer<Recorder>, stop: &AtomicBool) -> Vec<u64> {
    let mut sent = vec![0; PARTITIONS as usize];
    while !stop.load(Ordering::Relaxed) {
        for partition in 0..PARTITIONS {
            let number = &mut sent[partition as usize];
            // Sizes from 20 to 1,500 bytes, so that kills fall at all kinds of places in a batch.
            let value = format!("{partition}/{number}/{}", "x".repeat((*number as usize * 37) % 1_480));
            loop {
                let record = BaseRecord::<(), _>::to(TOPIC).partition(partition).payload(&value);
                match producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        if stop.load(Ordering::Relaxed) {
                            return sent;
                        }
                        producer.poll(Duration::from_millis(5));
                    }
                    Err((error, _)) => panic!("the producer takes no message: {error}"),
                }
            }
            *number += 1;
        }
    }
    sent
}

/// Everything in the topic, from the beginning to the high watermarks.
fn read_all(address: &str) -> BTreeMap<(i32, i64), Vec<u8>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "unused: partitions are assigned")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    let mut expected = 0;
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        let (low, high) = consumer.fetch_watermarks(TOPIC, partition, PATIENCE).unwrap();
        assert_eq!(low, 0);
        expected += high;
    }
    consumer.assign(&assignment).unwrap();
    let mut found = BTreeMap::new();
    while (found.len() as i64) < expected {
        let message = consumer.poll(PATIENCE).expect("messages up to the high watermark come").unwrap();
        let value = message.payload().unwrap().to_vec();
        assert!(found.insert((message.partition(), message.offset()), value).is_none());
    }
    found
}

#[test]
fn what_was_acknowledged_survives_kill_9_under_load_exactly_once() {
    // More rounds by hand: MILLRACE_CRASH_ROUNDS=100 cargo test --test real crash
    let rounds =
        std::env::var("MILLRACE_CRASH_ROUNDS").map_or(5, |text| text.parse().expect("a number of rounds"));
    let directory = tempfile::tempdir().unwrap();
    let settings = [&*format!("num.partitions={PARTITIONS}"), "log.segment.bytes=1048576"];
    let mut broker = Broker::start(directory.path(), "127.0.0.1:0", &settings);
    let address = broker.address().to_string();

    let oracle = Arc::new(Oracle::default());
    let producer: ThreadedProducer<Recorder> = ClientConfig::new()
        .set("bootstrap.servers", &address)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("queue.buffering.max.messages", "5000")
        .set("reconnect.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "50")
        .set("message.timeout.ms", "120000")
        .create_with_context(Recorder(Arc::clone(&oracle)))
        .unwrap();
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let loader = scope.spawn(|| load(&producer, &stop));
        for round in 1..=rounds {
            oracle.wait_for(round * ACKS_PER_ROUND);
            broker.kill();
            broker = Broker::start(directory.path(), &address, &settings);
        }
        stop.store(true, Ordering::Relaxed);
        loader.join().unwrap()
    });
    producer.flush(PATIENCE).unwrap();

    let acked = std::mem::take(&mut *oracle.acked.lock());
    let total: u64 = sent.iter().sum();
    assert_eq!(acked.len() as u64, total, "every message is acknowledged in the end");
    let found = read_all(&address);
    assert!(found == acked, "what is in the log differs from what was acknowledged");
    for partition in 0..PARTITIONS {
        let in_order = found.range((partition, 0)..(partition + 1, 0)).enumerate().all(
            |(index, ((_, offset), value))| {
                *offset == index as i64 && value.starts_with(format!("{partition}/{index}/").as_bytes())
            },
        );
        assert!(in_order, "partition {partition} holds its messages in the order sent, each once");
    }
    assert!(broker.terminate().success());
}
