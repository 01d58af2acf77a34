//! What the handles of a producer and its sender share.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, OnceCell, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use super::config::{ProducerConfig, ProducerStats};
use super::queue::{BatchRules, MAX_IN_FLIGHT, Numbering, PartitionQueue};
use crate::client::cluster::Client;
use crate::client::error::Error;
use crate::client::partitioner::StickyPartition;
use crate::client::retry::random;
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::messages::init_producer_id::InitProducerIdRequest;

/// What the handles and the sender share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) config: ProducerConfig,
    pub(super) rules: BatchRules,
    /// One permit per byte of `buffer_bytes`.
    pub(super) memory: Arc<Semaphore>,
    pub(super) topics: RwLock<HashMap<Arc<str>, Arc<TopicQueues>>>,
    /// Queues with something to send that the sender has not seen yet.
    pub(super) ready: Mutex<Vec<Arc<PartitionQueue>>>,
    /// Open batches by the moment their linger ends, earliest first.
    pub(super) lingering: Mutex<VecDeque<(Instant, u64, Arc<PartitionQueue>)>>,
    /// Wakes the sender.
    pub(super) wake: Notify,
    /// Batches opened and not settled yet.
    pub(super) unsettled_batches: AtomicUsize,
    /// Set first: no further records.
    pub(super) is_closed: AtomicBool,
    /// Set last: every batch there will ever be is counted, so the sender may end when all are settled.
    pub(super) may_end: AtomicBool,
    pub(super) producer_id: OnceCell<(ProducerId, ProducerEpoch)>,
    pub(super) counters: Counters,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) delivered_records: AtomicU64,
    pub(super) failed_records: AtomicU64,
    pub(super) delivered_bytes: AtomicU64,
    pub(super) retried_batches: AtomicU64,
}

/// One topic's queues, by partition.
#[derive(Debug)]
pub(super) struct TopicQueues {
    pub(super) name: Arc<str>,
    pub(super) partitions: ArcSwap<Vec<Arc<PartitionQueue>>>,
    pub(super) sticky: StickyPartition,
}

/// Closes the producer when its last handle goes; the sender still delivers what was sent.
#[derive(Debug)]
pub(super) struct LastHandle(pub(super) Arc<Shared>);

// === impl Shared ===

impl Shared {
    pub(super) fn new(client: &Client, config: ProducerConfig) -> Self {
        let rules = BatchRules {
            batch_bytes: config.batch_bytes,
            linger: config.linger,
            compression: config.compression,
            max_in_flight: config.max_in_flight.min(MAX_IN_FLIGHT),
        };
        Self {
            client: client.clone(),
            memory: Arc::new(Semaphore::new(config.buffer_bytes)),
            config,
            rules,
            topics: RwLock::default(),
            ready: Mutex::default(),
            lingering: Mutex::default(),
            wake: Notify::new(),
            unsettled_batches: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            may_end: AtomicBool::new(false),
            producer_id: OnceCell::new(),
            counters: Counters::default(),
        }
    }

    /// The producer id that partitions start with, once there is one.
    fn numbering(&self) -> Option<Numbering> {
        self.producer_id.get().map(|&(id, epoch)| Numbering::new(id, epoch))
    }

    /// Asks for the producer id, once, when the producer is idempotent.
    pub(super) async fn ensure_producer_id(&self) -> Result<(), Error> {
        if self.config.idempotence {
            let what = || "getting a producer id".to_owned();
            let ask = || self.client.retrying(what, || new_producer_id(&self.client));
            self.producer_id.get_or_try_init(ask).await?;
        }
        Ok(())
    }

    /// The queues of a topic with this many partitions, made or grown as needed.
    pub(super) fn queues(&self, name: &Arc<str>, partition_count: usize) -> Arc<TopicQueues> {
        let mut topics = self.topics.write();
        let queues = topics.entry(Arc::clone(name)).or_insert_with(|| {
            let [a, b, c, d, ..] = random().to_le_bytes();
            let sticky = StickyPartition::new(u32::from_le_bytes([a, b, c, d]));
            Arc::new(TopicQueues { name: Arc::clone(name), partitions: ArcSwap::default(), sticky })
        });
        let known = queues.partitions.load_full();
        if known.len() < partition_count {
            let mut partitions = Vec::clone(&known);
            for partition in (0_i32..).take(partition_count).skip(known.len()) {
                let queue = PartitionQueue::new(Arc::clone(name), partition, self.numbering());
                partitions.push(Arc::new(queue));
            }
            queues.partitions.store(Arc::new(partitions));
        }
        Arc::clone(queues)
    }

    pub(super) fn all_queues(&self) -> Vec<Arc<PartitionQueue>> {
        let topics = self.topics.read();
        topics.values().flat_map(|queues| Vec::clone(&queues.partitions.load())).collect()
    }

    /// Memory for a new batch.
    pub(super) fn reserve(&self, size_bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let permits =
            u32::try_from(size_bytes).expect("no batch is larger than the buffer, which is below 4 GiB");
        Arc::clone(&self.memory).try_acquire_many_owned(permits).map_err(|error| match error {
            TryAcquireError::NoPermits => Error::BufferFull,
            TryAcquireError::Closed => Error::Closed,
        })
    }

    /// Waits until there is memory for a new batch, and hurries the sender meanwhile.
    pub(super) async fn wait_for_room(&self, size_bytes: usize) -> Result<(), Error> {
        self.hurry_all();
        let permits =
            u32::try_from(size_bytes).expect("no batch is larger than the buffer, which is below 4 GiB");
        // Given back at once: whoever comes first takes it.
        self.memory.acquire_many(permits).await.map(drop).map_err(|_| Error::Closed)
    }

    /// Lets all open batches leave.
    pub(super) fn hurry_all(&self) {
        for queue in self.all_queues() {
            let tell_sender = queue.lock().hurry(None);
            if tell_sender {
                self.tell_sender(queue);
            }
        }
    }

    pub(super) fn tell_sender(&self, queue: Arc<PartitionQueue>) {
        self.ready.lock().push(queue);
        self.wake.notify_one();
    }

    /// Makes the sender look at a batch opened now when its linger is over.
    pub(super) fn linger(&self, opened: Instant, serial: u64, queue: &Arc<PartitionQueue>) {
        if self.rules.linger.is_zero() {
            return;
        }
        let mut lingering = self.lingering.lock();
        lingering.push_back((opened + self.rules.linger, serial, Arc::clone(queue)));
        let is_only = lingering.len() == 1;
        drop(lingering);
        if is_only {
            self.wake.notify_one();
        }
    }

    /// Refuses further records; the sender ends when all is settled.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.memory.close();
        // Takes every queue's lock: a record that was let in before the flag is in its batch after this.
        self.hurry_all();
        self.may_end.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(super) fn on_delivered(&self, record_count: u32, size_bytes: usize) {
        self.counters.delivered_records.fetch_add(u64::from(record_count), Ordering::Relaxed);
        self.counters.delivered_bytes.fetch_add(size_bytes as u64, Ordering::Relaxed);
        self.unsettled_batches.fetch_sub(1, Ordering::Release);
    }

    pub(super) fn on_given_up(&self, record_count: u32) {
        self.counters.failed_records.fetch_add(u64::from(record_count), Ordering::Relaxed);
        self.unsettled_batches.fetch_sub(1, Ordering::Release);
    }

    pub(super) fn stats(&self) -> ProducerStats {
        let counters = &self.counters;
        ProducerStats {
            delivered_records: counters.delivered_records.load(Ordering::Relaxed),
            failed_records: counters.failed_records.load(Ordering::Relaxed),
            delivered_bytes: counters.delivered_bytes.load(Ordering::Relaxed),
            retried_batches: counters.retried_batches.load(Ordering::Relaxed),
        }
    }
}

// === impl LastHandle ===

impl Drop for LastHandle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A producer id that nobody used before.
pub(super) async fn new_producer_id(client: &Client) -> Result<(ProducerId, ProducerEpoch), Error> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        producer_id: -1,
        producer_epoch: -1,
    };
    let response = client.call_any(&request).await?;
    Error::check(response.error_code, None, || "getting a producer id".to_owned())?;
    Ok((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)))
}
