//! Produce: check each batch once, queue it at its partition, answer when the acknowledgement asked for is true.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Error;
use super::api::{
    Acks, ProduceError, ProduceOutcome, ProducePartition, ProduceRequest, Produced, RecordFault,
};
use super::core::{Core, Engine, Key};
use super::image::MetadataImage;
use super::partition::{AppendJob, Partition, Placed};
use crate::purgatory::DelayedOperation;
use crate::record::{ProduceRules, validate_produced};

/// A produce that is on its way: complete when every partition is appended and, for `acks=all`, committed.
struct DelayedProduce {
    acks: Acks,
    state: Mutex<State>,
}

struct State {
    slots: Vec<Slot>,
    /// Slots that are not appended yet.
    unappended: usize,
    answer: Option<oneshot::Sender<Vec<ProduceOutcome>>>,
}

/// One partition's part.
enum Slot {
    /// Queued for its append.
    Queued,
    /// Appended; committed when the high watermark is above the last offset.
    Appended(Arc<Partition>, Placed),
    /// Done.
    Settled(ProduceOutcome),
}

// === impl Engine ===

impl Engine {
    /// Appends record batches.
    ///
    /// The batches are checked and queued, in order, before this returns; the future only waits. It gives one
    /// outcome per partition, in the order of the request.
    pub fn produce(
        &self,
        request: ProduceRequest,
    ) -> impl Future<Output = Vec<ProduceOutcome>> + Send + use<> {
        let core = &self.core;
        let image = core.image.load();
        let now_ms = core.env.clock.now_ms();
        let deadline = core.env.clock.monotonic() + request.timeout;
        let (sender, receiver) = oneshot::channel();

        let count = request.partitions.len();
        let mut slots = Vec::with_capacity(count);
        let mut accepted = Vec::with_capacity(count);
        for (index, part) in request.partitions.into_iter().enumerate() {
            match check(core, &image, &part, request.zstd, now_ms) {
                Ok((partition, batch)) => {
                    slots.push(Slot::Queued);
                    accepted.push((index, partition, batch));
                }
                Err(error) => slots.push(Slot::Settled(Err(error))),
            }
        }
        let state = State { slots, unappended: accepted.len(), answer: Some(sender) };
        let delayed = Arc::new(DelayedProduce { acks: request.acks, state: Mutex::new(state) });
        let keys: Vec<Key> =
            accepted.iter().map(|(_, partition, _)| Key::HighWatermark(partition.id())).collect();
        for (index, partition, batch) in accepted {
            core.queued_bytes.fetch_add(batch.bytes().len(), Ordering::Relaxed);
            let (delayed, at) = (Arc::clone(&delayed), Arc::clone(&partition));
            let done = Box::new(move |outcome| delayed.appended(index, at, outcome));
            partition.enqueue(core, AppendJob { batch, done });
        }
        match request.acks {
            // Nobody waits, so nothing has to be woken for it: the append's own call completes it.
            Acks::None => {
                delayed.try_complete();
            }
            Acks::Leader | Acks::All => {
                core.purgatory.watch(delayed, keys, deadline);
            }
        }
        async move {
            // The sender is dropped unused only when the pool is gone, and then the broker is stopping.
            receiver.await.unwrap_or_else(|_| (0..count).map(|_| refuse(Error::Stopping)).collect())
        }
    }
}

/// Everything that can be said of a batch without its log.
fn check(
    core: &Core,
    image: &MetadataImage,
    part: &ProducePartition,
    zstd: bool,
    now_ms: i64,
) -> Result<(Arc<Partition>, crate::record::Batch), ProduceError> {
    let whole = |error: Error| ProduceError { error, records: Vec::new() };
    let partition = image.partition(&part.topic, part.partition).map_err(whole)?;
    if core.is_stopping() {
        return Err(whole(Error::Stopping));
    }
    let queued_bytes = core.queued_bytes.load(Ordering::Relaxed);
    if queued_bytes.saturating_add(part.records.len()) > core.queued_bytes_max {
        return Err(whole(Error::Overloaded { queued_bytes }));
    }
    let rules = ProduceRules { allow_zstd: zstd, ..partition.settings().rules };
    let batch = validate_produced(&part.records, &rules, now_ms).map_err(|error| {
        let faults = error.records().iter();
        let records = faults.map(|fault| RecordFault { index: fault.index, message: fault.message.clone() });
        ProduceError { records: records.collect(), error: error.into() }
    })?;
    if batch.header().is_transactional() {
        // Transactions are not served yet. A batch of one that nobody can end would hold readers of committed records
        // up for good.
        return Err(whole(Error::NoTransactionalId));
    }
    Ok((Arc::clone(partition), batch))
}

fn refuse(error: Error) -> ProduceOutcome {
    Err(ProduceError { error, records: Vec::new() })
}

// === impl DelayedProduce ===

impl DelayedProduce {
    /// One partition's append is done. The last one completes the request, unless a commit is still to come.
    fn appended(&self, index: usize, partition: Arc<Partition>, outcome: Result<Placed, Error>) {
        let mut state = self.state.lock();
        if state.answer.is_none() {
            // The request's time was up before; what was appended stays.
            return;
        }
        state.slots[index] = match outcome {
            Ok(placed) => Slot::Appended(partition, placed),
            Err(error) => Slot::Settled(refuse(error)),
        };
        state.unappended -= 1;
        self.complete(&mut state);
    }

    /// Settles what can be settled, and answers when all is. Whether the request is over.
    fn complete(&self, state: &mut State) -> bool {
        if state.unappended > 0 {
            return state.answer.is_none();
        }
        for slot in &mut state.slots {
            if let Slot::Appended(partition, placed) = slot {
                let committed =
                    self.acks != Acks::All || partition.log().high_watermark() > placed.last_offset;
                if committed {
                    *slot = Slot::Settled(Ok(placed.into_produced()));
                } else if partition.is_deleted() {
                    *slot = Slot::Settled(refuse(partition.gone()));
                } else if partition.log().is_fenced() {
                    *slot = Slot::Settled(refuse(Error::Storage { why: "a sync failed".into() }));
                }
            }
        }
        let settled = state.slots.iter().all(|slot| matches!(slot, Slot::Settled(_)));
        if settled {
            self.answer(state);
        }
        settled
    }

    /// Answers with what is settled; everything else has run out of time.
    fn answer(&self, state: &mut State) {
        let Some(answer) = state.answer.take() else { return };
        let outcomes = std::mem::take(&mut state.slots).into_iter().map(|slot| match slot {
            Slot::Settled(outcome) => outcome,
            Slot::Queued | Slot::Appended(..) => refuse(Error::RequestTimedOut),
        });
        // A client that is gone wants no answer.
        let _ = answer.send(outcomes.collect());
    }
}

impl DelayedOperation for DelayedProduce {
    fn try_complete(&self) -> bool {
        self.complete(&mut self.state.lock())
    }

    fn expire(&self) {
        self.answer(&mut self.state.lock());
    }
}

// === impl Placed ===

impl Placed {
    fn into_produced(self) -> Produced {
        Produced {
            base_offset: self.base_offset,
            log_append_time_ms: self.log_append_time_ms,
            log_start_offset: self.log_start_offset,
        }
    }
}
