//! What became of a record: one outcome per batch, which the records of the batch share.
//!
//! Sending a record costs no allocation for its outcome: a [`Delivery`] is a reference to the batch's and an index.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::client::error::Error;
use crate::types::{Offset, TimestampMs};

/// A record that was sent. Drop it to not care; [`wait`](Self::wait) to learn where the record is.
#[derive(Debug, Clone)]
pub struct Delivery {
    outcome: Arc<Outcome>,
    index: u32,
    timestamp_ms: TimestampMs,
}

/// Where a record is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// The offset; `None` when the broker does not tell (acks=0, or a retry of a batch that it has already).
    pub offset: Option<Offset>,
    /// The record's timestamp: its own, or the broker's for a topic with LogAppendTime.
    pub timestamp_ms: TimestampMs,
    /// When the broker's answer came, on tokio's clock: for measuring.
    pub at: Instant,
}

/// What became of a batch, once that is known.
#[derive(Debug)]
pub(super) struct Outcome {
    partition: i32,
    result: OnceLock<(Result<Acked, Failed>, Instant)>,
    done: Notify,
}

/// A batch that the broker took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acked {
    /// The offset of its first record, when known.
    pub(super) base_offset: Option<Offset>,
    /// The broker's time, for a topic with LogAppendTime.
    pub(super) append_time_ms: Option<TimestampMs>,
}

/// A batch that was given up.
#[derive(Debug)]
pub(super) struct Failed {
    /// Why.
    pub(super) error: Error,
    /// What the broker says of single records, by their index in the batch; the others are refused along with them.
    pub(super) records: Vec<(u32, String)>,
}

// === impl Delivery ===

impl Delivery {
    pub(super) fn new(outcome: &Arc<Outcome>, index: u32, timestamp_ms: TimestampMs) -> Self {
        Self { outcome: Arc::clone(outcome), index, timestamp_ms }
    }

    /// Waits until the record is acknowledged, as the producer's `acks` say, or given up.
    ///
    /// # Errors
    /// Why it was given up. [`Error::Timeout`] leaves open whether the record is in the log.
    pub async fn wait(&self) -> Result<Delivered, Error> {
        loop {
            let mut done = std::pin::pin!(self.outcome.done.notified());
            // Registered before the look, or a result that comes between the two would be missed.
            done.as_mut().enable();
            if let Some(result) = self.result() {
                return result;
            }
            done.await;
        }
    }

    /// What became of the record, when that is known already.
    #[must_use]
    pub fn result(&self) -> Option<Result<Delivered, Error>> {
        self.outcome.result.get().map(|(result, at)| match result {
            Ok(acked) => Ok(Delivered {
                partition: self.outcome.partition,
                offset: acked.base_offset.map(|base| base + Offset::from(self.index)),
                timestamp_ms: acked.append_time_ms.unwrap_or(self.timestamp_ms),
                at: *at,
            }),
            Err(failed) => Err(failed.of_record(self.index)),
        })
    }
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn new(partition: i32) -> Self {
        Self { partition, result: OnceLock::new(), done: Notify::new() }
    }

    /// Tells everybody who waits. The first result stays.
    pub(super) fn complete(&self, result: Result<Acked, Failed>) {
        if self.result.set((result, Instant::now())).is_ok() {
            self.done.notify_waiters();
        }
    }

    /// Waits until there is a result, whatever it is.
    pub(super) async fn settled(self: &Arc<Self>) -> Result<(), Error> {
        Delivery::new(self, 0, 0).wait().await.map(drop)
    }
}

// === impl Failed ===

impl Failed {
    fn of_record(&self, index: u32) -> Error {
        let Error::Broker { context, code, .. } = &self.error else { return self.error.clone() };
        if self.records.is_empty() {
            return self.error.clone();
        }
        let own = self.records.iter().find(|(refused, _)| *refused == index);
        let message = own.map_or("another record of its batch was refused", |(_, message)| message);
        Error::broker(context.clone(), *code, Some(message.to_owned()))
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, records: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ErrorCode;

    #[tokio::test]
    async fn all_records_of_a_batch_learn_their_offsets() {
        let outcome = Arc::new(Outcome::new(3));
        let deliveries = [0, 1, 2].map(|index| Delivery::new(&outcome, index, 1000 + i64::from(index)));
        assert_eq!(deliveries[0].result().map(|result| result.is_ok()), None);
        let waiting = tokio::spawn({
            let delivery = deliveries[2].clone();
            async move { delivery.wait().await }
        });
        outcome.complete(Ok(Acked { base_offset: Some(100), append_time_ms: None }));
        let delivered = waiting.await.unwrap().unwrap();
        assert_eq!((delivered.partition, delivered.offset, delivered.timestamp_ms), (3, Some(102), 1002));
        assert_eq!(deliveries[0].wait().await.unwrap().offset, Some(100));
    }

    #[test]
    fn the_first_result_stays() {
        let outcome = Arc::new(Outcome::new(0));
        outcome.complete(Err(Error::Closed.into()));
        outcome.complete(Ok(Acked { base_offset: Some(1), append_time_ms: None }));
        assert!(matches!(Delivery::new(&outcome, 0, 0).result(), Some(Err(Error::Closed))));
    }

    #[test]
    fn a_refused_record_and_its_siblings_are_told_apart() {
        let outcome = Arc::new(Outcome::new(0));
        let error = Error::broker("produce", ErrorCode::INVALID_RECORD, None);
        outcome.complete(Err(Failed { error, records: vec![(1, "no key".to_owned())] }));
        let text = |index| Delivery::new(&outcome, index, 0).result().unwrap().unwrap_err().to_string();
        assert!(text(1).contains("no key"), "{}", text(1));
        assert!(text(0).contains("another record"), "{}", text(0));
    }
}
