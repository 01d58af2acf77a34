//! librdkafka against the real binary: what a foreign client sees through the listener.
//!
//! The same tests pass against any Kafka broker named in `MILLRACE_TEST_BROKER`: that is how one knows that a test
//! asks for what Kafka does. Those that restart the broker need their own and are left out then.

mod admin;
mod data;
mod restart;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message, Offset, TopicPartitionList};
use tempfile::TempDir;

use super::process::Broker;

/// How long anything may take that a busy machine does slowly.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker for one test, and the clients that talk to it.
struct Cluster {
    address: String,
    /// None when `MILLRACE_TEST_BROKER` names a broker that runs already.
    broker: Option<(Broker, TempDir)>,
}

/// The record that one test sends: a partition, a key, a value.
type Sent<'a> = (i32, Option<&'a [u8]>, Option<&'a [u8]>);

// === impl Cluster ===

impl Cluster {
    /// A broker with these settings, or the one that the environment names.
    fn start(settings: &[&str]) -> Self {
        if let Ok(address) = std::env::var("MILLRACE_TEST_BROKER") {
            return Self { address, broker: None };
        }
        let directory = tempfile::tempdir().unwrap();
        let broker = Broker::start(directory.path(), "127.0.0.1:0", settings);
        Self { address: broker.address().to_string(), broker: Some((broker, directory)) }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        // Larger than anything sent here: limits are the broker's to enforce.
        config.set("message.max.bytes", "20000000");
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    fn producer(&self, settings: &[(&str, &str)]) -> FutureProducer {
        let mut config = self.config();
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config.create().unwrap()
    }

    fn consumer(&self, settings: &[(&str, &str)]) -> BaseConsumer {
        let mut config = self.config();
        config.set("group.id", "unused: partitions are assigned");
        config.set("enable.auto.commit", "false").set("check.crcs", "true");
        config.set("auto.offset.reset", "error");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config.create().unwrap()
    }

    /// Creates a topic under a name that no other test has; returns the name.
    async fn topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
        let name = unused_name(name);
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            topic = topic.set(key, value);
        }
        let results = self.admin().create_topics([&topic], &AdminOptions::new()).await.unwrap();
        assert_eq!(results, [Ok(name.clone())]);
        name
    }

    /// Sends all at once; the offsets (or errors), in the order of `records`.
    async fn produce(
        &self,
        topic: &str,
        records: &[Sent<'_>],
        settings: &[(&str, &str)],
    ) -> Vec<Result<i64, KafkaError>> {
        let producer = self.producer(settings);
        let mut answers = Vec::new();
        for (partition, key, value) in records {
            let mut record = FutureRecord::<[u8], [u8]>::to(topic).partition(*partition);
            record.key = *key;
            record.payload = *value;
            answers.push(producer.send_result(record).map_err(|(error, _)| error).unwrap());
        }
        let mut offsets = Vec::new();
        for answer in answers {
            let delivery = answer.await.expect("the producer lives until it has answered");
            offsets.push(delivery.map(|delivery| delivery.offset).map_err(|(error, _)| error));
        }
        offsets
    }

    /// Everything in a partition from `offset` to the high watermark.
    fn read(&self, topic: &str, partition: i32, offset: Offset) -> Vec<OwnedMessage> {
        let consumer = self.consumer(&[]);
        let (_, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap();
        assign(&consumer, topic, partition, offset);
        let mut found: Vec<OwnedMessage> = Vec::new();
        let position = |found: &[OwnedMessage]| found.last().map_or(0, |message| message.offset() + 1);
        while position(&found) < end {
            let message = consumer.poll(PATIENCE).expect("messages up to the end come").unwrap();
            found.push(message.detach());
        }
        found
    }

    fn values(&self, topic: &str, partition: i32) -> Vec<Vec<u8>> {
        let found = self.read(topic, partition, Offset::Beginning);
        found.iter().map(|message| message.payload().unwrap_or_default().to_vec()).collect()
    }
}

fn assign(consumer: &BaseConsumer, topic: &str, partition: i32, offset: Offset) {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, offset).unwrap();
    consumer.assign(&assignment).unwrap();
}

/// A topic name that no other test uses, in this process or an earlier one against the same broker.
fn unused_name(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
    format!("{name}-{time}-{count}")
}

/// The numbers below `count` as values for one partition.
fn numbers(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_string().into_bytes()).collect()
}

/// Values without keys for partition 0.
fn plain(values: &[Vec<u8>]) -> Vec<Sent<'_>> {
    values.iter().map(|value| (0, None, Some(value.as_slice()))).collect()
}

/// Bytes that do not compress, the same for the same length.
fn noise(length: usize) -> Vec<u8> {
    let mut state = length as u64 + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}
