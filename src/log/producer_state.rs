//! What a log remembers of its idempotent producers, so that a retried batch is not written twice.
//!
//! Per producer id: the newest epoch and its last five batches (clients send at most five at once). What always
//! holds: the state says nothing that the log does not, so it can be rebuilt from the batch headers. A producer
//! that is not known, for whatever reason, may begin at any sequence number. Open transactions will be kept here
//! too; none exist yet, so the last stable offset is the high watermark.
//!
//! Source: KIP-98, KIP-360.

use std::collections::HashMap;

use super::error::AppendError;
use crate::record::BatchHeader;
use crate::types::{NO_SEQUENCE, Offset, ProducerEpoch, ProducerId, TimestampMs};

/// How many batches are remembered: `max.in.flight.requests.per.connection` of an idempotent producer.
pub(super) const BATCHES_REMEMBERED: usize = 5;

/// The producers of one log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProducerStates {
    pub(super) entries: HashMap<ProducerId, ProducerState>,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProducerState {
    /// The newest epoch seen.
    pub(super) epoch: ProducerEpoch,
    /// When it last wrote, by the wall clock.
    pub(super) updated_ms: TimestampMs,
    /// Its last batches in that epoch, oldest first, at most [`BATCHES_REMEMBERED`].
    pub(super) batches: Vec<WrittenBatch>,
}

/// A batch in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrittenBatch {
    pub(super) base_sequence: i32,
    pub(super) last_sequence: i32,
    pub(super) base_offset: Offset,
    pub(super) last_offset: Offset,
    /// The batch's largest timestamp: what `LogAppendTime` stamped.
    pub(super) timestamp_ms: TimestampMs,
}

/// What a batch's sequence numbers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// To be appended.
    New,
    /// In the log already.
    Duplicate(WrittenBatch),
}

/// The sequence number after `sequence`: wraps to 0, never to a negative number.
fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

// === impl ProducerState ===

impl ProducerState {
    fn check(&self, header: &BatchHeader, epoch: ProducerEpoch) -> Result<Verdict, Option<i32>> {
        if epoch < self.epoch {
            return Err(None);
        }
        if epoch > self.epoch {
            return if header.base_sequence == 0 { Ok(Verdict::New) } else { Err(Some(0)) };
        }
        let same = |batch: &&WrittenBatch| {
            batch.base_sequence == header.base_sequence && batch.last_sequence == header.last_sequence()
        };
        if let Some(duplicate) = self.batches.iter().find(same) {
            return Ok(Verdict::Duplicate(*duplicate));
        }
        // An epoch of which only a control batch is known has no sequence yet.
        let Some(last) = self.batches.last() else { return Ok(Verdict::New) };
        let expected = next_sequence(last.last_sequence);
        if header.base_sequence == expected { Ok(Verdict::New) } else { Err(Some(expected)) }
    }
}

// === impl ProducerStates ===

impl ProducerStates {
    /// Whether a batch may be appended next, is in the log already, or is refused.
    pub(super) fn check(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        let Some((producer, epoch)) = header.producer() else { return Ok(Verdict::New) };
        let Some(state) = self.entries.get(&producer) else { return Ok(Verdict::New) };
        state.check(header, epoch).map_err(|expected| match expected {
            Some(expected) => {
                AppendError::OutOfOrderSequence { producer, epoch, expected, found: header.base_sequence }
            }
            None => AppendError::StaleProducerEpoch { producer, epoch, current: state.epoch },
        })
    }

    /// Remembers a batch that was appended, or is found in the log, at the offsets in `header`.
    pub(super) fn record(&mut self, header: &BatchHeader, updated_ms: TimestampMs) {
        let Some((producer, epoch)) = header.producer() else { return };
        let state = self.entries.entry(producer).or_insert_with(|| ProducerState {
            epoch,
            updated_ms,
            batches: Vec::with_capacity(BATCHES_REMEMBERED),
        });
        if epoch != state.epoch {
            state.epoch = epoch;
            state.batches.clear();
        }
        state.updated_ms = updated_ms;
        // Control batches carry a producer but no sequence.
        if header.base_sequence == NO_SEQUENCE {
            return;
        }
        if state.batches.len() == BATCHES_REMEMBERED {
            state.batches.remove(0);
        }
        state.batches.push(WrittenBatch {
            base_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp_ms: header.max_timestamp,
        });
    }

    /// A producer's state, to be put back by [`Self::restore`] should the write fail.
    pub(super) fn save(&self, header: &BatchHeader) -> Option<(ProducerId, Option<ProducerState>)> {
        let (producer, _) = header.producer()?;
        Some((producer, self.entries.get(&producer).cloned()))
    }

    /// Puts a saved state back.
    pub(super) fn restore(&mut self, (producer, state): (ProducerId, Option<ProducerState>)) {
        match state {
            Some(state) => self.entries.insert(producer, state),
            None => self.entries.remove(&producer),
        };
    }

    /// Forgets producers that have not written for `expiration_ms`; whether there were any.
    pub(super) fn expire(&mut self, now_ms: TimestampMs, expiration_ms: u64) -> bool {
        let expiration_ms = TimestampMs::try_from(expiration_ms).unwrap_or(TimestampMs::MAX);
        let before = self.entries.len();
        self.entries.retain(|_, state| now_ms.saturating_sub(state.updated_ms) < expiration_ms);
        self.entries.len() < before
    }
}

#[cfg(test)]
mod tests;
