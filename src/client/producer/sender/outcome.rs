//! What comes back to the sender: connections, answers, metadata, producer ids.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Done, Sender};
use crate::client::error::Error;
use crate::client::producer::answer::{Answered, SentBatch, is_about_numbers};
use crate::client::producer::delivery::{Acked, Failed};
use crate::client::producer::queue::{Batch, PartitionQueue};

// === impl Sender ===

impl Sender {
    pub(super) fn on_unanswered(&mut self, batches: Vec<SentBatch>) {
        for SentBatch { queue, batch, .. } in batches {
            self.complete(&queue, &batch, Ok(Acked { base_offset: None, append_time_ms: None }));
        }
    }

    pub(super) fn on_failed_request(&mut self, batches: Vec<SentBatch>, error: &Error, now: Instant) {
        for SentBatch { queue, batch, .. } in batches {
            self.on_failed_batch(&queue, batch, error.clone().into(), now);
        }
    }

    pub(super) fn on_done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = Instant::now();
        let done = match done.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(done) => done,
            // A panic in a task is a bug; the batches it held are lost to it, so nothing sensible can follow.
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime is going down, and this task with it.
            Err(Err(_)) => return,
        };
        match done {
            Done::Connected { node_id, result } => {
                let Some(lane) = self.lanes.get_mut(&node_id) else { return };
                lane.is_connecting = false;
                match result {
                    Ok(connection) => lane.connection = Some(connection),
                    Err(error) => {
                        tracing::debug!(node_id, %error, "cannot reach a broker");
                        self.trouble = Some(error.clone());
                        for queue in std::mem::take(&mut lane.queues) {
                            self.stale.mark(&queue.topic, now);
                            self.park(queue, &error, now);
                        }
                    }
                }
            }
            Done::Answered { node_id, answered } => {
                if let Some(lane) = self.lanes.get_mut(&node_id) {
                    lane.in_flight -= 1;
                }
                for Answered { sent: SentBatch { queue, batch, .. }, result } in answered {
                    match result {
                        Ok(acked) => self.complete(&queue, &batch, Ok(acked)),
                        Err(failed) => self.on_failed_batch(&queue, batch, failed, now),
                    }
                }
            }
            Done::Refreshed { names, result } => {
                self.trouble = result.err();
                if let Some(error) = &self.trouble {
                    tracing::debug!(%error, "cannot refresh metadata");
                    self.stale.end(&[]);
                    return;
                }
                self.stale.end(&names);
                let metadata = self.shared.client.metadata();
                for topic in names.iter().filter_map(|name| metadata.topic(name)) {
                    self.shared.queues(&topic.name, topic.partitions.len());
                }
            }
            Done::Numbered { queue, result } => match result {
                Ok(numbering) => {
                    queue.lock().renumber(numbering);
                    self.route(queue, now);
                }
                Err(error) => self.park(queue, &error, now),
            },
        }
    }

    fn complete(&mut self, queue: &Arc<PartitionQueue>, batch: &Batch, result: Result<Acked, Failed>) {
        // Counted before anybody is woken: whoever waited for the delivery finds it in the statistics.
        match &result {
            Ok(_) => self.shared.on_delivered(batch.record_count, batch.bytes.len()),
            Err(_) => self.shared.on_given_up(batch.record_count),
        }
        let tell_sender = queue.lock().complete(batch, result);
        if tell_sender {
            self.shared.ready.lock().push(Arc::clone(queue));
        }
    }

    /// Sends a batch again, if that can help and there is time left.
    fn on_failed_batch(
        &mut self,
        queue: &Arc<PartitionQueue>,
        mut batch: Batch,
        failed: Failed,
        now: Instant,
    ) {
        let mut state = queue.lock();
        let is_numbering = is_about_numbers(&failed.error) && self.shared.config.idempotence;
        if !is_numbering && !failed.error.is_retriable() {
            drop(state);
            self.complete(queue, &batch, Err(failed));
            return;
        }
        let after = self.shared.config.delivery_timeout;
        if batch.is_older_than(now.checked_sub(after).unwrap_or(now)) {
            drop(state);
            let what = format!("delivering to {}-{}", queue.topic, queue.partition);
            let error = Error::Timeout { what, after, last: Some(Box::new(failed.error)) };
            self.complete(queue, &batch, Err(error.into()));
            return;
        }
        tracing::debug!(topic = %queue.topic, partition = queue.partition, error = %failed.error, "sending again");
        if is_numbering && state.is_oldest(&batch) {
            state.require_numbers();
        }
        if failed.error.hints_at_stale_metadata() {
            self.stale.mark(&queue.topic, now);
        }
        batch.failures += 1;
        self.shared.counters.retried_batches.fetch_add(1, Ordering::Relaxed);
        let wait = self.shared.client.config().retry.next_wait(batch.failures);
        let tell_sender = state.put_back(batch, now + wait);
        drop(state);
        if tell_sender {
            self.shared.ready.lock().push(Arc::clone(queue));
        }
    }
}
