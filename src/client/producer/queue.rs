//! One partition's records on their way out: the batch being filled, the batches that wait, and those in flight.
//!
//! What always holds: batches leave in the order in which they were filled. When one comes back to be sent again,
//! nothing of the partition is sent until all that is in flight came back too; then they leave in their old order.
//! With idempotence each keeps the sequence number it was given first, so the broker recognises what it has already.
//! When a numbered batch is given up, its number is missing in the row; the rest is numbered anew under another
//! producer id.
//!
//! Nothing here waits or sends; the time is given. The sender drives it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::ProducerRecord;
use super::delivery::{Acked, Delivery, Failed, Outcome};
use crate::client::error::Error;
use crate::record::{BatchBuilder, Compression, advance_sequence, stamp_producer};
use crate::types::{ProducerEpoch, ProducerId, TimestampMs};

/// The most batches of a partition in flight: a broker remembers the last five of a producer.
///
/// Source: KIP-98.
pub(super) const MAX_IN_FLIGHT: usize = 5;

/// A partition's queue.
#[derive(Debug)]
pub(super) struct PartitionQueue {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    state: Mutex<QueueState>,
}

/// What the lock of a queue guards.
#[derive(Debug, Default)]
pub(super) struct QueueState {
    open: Option<OpenBatch>,
    /// Filled batches, first to leave first.
    waiting: VecDeque<Batch>,
    /// The outcomes of the batches in flight, by serial number.
    in_flight: Vec<(u64, Arc<Outcome>)>,
    numbering: Option<Numbering>,
    next_serial: u64,
    /// Whether the sender knows that there is something to send.
    pub(super) is_queued: bool,
    /// Whether the open batch is to leave without waiting to be full.
    is_open_due: bool,
    /// Whether a batch came back, so that the others in flight are waited for.
    must_drain: bool,
    /// Whether a numbered batch was given up.
    must_renumber: bool,
    /// Nothing leaves before this, after a failure.
    not_before: Option<Instant>,
}

/// An idempotent producer's id in this partition, and the next sequence number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbering {
    id: ProducerId,
    epoch: ProducerEpoch,
    next_sequence: i32,
}

#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    serial: u64,
    opened: Instant,
    outcome: Arc<Outcome>,
    memory: OwnedSemaphorePermit,
    record_count: u32,
}

/// A filled batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// As it goes over the wire.
    pub(super) bytes: Bytes,
    /// How many records it has.
    pub(super) record_count: u32,
    /// How often sending it failed.
    pub(super) failures: u32,
    serial: u64,
    opened: Instant,
    outcome: Arc<Outcome>,
    /// Returned to the producer's budget with the batch.
    _memory: OwnedSemaphorePermit,
}

/// How batches are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchRules {
    pub(super) batch_bytes: usize,
    pub(super) linger: Duration,
    pub(super) compression: Compression,
    pub(super) max_in_flight: usize,
}

/// What the sender gets when it asks for a batch.
#[derive(Debug)]
pub(super) enum Taken {
    /// A batch, now in flight, and whether there may be another one. The queue stays queued in that case.
    Batch(Batch, bool),
    /// One batch waits but is larger than the room given. The queue stays queued.
    NoRoom,
    /// Nothing before this moment. The queue stays queued.
    Later(Instant),
    /// All that is left must be numbered anew first. The queue stays queued.
    Renumber,
    /// Nothing now; the queue is no longer queued and will be again when that changes.
    Nothing,
}

// === impl PartitionQueue ===

impl PartitionQueue {
    pub(super) fn new(topic: Arc<str>, partition: i32, numbering: Option<Numbering>) -> Self {
        Self { topic, partition, state: Mutex::new(QueueState { numbering, ..QueueState::default() }) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }
}

// === impl QueueState ===

impl QueueState {
    /// Whether the open batch takes a record of this size; false when there is none.
    pub(super) fn has_room(&self, record_bytes: usize, rules: &BatchRules) -> bool {
        let fits =
            |open: &OpenBatch| open.builder.uncompressed_size_bytes() + record_bytes <= rules.batch_bytes;
        self.open.as_ref().is_some_and(fits)
    }

    /// Opens a new batch that `memory` pays for, sealing the one before. Returns its serial number.
    pub(super) fn open(
        &mut self,
        partition: i32,
        memory: OwnedSemaphorePermit,
        rules: &BatchRules,
        now: Instant,
    ) -> u64 {
        self.seal();
        let serial = self.next_serial;
        self.next_serial += 1;
        self.open = Some(OpenBatch {
            builder: BatchBuilder::new(rules.compression),
            serial,
            opened: now,
            outcome: Arc::new(Outcome::new(partition)),
            memory,
            record_count: 0,
        });
        serial
    }

    /// Adds a record to the open batch. Returns its delivery, and whether the sender is to be told.
    ///
    /// # Panics
    /// When no batch is open: see [`has_room`](Self::has_room) and [`open`](Self::open).
    pub(super) fn append(
        &mut self,
        record: &ProducerRecord<'_>,
        timestamp_ms: TimestampMs,
        rules: &BatchRules,
    ) -> (Delivery, bool) {
        let open =
            self.open.as_mut().expect("the caller opened a batch when there was no room in an open one");
        let added = open.builder.append(timestamp_ms, record.key, record.value, record.headers);
        added.expect("batches and records are limited far below what a batch can hold");
        let delivery = Delivery::new(&open.outcome, open.record_count, timestamp_ms);
        open.record_count += 1;
        if open.builder.uncompressed_size_bytes() >= rules.batch_bytes {
            self.seal();
        } else if rules.linger.is_zero() {
            self.is_open_due = true;
        }
        (delivery, self.must_tell_sender())
    }

    /// Closes the open batch, so that it waits to be sent.
    fn seal(&mut self) {
        self.is_open_due = false;
        let Some(open) = self.open.take() else { return };
        let mut builder = open.builder;
        if let Some(numbering) = &mut self.numbering {
            let sequence = numbering.take(open.record_count);
            builder.set_producer(numbering.id, numbering.epoch, sequence);
        }
        self.waiting.push_back(Batch {
            bytes: builder.build(),
            record_count: open.record_count,
            failures: 0,
            serial: open.serial,
            opened: open.opened,
            outcome: open.outcome,
            _memory: open.memory,
        });
    }

    /// Lets the open batch leave without waiting to be full; only the one with this serial number, when one is given.
    /// True when the sender is to be told.
    pub(super) fn hurry(&mut self, serial: Option<u64>) -> bool {
        if self.open.as_ref().is_some_and(|open| serial.is_none_or(|serial| open.serial == serial)) {
            self.is_open_due = true;
        }
        self.must_tell_sender()
    }

    /// Whether there is something to send that the sender does not know of. It counts as told then.
    fn must_tell_sender(&mut self) -> bool {
        let has_work = !self.waiting.is_empty() || self.is_open_due;
        has_work && !std::mem::replace(&mut self.is_queued, true)
    }

    /// The next batch to send, of at most `room_bytes` unless `is_first` of its request.
    pub(super) fn take(
        &mut self,
        room_bytes: usize,
        is_first: bool,
        rules: &BatchRules,
        now: Instant,
    ) -> Taken {
        if self.must_drain && !self.in_flight.is_empty() || self.in_flight.len() >= rules.max_in_flight {
            self.is_queued = false;
            return Taken::Nothing;
        }
        if let Some(not_before) = self.not_before.filter(|&at| at > now) {
            return Taken::Later(not_before);
        }
        if self.must_renumber && self.in_flight.is_empty() && self.numbering.is_some() {
            return Taken::Renumber;
        }
        if self.waiting.is_empty() && self.is_open_due {
            self.seal();
        }
        let Some(next) = self.waiting.front() else {
            self.is_queued = false;
            return Taken::Nothing;
        };
        if next.bytes.len() > room_bytes && !is_first {
            return Taken::NoRoom;
        }
        self.must_drain = false;
        self.not_before = None;
        let batch = self.waiting.pop_front().expect("there is a front");
        self.in_flight.push((batch.serial, Arc::clone(&batch.outcome)));
        let has_more = !self.waiting.is_empty() || self.is_open_due;
        self.is_queued = has_more;
        Taken::Batch(batch, has_more)
    }

    /// The batch is settled. True when the sender is to be told.
    pub(super) fn complete(&mut self, batch: &Batch, result: Result<Acked, Failed>) -> bool {
        if result.is_err() && self.numbering.is_some() {
            self.must_renumber = true;
            self.must_drain = true;
        }
        self.landed(batch);
        batch.outcome.complete(result);
        self.must_tell_sender()
    }

    /// The batch is to be sent again, not before the moment given. True when the sender is to be told.
    pub(super) fn put_back(&mut self, batch: Batch, not_before: Instant) -> bool {
        self.landed(&batch);
        let place = self.waiting.partition_point(|other| other.serial < batch.serial);
        self.waiting.insert(place, batch);
        self.must_drain = true;
        self.not_before = self.not_before.max(Some(not_before));
        self.must_tell_sender()
    }

    fn landed(&mut self, batch: &Batch) {
        self.in_flight.retain(|(serial, _)| *serial != batch.serial);
    }

    /// Whether no batch before this one is unsettled: what the broker says of its number is then about this batch.
    pub(super) fn is_oldest(&self, batch: &Batch) -> bool {
        let others = self.in_flight.iter().map(|(serial, _)| *serial);
        others.chain(self.waiting.front().map(|other| other.serial)).all(|serial| serial >= batch.serial)
    }

    /// Makes [`take`](Self::take) ask for new numbers once nothing is in flight.
    pub(super) fn require_numbers(&mut self) {
        self.must_renumber = true;
        self.must_drain = true;
    }

    /// Numbers all that waits anew.
    pub(super) fn renumber(&mut self, mut numbering: Numbering) {
        self.seal();
        for batch in &mut self.waiting {
            let sequence = numbering.take(batch.record_count);
            let mut bytes = Vec::from(&batch.bytes[..]);
            stamp_producer(&mut bytes, numbering.id, numbering.epoch, sequence);
            batch.bytes = bytes.into();
        }
        self.numbering = Some(numbering);
        self.must_renumber = false;
        self.must_drain = false;
    }

    /// Gives up what waits since before `oldest`. Returns how many records that were.
    pub(super) fn expire(&mut self, oldest: Instant, error: impl Fn() -> Error) -> Vec<u32> {
        if self.open.as_ref().is_some_and(|open| open.opened < oldest) {
            self.seal();
        }
        let mut expired = Vec::new();
        while self.waiting.front().is_some_and(|batch| batch.opened < oldest) {
            let batch = self.waiting.pop_front().expect("there is a front");
            expired.push(batch.record_count);
            if self.numbering.is_some() {
                self.require_numbers();
            }
            batch.outcome.complete(Err(error().into()));
        }
        expired
    }

    /// The outcomes of all that is on its way.
    pub(super) fn unsettled(&self) -> Vec<Arc<Outcome>> {
        let in_flight = self.in_flight.iter().map(|(_, outcome)| outcome);
        let waiting = self.waiting.iter().map(|batch| &batch.outcome);
        let open = self.open.iter().map(|open| &open.outcome);
        in_flight.chain(waiting).chain(open).map(Arc::clone).collect()
    }
}

// === impl Numbering ===

impl Numbering {
    pub(super) fn new(id: ProducerId, epoch: ProducerEpoch) -> Self {
        Self { id, epoch, next_sequence: 0 }
    }

    /// The sequence number of a batch's first record; the numbers after `i32::MAX` begin at 0 again.
    fn take(&mut self, record_count: u32) -> i32 {
        let first = self.next_sequence;
        self.next_sequence = advance_sequence(first, record_count.cast_signed());
        first
    }
}

// === impl Batch ===

impl Batch {
    /// Whether it has waited since before `oldest`.
    pub(super) fn is_older_than(&self, oldest: Instant) -> bool {
        self.opened < oldest
    }
}

#[cfg(test)]
mod tests;
