//! Fetch: whole batches from given offsets, at once or when there is enough.
//!
//! A fetch that finds too little waits in the purgatory under the high watermarks of its partitions. It completes
//!
//! - (A) when `min_bytes` are there, summed over all partitions;
//! - (B) when a partition has an error, its deletion included;
//! - (C) when a reader's last epoch has diverged from the log;
//! - (D) when `max_wait` is over, with what is there.
//!
//! A fetch whose client has gone waits no longer: what it holds is free at once, however long it was to wait.
//!
//! Bytes that were appended lately are read on the calling thread, since they are in memory; older ones on the pool,
//! which brings them into memory first, so that a network thread never waits for the disk.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Error;
use super::api::{EpochEnd, FetchOutcome, FetchPartition, FetchRequest, Fetched};
use super::core::{Core, Engine, Key};
use super::image::MetadataImage;
use super::partition::Partition;
use crate::log::ReadRequest;
use crate::purgatory::{DelayedOperation, Place};
use crate::types::{Isolation, LeaderEpoch, Offset};

/// A fetch that waits for data.
struct DelayedFetch {
    core: std::sync::Weak<Core>,
    plan: Arc<Plan>,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

/// Takes a waiting fetch off again when its future is dropped, as that of a connection that ended.
struct Parked<'a> {
    core: &'a Core,
    place: Option<Place<Key>>,
}

/// What a waiting fetch is told.
enum Answer {
    /// What it asked for.
    Outcomes(Vec<FetchOutcome>),
    /// There is enough now, but it has to be brought from the disk.
    ReadOnPool,
}

/// A fetch with its partitions looked up.
struct Plan {
    request: FetchRequest,
    /// In the order of the request.
    partitions: Vec<Result<Arc<Partition>, Error>>,
}

/// What a read came to.
struct Read {
    outcomes: Vec<FetchOutcome>,
    bytes: usize,
    /// Bytes that count towards `min_bytes`: at least `bytes`. A partition that has more than its limit let through
    /// counts in full up to that limit, although only whole batches are sent, or a reader whose `min_bytes` is its
    /// limit would wait in vain.
    available_bytes: usize,
    /// Whether the answer should go out whatever its size: an error or a divergence.
    urgent: bool,
}

/// The page size to touch by; larger pages only make it touch more often than needed.
const PAGE_BYTES: usize = 4096;

// === impl Engine ===

impl Engine {
    /// Reads record batches, waiting for `min_bytes` up to `max_wait`. One outcome per partition, in the order of
    /// the request; record bytes are slices of the log's maps.
    pub fn fetch(&self, request: FetchRequest) -> impl Future<Output = Vec<FetchOutcome>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let image = core.image.load();
        let partitions = request.partitions.iter().map(|part| resolve(&image, part)).collect();
        let plan = Arc::new(Plan { request, partitions });
        drop(image);
        async move {
            let deadline = core.env.clock.monotonic() + plan.request.max_wait;
            if !plan.is_hot() {
                let read = read_on_pool(&core, &plan).await;
                if read.is_enough(&plan) || plan.request.max_wait.is_zero() {
                    return read.outcomes;
                }
            } else if plan.answers_at_once() {
                return plan.read().outcomes;
            }
            let (sender, receiver) = oneshot::channel();
            let keys: Vec<Key> = plan
                .partitions
                .iter()
                .flatten()
                .map(|partition| Key::HighWatermark(partition.id()))
                .collect();
            let delayed = DelayedFetch {
                core: Arc::downgrade(&core),
                plan: Arc::clone(&plan),
                answer: Mutex::new(Some(sender)),
            };
            let place = core.purgatory.park(Arc::new(delayed), keys, deadline);
            let _parked = Parked { core: &core, place };
            match receiver.await {
                Ok(Answer::Outcomes(outcomes)) => outcomes,
                Ok(Answer::ReadOnPool) => read_on_pool(&core, &plan).await.outcomes,
                Err(_) => plan.partitions.iter().map(|_| Err(Error::Stopping)).collect(),
            }
        }
    }
}

fn resolve(image: &MetadataImage, part: &FetchPartition) -> Result<Arc<Partition>, Error> {
    let partition = image.partition(&part.topic, part.partition)?;
    check_epoch(partition, part.current_leader_epoch)?;
    Ok(Arc::clone(partition))
}

/// The client must know the same leader epoch as we do, if it says which it knows.
pub(super) fn check_epoch(partition: &Partition, asked: Option<LeaderEpoch>) -> Result<(), Error> {
    let current = partition.leader_epoch();
    match asked {
        Some(asked) if asked < current => Err(Error::FencedLeaderEpoch { asked, current }),
        Some(asked) if asked > current => Err(Error::UnknownLeaderEpoch { asked, current }),
        _ => Ok(()),
    }
}

async fn read_on_pool(core: &Arc<Core>, plan: &Arc<Plan>) -> Read {
    let work = Arc::clone(plan);
    let read = core.on_pool(move |_| {
        let read = work.read();
        read.bring_into_memory();
        read
    });
    match read.await {
        Some(read) => read,
        None => Read {
            outcomes: plan.partitions.iter().map(|_| Err(Error::Stopping)).collect(),
            bytes: 0,
            available_bytes: 0,
            urgent: true,
        },
    }
}

// === impl Plan ===

impl Plan {
    /// Whether everything it will read was appended lately, so that no read waits for the disk.
    fn is_hot(&self) -> bool {
        self.partitions.iter().zip(&self.request.partitions).all(|(partition, part)| match partition {
            Ok(partition) => partition.is_hot(part.fetch_offset),
            Err(_) => true,
        })
    }

    /// Whether there is nothing to wait for. A fetch without partitions is how a client gives up its session when it
    /// closes; it would wait in vain for its whole time.
    fn answers_at_once(&self) -> bool {
        self.request.max_wait.is_zero() || self.request.min_bytes == 0 || self.partitions.is_empty()
    }

    /// Looks at what a read needs of every partition. The processor waits for the memory of many at once here; a read
    /// would wait for one after the other, which is most of what a partition without room for its records costs.
    fn look_ahead(&self) {
        for partition in self.partitions.iter().flatten() {
            let log = partition.log();
            std::hint::black_box((partition.is_deleted(), log.high_watermark(), log.leader_epoch()));
        }
    }

    fn read(&self) -> Read {
        self.look_ahead();
        let outcomes = Vec::with_capacity(self.partitions.len());
        let mut read = Read { outcomes, bytes: 0, available_bytes: 0, urgent: false };
        let mut is_full = false;
        for (partition, part) in self.partitions.iter().zip(&self.request.partitions) {
            let left = if is_full { 0 } else { self.request.max_bytes.saturating_sub(read.bytes) };
            // KIP-74: the first partition that has anything gives one batch, however small the limits.
            let at_least_one = read.bytes == 0;
            let outcome = match partition {
                Ok(partition) => self.read_partition(partition, part, left, at_least_one),
                Err(error) => Err(error.clone()),
            };
            let outcome = match outcome {
                Ok((fetched, has_more)) => {
                    let size_bytes = fetched.records.iter().map(Bytes::len).sum::<usize>();
                    let limit_bytes = if has_more { part.max_bytes.min(left) } else { 0 };
                    // What is left has no room for a batch: nobody is asked for a smaller one, of however many there are.
                    is_full |= has_more && left < part.max_bytes;
                    read.bytes += size_bytes;
                    read.available_bytes += size_bytes.max(limit_bytes);
                    read.urgent |= fetched.diverging.is_some();
                    Ok(fetched)
                }
                Err(error) => {
                    read.urgent = true;
                    Err(error)
                }
            };
            read.outcomes.push(outcome);
        }
        read
    }

    /// What one partition gives, and whether it has more than its limit let through.
    fn read_partition(
        &self,
        partition: &Arc<Partition>,
        part: &FetchPartition,
        left: usize,
        at_least_one: bool,
    ) -> Result<(Fetched, bool), Error> {
        if partition.is_deleted() {
            return Err(gone(part, partition));
        }
        let log = partition.log();
        let high_watermark = log.high_watermark();
        let last_stable_offset = log.last_stable_offset();
        let upto = match self.request.isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => last_stable_offset,
        };
        let mut fetched = Fetched {
            high_watermark,
            last_stable_offset,
            log_start_offset: log.log_start_offset(),
            records: Vec::new(),
            // There are no transactions yet, so none was aborted.
            aborted: (self.request.isolation == Isolation::ReadCommitted).then(Vec::new),
            diverging: None,
        };
        if let Some(end) = diverging(partition, part)? {
            fetched.diverging = Some(end);
            return Ok((fetched, false));
        }
        // Between the high watermark and the end there is nothing to be seen yet, which is no error: a reader that
        // saw more before a restart finds the same records there again, or is told of another epoch.
        let read = log.read(ReadRequest {
            from: part.fetch_offset,
            upto,
            max_bytes: part.max_bytes.min(left),
            at_least_one,
            verify_crc: false,
        })?;
        fetched.records = read.records;
        Ok((fetched, read.next_offset < upto))
    }
}

fn gone(part: &FetchPartition, partition: &Partition) -> Error {
    match &part.topic {
        super::api::TopicRef::Id(id) => Error::UnknownTopicId { id: id.to_string() },
        super::api::TopicRef::Name(_) => partition.gone(),
    }
}

/// Where the log and the reader's last epoch part, if they do.
///
/// # Errors
/// `OffsetOutOfRange` when the log has never seen the epoch, nor a later one: what the reader has is of another log,
/// and only its reset policy can say where to go on.
fn diverging(partition: &Partition, part: &FetchPartition) -> Result<Option<EpochEnd>, Error> {
    let Some(last) = part.last_fetched_epoch else { return Ok(None) };
    let log = partition.log();
    let Some((epoch, end_offset)) = log.epoch_end(last) else {
        return Err(Error::OffsetOutOfRange {
            requested: part.fetch_offset,
            log_start_offset: log.log_start_offset(),
            log_end_offset: log.log_end_offset(),
        });
    };
    let parts = epoch < last || end_offset < part.fetch_offset;
    Ok(parts.then_some(EpochEnd { epoch, end_offset }))
}

// === impl Read ===

impl Read {
    fn is_enough(&self, plan: &Plan) -> bool {
        // More than `max_bytes` never comes; as Kafka, such a `min_bytes` is taken for the limit.
        let min_bytes = plan.request.min_bytes.min(plan.request.max_bytes);
        self.urgent || self.available_bytes >= min_bytes
    }

    /// Touches every page, so that whoever sends the bytes does not wait for the disk.
    fn bring_into_memory(&self) {
        let runs = self.outcomes.iter().flatten().flat_map(|fetched| &fetched.records);
        for run in runs {
            for page in run.chunks(PAGE_BYTES) {
                std::hint::black_box(page[0]);
            }
        }
    }
}

// === impl DelayedFetch ===

impl DelayedFetch {
    fn send(&self, answer: Answer) {
        if let Some(sender) = self.answer.lock().take() {
            // A client that is gone wants no answer.
            let _ = sender.send(answer);
        }
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            self.core.purgatory.withdraw(place);
        }
    }
}

impl DelayedOperation for DelayedFetch {
    fn try_complete(&self) -> bool {
        // A client that hung up is not worth a read.
        let wanted = self.answer.lock().as_ref().is_some_and(|sender| !sender.is_closed());
        if !wanted || self.core.strong_count() == 0 {
            return true;
        }
        if !self.plan.has_news() {
            return false;
        }
        if !self.plan.is_hot() {
            // How much there is cannot be told without reading it: anything new is worth a look there.
            self.send(Answer::ReadOnPool);
            return true;
        }
        let read = self.plan.read();
        let enough = read.is_enough(&self.plan);
        if enough {
            self.send(Answer::Outcomes(read.outcomes));
        }
        enough
    }

    fn expire(&self) {
        if self.plan.is_hot() {
            self.send(Answer::Outcomes(self.plan.read().outcomes));
        } else {
            self.send(Answer::ReadOnPool);
        }
    }
}

// === impl Plan ===

impl Plan {
    /// Whether a read could find anything: a record, an error or a divergence. Looks at numbers only, so a wake-up
    /// that brings nothing costs nothing.
    fn has_news(&self) -> bool {
        self.partitions.iter().zip(&self.request.partitions).any(|(partition, part)| {
            let Ok(partition) = partition else { return true };
            let log = partition.log();
            let visible: Offset = match self.request.isolation {
                Isolation::ReadUncommitted => log.high_watermark(),
                Isolation::ReadCommitted => log.last_stable_offset(),
            };
            partition.is_deleted()
                || part.fetch_offset < visible
                || part.fetch_offset > log.log_end_offset()
                || part.fetch_offset < log.log_start_offset()
                || !matches!(diverging(partition, part), Ok(None))
        })
    }
}
