//! A broker in this process that can be stopped and started again, and clients of it.

use std::net::SocketAddr;
use std::time::Duration;

use millrace::client::{
    Admin, Client, ClientConfig, ConsumedRecord, Consumer, ConsumerConfig, NewTopic, Producer,
    ProducerConfig, ProducerRecord, ProducerTopic, RetryPolicy, StartAt,
};
use millrace::env::Env;
use millrace::server::Server;
use millrace::server::config::{Layers, ServerConfig, Source};
use tempfile::TempDir;

/// Longer than anything takes, shorter than anybody waits for a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A broker with a data directory of its own, on one address for all its starts.
pub(crate) struct Broker {
    server: Option<Server>,
    address: SocketAddr,
    dir: TempDir,
    /// Of members of the consumer protocol.
    session: Duration,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::with_session(Duration::from_secs(1)).await
    }

    /// One that no member is too slow for, as one is that waits for a processor.
    pub(crate) async fn patient() -> Self {
        Self::with_session(PATIENCE).await
    }

    async fn with_session(session: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(&dir, "127.0.0.1:0", session).await;
        Self { address: server.addresses()[0], server: Some(server), dir, session }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().expect("it runs").stop().await.unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.server = Some(serve(&self.dir, &self.address.to_string(), self.session).await);
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new(&self.address.to_string()).unwrap();
        config.retry = RetryPolicy { initial: Duration::from_millis(5), max: Duration::from_millis(50) };
        config.api_timeout = PATIENCE;
        config
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.config()).await.unwrap()
    }

    /// A client, and a topic for it.
    pub(crate) async fn client_with_topic(&self, name: &str, partitions: i32) -> Client {
        let client = self.client().await;
        let topic = NewTopic::new(name).partitions(partitions);
        for created in Admin::new(&client).create_topics(&[topic], false).await.unwrap() {
            created.unwrap();
        }
        client
    }
}

async fn serve(dir: &TempDir, listen: &str, session: Duration) -> Server {
    let mut layers = Layers::default();
    layers.add("log.dir", dir.path().to_str().unwrap(), Source::Set);
    layers.add("listeners", listen, Source::Set);
    // Tests of groups neither wait for more members nor for long sessions.
    layers.add("group.initial.rebalance.delay.ms", "0", Source::Set);
    layers.add("group.min.session.timeout.ms", "100", Source::Set);
    layers.add("group.consumer.min.session.timeout.ms", "500", Source::Set);
    layers.add("group.consumer.session.timeout.ms", session.as_millis().to_string(), Source::Set);
    layers.add("group.consumer.min.heartbeat.interval.ms", "50", Source::Set);
    layers.add("group.consumer.heartbeat.interval.ms", "50", Source::Set);
    Server::start(&ServerConfig::from_layers(&layers).unwrap(), Env::system()).await.unwrap()
}

/// A producer and one topic of it.
pub(crate) async fn producer(
    client: &Client,
    topic: &str,
    config: ProducerConfig,
) -> (Producer, ProducerTopic) {
    let producer = Producer::new(client, config).unwrap();
    let topic = producer.topic(topic).await.unwrap();
    (producer, topic)
}

/// Sends values to partition 0 and waits until they are acknowledged.
pub(crate) async fn send_all(client: &Client, topic: &str, values: impl IntoIterator<Item = String>) {
    let (producer, topic) = producer(client, topic, ProducerConfig::default()).await;
    for value in values {
        topic.send(&value_for(0, &value)).await.unwrap();
    }
    producer.close().await.unwrap();
}

pub(crate) fn value_for(partition: i32, value: &str) -> ProducerRecord<'_> {
    ProducerRecord { partition: Some(partition), value: Some(value.as_bytes()), ..ProducerRecord::default() }
}

/// The next `count` records of a topic from its beginning.
pub(crate) async fn read_all(client: &Client, topic: &str, count: usize) -> Vec<ConsumedRecord> {
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    consumer.assign_topic(topic, StartAt::Beginning).await.unwrap();
    read(&mut consumer, count).await
}

/// The next `count` records.
pub(crate) async fn read(consumer: &mut Consumer, count: usize) -> Vec<ConsumedRecord> {
    let mut records = Vec::new();
    while records.len() < count {
        let polled = consumer.poll(PATIENCE).await.unwrap();
        assert!(!polled.is_empty(), "{} of {count} records came", records.len());
        records.extend(polled);
    }
    assert_eq!(records.len(), count);
    records
}

pub(crate) fn values(records: &[ConsumedRecord]) -> Vec<String> {
    let value = |record: &ConsumedRecord| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
    records.iter().map(value).collect()
}
