//! The producer: records go into one batch per partition, batches leave when they are full or have waited long enough.
//!
//! [`Producer::topic`] looks a topic up once; [`ProducerTopic::send`] then copies a record straight into its
//! partition's open batch under that partition's lock and returns a [`Delivery`]. There is no channel, task or
//! allocation per record. One task per producer, the [`sender`], sends batches to the leaders of their partitions.
//!
//! What always holds: records of one partition reach the log in the order in which they were sent, retries included
//! (without idempotence only as long as `max_in_flight` is 1); with idempotence, the default, each of them once.
//! Memory is bounded by `buffer_bytes`; at the bound `send` waits and [`try_send`](ProducerTopic::try_send) refuses.
//! Deliberately absent, for now: transactions, and splitting a batch that the broker finds too large.

mod answer;
mod config;
mod delivery;
mod queue;
mod sender;
mod shared;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

pub use self::config::{Acks, ProducerConfig, ProducerRecord, ProducerStats};
pub use self::delivery::{Delivered, Delivery};
use self::shared::{LastHandle, Shared, TopicQueues};
use super::cluster::{AutoCreate, Client};
use super::error::Error;
use super::partitioner::partition_for_key;
use super::time::now_ms;
use crate::record::{BatchBuilder, HEADER_BYTES};

/// Sends records to topics. Cheap to clone; all clones share buffers and connections.
///
/// ```no_run
/// use millrace::client::{Client, ClientConfig, Producer, ProducerConfig, ProducerRecord};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect(ClientConfig::new("127.0.0.1:9092")?).await?;
/// let producer = Producer::new(&client, ProducerConfig::default())?;
/// let orders = producer.topic("orders").await?;
///
/// let record = ProducerRecord { key: Some(b"customer-7"), value: Some(b"2 apples"), ..Default::default() };
/// let delivery = orders.send(&record).await?;
/// let delivered = delivery.wait().await?;
/// println!("partition {} offset {:?}", delivered.partition, delivered.offset);
///
/// producer.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    _last_handle: Arc<LastHandle>,
}

/// One topic of a [`Producer`].
#[derive(Debug, Clone)]
pub struct ProducerTopic {
    queues: Arc<TopicQueues>,
    producer: Producer,
}

// === impl Producer ===

impl Producer {
    /// A producer and its sender task.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the configuration contradicts itself.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(client: &Client, config: ProducerConfig) -> Result<Self, Error> {
        config.check()?;
        let shared = Arc::new(Shared::new(client, config));
        tokio::spawn(sender::Sender::new(Arc::clone(&shared)).run());
        Ok(Self { _last_handle: Arc::new(LastHandle(Arc::clone(&shared))), shared })
    }

    /// Looks a topic up, so that records can be sent to it.
    ///
    /// # Errors
    /// When it does not exist and may not be created, or no broker answers.
    pub async fn topic(&self, name: &str) -> Result<ProducerTopic, Error> {
        let known = self.shared.topics.read().get(name).cloned();
        let queues = match known {
            Some(queues) => queues,
            None => {
                let auto_create =
                    if self.shared.config.auto_create_topics { AutoCreate::Yes } else { AutoCreate::No };
                let topic = self.shared.client.topic_or_create(name, auto_create).await?;
                self.shared.ensure_producer_id().await?;
                self.shared.queues(&topic.name, topic.partitions.len())
            }
        };
        Ok(ProducerTopic { queues, producer: self.clone() })
    }

    /// Sends what has been sent so far without lingering, and waits until all of it is settled.
    ///
    /// # Errors
    /// The first failure of a batch. The others are in their deliveries, and counted in [`stats`](Self::stats).
    pub async fn flush(&self) -> Result<(), Error> {
        let mut unsettled = Vec::new();
        for queue in self.shared.all_queues() {
            let mut state = queue.lock();
            unsettled.extend(state.unsettled());
            let tell_sender = state.hurry(None);
            drop(state);
            if tell_sender {
                self.shared.tell_sender(queue);
            }
        }
        let mut first_failure = Ok(());
        for outcome in unsettled {
            let settled = outcome.settled().await;
            if first_failure.is_ok() {
                first_failure = settled;
            }
        }
        first_failure
    }

    /// Flushes, and then refuses further records.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn close(&self) -> Result<(), Error> {
        let flushed = self.flush().await;
        self.shared.close();
        flushed
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> ProducerStats {
        self.shared.stats()
    }
}

// === impl ProducerTopic ===

impl ProducerTopic {
    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.queues.name
    }

    /// How many partitions the topic has, as far as known.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.queues.partitions.load().len()
    }

    /// Sends a record: it is on its way when this returns. Waits while the producer's buffer is full.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), without [`Error::BufferFull`].
    pub async fn send(&self, record: &ProducerRecord<'_>) -> Result<Delivery, Error> {
        loop {
            match self.try_send(record) {
                Err(Error::BufferFull) => {
                    let shared = &self.producer.shared;
                    shared.wait_for_room(size_in_batch(record).max(shared.rules.batch_bytes)).await?;
                }
                other => return other,
            }
        }
    }

    /// Sends a record if there is room for it.
    ///
    /// # Errors
    /// [`Error::BufferFull`] when there is none, [`Error::RecordTooLarge`] when no request holds it,
    /// [`Error::Invalid`] when the topic has no such partition, [`Error::Closed`] after `close`.
    pub fn try_send(&self, record: &ProducerRecord<'_>) -> Result<Delivery, Error> {
        let shared = &self.producer.shared;
        let record_bytes = size_in_batch(record);
        if record_bytes > shared.config.max_record_bytes {
            let limit_bytes = shared.config.max_record_bytes;
            return Err(Error::RecordTooLarge { size_bytes: record_bytes, limit_bytes });
        }
        if shared.is_closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let partitions = self.queues.partitions.load();
        let index = self.choose(record, record_bytes, partitions.len(), shared.rules.batch_bytes)?;
        let queue = &partitions[index];
        let timestamp_ms = record.timestamp_ms.unwrap_or_else(now_ms);

        let mut opened = None;
        let mut state = queue.lock();
        if !state.has_room(record_bytes, &shared.rules) {
            let memory = shared.reserve(record_bytes.max(shared.rules.batch_bytes))?;
            let now = Instant::now();
            shared.unsettled_batches.fetch_add(1, Ordering::Relaxed);
            opened = Some((now, state.open(queue.partition, memory, &shared.rules, now)));
        }
        let (delivery, tell_sender) = state.append(record, timestamp_ms, &shared.rules);
        drop(state);

        if let Some((now, serial)) = opened {
            shared.linger(now, serial, queue);
        }
        if tell_sender {
            shared.tell_sender(Arc::clone(queue));
        }
        Ok(delivery)
    }

    fn choose(
        &self,
        record: &ProducerRecord<'_>,
        record_bytes: usize,
        partition_count: usize,
        batch_bytes: usize,
    ) -> Result<usize, Error> {
        match (record.partition, record.key) {
            (Some(partition), _) => {
                let index = usize::try_from(partition).ok().filter(|&index| index < partition_count);
                index.ok_or_else(|| Error::UnknownPartition {
                    topic: self.name().to_owned(),
                    partition,
                    count: partition_count,
                })
            }
            (None, Some(key)) => Ok(partition_for_key(key, partition_count)),
            (None, None) => Ok(self.queues.sticky.pick(record_bytes, batch_bytes, partition_count)),
        }
    }
}

/// An upper bound of a record's size in a batch of its own, uncompressed.
fn size_in_batch(record: &ProducerRecord<'_>) -> usize {
    HEADER_BYTES + BatchBuilder::record_size_bound(record.key, record.value, record.headers)
}
