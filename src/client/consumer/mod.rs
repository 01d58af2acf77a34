//! The consumer without a group: partitions are assigned by hand, positions are the caller's.
//! [`GroupConsumer`](super::GroupConsumer) builds on it.
//!
//! A background task, the [`fetcher`], asks the leaders of the assigned partitions for records ahead of the caller;
//! [`Consumer::poll`] checks, decompresses and hands out what has come. What always holds: records of one partition
//! come in the order of their offsets, none below the position; at most `buffer_bytes` per partition are held ahead;
//! damage is an error that names the place, never a record; after a seek nothing from before it comes.
//! Deliberately absent: groups and committed offsets.

mod assignment;
mod fetch;
mod fetcher;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub(crate) use self::assignment::StartPosition;
use self::assignment::{Assignment, Key};
pub use self::assignment::{TopicPartition, Watermarks};
use self::fetcher::{Fetcher, Item};
use self::reader::ChunkReader;
use super::admin::OffsetSpec;
use super::admin::offsets::list_offsets;
use super::cluster::Client;
use super::error::Error;
use crate::record::Header;
use crate::types::{Isolation, Offset, TimestampMs};

/// Where to start reading a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At this offset.
    Offset(Offset),
    /// At the oldest record kept.
    Beginning,
    /// After the newest record.
    End,
    /// At the first record with this timestamp or a later one; at the end when there is none.
    Timestamp(TimestampMs),
}

/// What to do when the position is not in the log (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutOfRange {
    /// Report [`Error::OffsetOutOfRange`] and wait for a seek.
    #[default]
    Error,
    /// Go on at the oldest record kept.
    Beginning,
    /// Go on after the newest record.
    End,
}

/// How a consumer works.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// Whether records of open and aborted transactions are left out.
    pub isolation: Isolation,
    /// What to do when the position is not in the log.
    pub out_of_range: OutOfRange,
    /// How long a broker may wait for `min_bytes`.
    pub max_wait: Duration,
    /// How much a broker is to wait for.
    pub min_bytes: usize,
    /// How much one response may bring, over all partitions. One batch comes even if it is larger.
    pub max_bytes: usize,
    /// How much one response may bring of one partition. One batch comes even if it is larger.
    pub max_partition_bytes: usize,
    /// A partition is asked for more while less than this waits to be polled.
    pub buffer_bytes: usize,
    /// How many records one poll returns at most.
    pub max_poll_records: usize,
    /// What a compressed batch may grow to; a larger one is treated as damaged.
    pub max_batch_bytes: usize,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
    /// Milliseconds since 1970; -1 when the record has no timestamp.
    pub timestamp_ms: TimestampMs,
    /// Whether the timestamp is the broker's (LogAppendTime) rather than the producer's.
    pub append_time: bool,
    /// The leader epoch of its batch, when the broker tells.
    pub leader_epoch: Option<i32>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` means that the key is deleted from a compacted topic.
    pub value: Option<Bytes>,
    /// The headers, in their order; names may repeat.
    pub headers: Vec<Header>,
}

/// Reads records of partitions that were assigned by hand.
///
/// ```no_run
/// use std::time::Duration;
///
/// use millrace::client::{Client, ClientConfig, Consumer, ConsumerConfig, StartAt};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect(ClientConfig::new("127.0.0.1:9092")?).await?;
/// let mut consumer = Consumer::new(&client, ConsumerConfig::default());
/// consumer.assign_topic("orders", StartAt::Beginning).await?;
/// loop {
///     for record in consumer.poll(Duration::from_secs(1)).await? {
///         println!("{} {:?}", record.offset, record.value);
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    items: mpsc::UnboundedReceiver<Item>,
    current: Option<ChunkReader>,
    /// An error met after records that had to be handed out first.
    pending_error: Option<Error>,
    fetcher: AbortHandle,
}

/// What the consumer and its fetcher share.
#[derive(Debug)]
struct Shared {
    client: Client,
    /// The connections that fetches wait on.
    fetching: Client,
    config: ConsumerConfig,
    assignment: Mutex<Assignment>,
    /// Wakes the fetcher.
    changed: Notify,
}

// === impl ConsumerConfig ===

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            isolation: Isolation::ReadUncommitted,
            out_of_range: OutOfRange::Error,
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 * 1024 * 1024,
            max_partition_bytes: 1024 * 1024,
            buffer_bytes: 4 * 1024 * 1024,
            max_poll_records: 1000,
            max_batch_bytes: 128 * 1024 * 1024,
        }
    }
}

// === impl Consumer ===

impl Consumer {
    /// A consumer that reads nothing yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(client: &Client, config: ConsumerConfig) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            fetching: client.with_own_connections(),
            config,
            assignment: Mutex::default(),
            changed: Notify::new(),
        });
        let (sender, items) = mpsc::unbounded_channel();
        let fetcher = tokio::spawn(Fetcher::new(Arc::clone(&shared), sender).run());
        Self { shared, items, current: None, pending_error: None, fetcher: fetcher.abort_handle() }
    }

    /// Reads all partitions that the topic has now, each from `start`.
    ///
    /// # Errors
    /// When the topic does not exist or its offsets cannot be looked up.
    pub async fn assign_topic(&mut self, topic: &str, start: StartAt) -> Result<(), Error> {
        let found = self.shared.client.topic(topic).await?;
        let starts: Vec<_> = found.partitions.iter().map(|found| (found.partition, start)).collect();
        self.assign(topic, &starts).await
    }

    /// Reads these partitions of a topic, besides those assigned before; one that is assigned already moves.
    ///
    /// # Errors
    /// When the topic or a partition does not exist, or offsets cannot be looked up. Nothing is assigned then.
    pub async fn assign(&mut self, topic: &str, starts: &[(i32, StartAt)]) -> Result<(), Error> {
        let client = &self.shared.client;
        let topic = Arc::clone(&client.topic(topic).await?.name);
        let mut offsets = Vec::with_capacity(starts.len());
        let mut look_ups = Vec::new();
        for &(partition, start) in starts {
            match start.to_spec() {
                Ok(offset) => offsets.push((partition, offset)),
                Err(spec) => look_ups.push((Arc::clone(&topic), partition, spec)),
            }
        }
        for ((_, partition, _), listed) in look_ups.iter().zip(self.listed(&look_ups).await?) {
            offsets.push((*partition, listed));
        }
        let mut assignment = self.shared.assignment.lock();
        for (partition, offset) in offsets {
            assignment.set((Arc::clone(&topic), partition), offset);
        }
        drop(assignment);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Reads these partitions, each from a position that is known already.
    pub(crate) fn assign_at(&mut self, starts: impl IntoIterator<Item = StartPosition>) {
        let mut assignment = self.shared.assignment.lock();
        starts.into_iter().for_each(|start| assignment.set_after(start));
        drop(assignment);
        self.shared.changed.notify_one();
    }

    /// The position of a partition, with the leader epoch of the record before it; `None` when it is not assigned.
    pub(crate) fn position_of(&self, key: &TopicPartition) -> Option<(Offset, Option<i32>)> {
        let assignment = self.shared.assignment.lock();
        assignment.partitions.get(key).map(|assigned| (assigned.position, assigned.position_epoch))
    }

    /// The partitions that are read, in no order.
    #[must_use]
    pub fn assigned(&self) -> Vec<TopicPartition> {
        self.shared.assignment.lock().partitions.keys().cloned().collect()
    }

    /// The offsets that the specs stand for; the end for a timestamp that no record reaches.
    async fn listed(&self, look_ups: &[(Arc<str>, i32, OffsetSpec)]) -> Result<Vec<Offset>, Error> {
        let isolation = self.shared.config.isolation;
        let mut offsets = Vec::with_capacity(look_ups.len());
        for (listed, look_up) in
            list_offsets(&self.shared.client, look_ups, isolation).await.into_iter().zip(look_ups)
        {
            let offset = match listed?.offset {
                Some(offset) => offset,
                None => {
                    let end = (Arc::clone(&look_up.0), look_up.1, OffsetSpec::Latest);
                    let ends = list_offsets(&self.shared.client, &[end], isolation).await;
                    let end = ends.into_iter().next().transpose()?;
                    end.and_then(|listed| listed.offset).unwrap_or(0)
                }
            };
            offsets.push(offset);
        }
        Ok(offsets)
    }

    /// Goes on at another place in one partition.
    ///
    /// # Errors
    /// As [`assign`](Self::assign).
    pub async fn seek(&mut self, topic: &str, partition: i32, start: StartAt) -> Result<(), Error> {
        self.assign(topic, &[(partition, start)]).await
    }

    /// Reads the partition no more.
    pub fn unassign(&mut self, topic: &str, partition: i32) {
        self.shared.assignment.lock().partitions.remove(&(Arc::from(topic), partition));
    }

    /// The offset of the next record of a partition; `None` when it is not assigned.
    #[must_use]
    pub fn position(&self, topic: &str, partition: i32) -> Option<Offset> {
        let key: Key = (Arc::from(topic), partition);
        self.shared.assignment.lock().partitions.get(&key).map(|assigned| assigned.position)
    }

    /// Where the log of an assigned partition began and ended when a broker answered last.
    #[must_use]
    pub fn watermarks(&self, topic: &str, partition: i32) -> Option<Watermarks> {
        let key: Key = (Arc::from(topic), partition);
        self.shared.assignment.lock().partitions.get(&key).and_then(|assigned| assigned.watermarks)
    }

    /// The next records: as many as are there, at most `max_poll_records`, all of one partition. Waits up to
    /// `max_wait` for the first; none when none has come.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] and [`Error::Damaged`] name the partition, which is not read on until a seek;
    /// so does a broker's refusal. What may pass by itself is retried without an end and is not reported.
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Vec<ConsumedRecord>, Error> {
        let deadline = Instant::now() + max_wait;
        if let Some(error) = self.pending_error.take() {
            return Err(error);
        }
        loop {
            if let Some(records) = self.take_records() {
                return Ok(records);
            }
            if let Some(error) = self.pending_error.take() {
                return Err(error);
            }
            let item = match self.items.try_recv() {
                Ok(item) => Some(item),
                Err(_) => tokio::time::timeout_at(deadline, self.items.recv()).await.unwrap_or(None),
            };
            match item {
                Some(Item::Chunk(chunk)) => self.current = Some(ChunkReader::new(chunk)),
                Some(Item::Failed { key, generation, error }) => {
                    if self.shared.assignment.lock().current(&key, generation).is_some() {
                        return Err(error);
                    }
                }
                None => return Ok(Vec::new()),
            }
        }
    }

    /// The next records of the current chunk. Also returns when there are none but the position has moved, past
    /// markers and aborted records: the caller may wait for that.
    fn take_records(&mut self) -> Option<Vec<ConsumedRecord>> {
        let reader = self.current.as_mut()?;
        let config = &self.shared.config;
        if self.shared.assignment.lock().current(reader.key(), reader.generation()).is_none() {
            self.current = None;
            return None;
        }
        let mut records = Vec::new();
        while records.len() < config.max_poll_records {
            match reader.next(config) {
                Some(Ok(record)) => records.push(record),
                Some(Err(error)) => {
                    self.pending_error = Some(error);
                    break;
                }
                None => break,
            }
        }
        let is_done = reader.is_done() || self.pending_error.is_some();
        let mut has_moved = false;
        if let Some(assigned) = self.shared.assignment.lock().current(reader.key(), reader.generation()) {
            has_moved = assigned.position != reader.position();
            assigned.position = reader.position();
            if let Some(last) = records.last() {
                assigned.position_epoch = last.leader_epoch;
            }
            assigned.is_halted |= self.pending_error.is_some();
            if is_done {
                assigned.buffered_bytes = assigned.buffered_bytes.saturating_sub(reader.size_bytes());
            }
        }
        if is_done {
            self.current = None;
            self.shared.changed.notify_one();
        }
        (has_moved || !records.is_empty()).then_some(records)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.fetcher.abort();
    }
}

// === impl StartAt ===

impl StartAt {
    /// The offset, or what to look up to learn it.
    fn to_spec(self) -> Result<Offset, OffsetSpec> {
        match self {
            Self::Offset(offset) => Ok(offset),
            Self::Beginning => Err(OffsetSpec::Earliest),
            Self::End => Err(OffsetSpec::Latest),
            Self::Timestamp(timestamp_ms) => Err(OffsetSpec::Timestamp(timestamp_ms)),
        }
    }
}
