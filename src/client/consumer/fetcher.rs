//! The task that asks for records ahead of the caller: at most one request per leader at a time.
//!
//! A partition is part of the next request to its leader unless one is on its way, enough of it waits to be polled,
//! it rests after a failure, or it is halted until a seek.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::assignment::Key;
use super::fetch::{AbortedTransaction, Fetched, Wanted, fetch};
use super::{OutOfRange, Shared};
use crate::client::admin::OffsetSpec;
use crate::client::admin::offsets::list_offsets;
use crate::client::cluster::AutoCreate;
use crate::client::error::Error;
use crate::client::stale::StaleTopics;
use crate::record::BatchHeader;
use crate::types::Offset;

/// What the fetcher hands to the consumer.
#[derive(Debug)]
pub(super) enum Item {
    /// Records.
    Chunk(Chunk),
    /// A partition that is not read on until a seek.
    Failed { key: Key, generation: u64, error: Error },
}

/// Whole batches of one partition, as they came.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) key: Key,
    pub(super) generation: u64,
    /// The offset asked for: the first batch may begin below it.
    pub(super) from: Offset,
    pub(super) bytes: Bytes,
    pub(super) aborted: Vec<AbortedTransaction>,
}

pub(super) struct Fetcher {
    shared: Arc<Shared>,
    items: mpsc::UnboundedSender<Item>,
    tasks: JoinSet<Done>,
    /// Leaders with a request on its way.
    busy: HashSet<i32>,
    stale: StaleTopics,
    /// Failures in a row, over all brokers: how long to rest after the next.
    failures: u32,
    /// Counts requests, to rotate the partitions in them.
    turn: usize,
}

enum Done {
    Fetched { node_id: i32, wanted: Vec<Wanted>, result: Result<Vec<Fetched>, Error> },
    Refreshed { names: Vec<Arc<str>>, result: Result<(), Error> },
    Relocated { key: Key, generation: u64, result: Result<Option<Offset>, Error> },
}

// === impl Fetcher ===

impl Fetcher {
    pub(super) fn new(shared: Arc<Shared>, items: mpsc::UnboundedSender<Item>) -> Self {
        Self {
            shared,
            items,
            tasks: JoinSet::new(),
            busy: HashSet::new(),
            stale: StaleTopics::default(),
            failures: 0,
            turn: 0,
        }
    }

    /// Fetches until it is aborted or nobody polls any more.
    pub(super) async fn run(mut self) {
        while !self.items.is_closed() {
            let wake_at = self.start_fetches(Instant::now());
            self.refresh_stale();
            tokio::select! {
                () = self.shared.changed.notified() => {}
                Some(done) = self.tasks.join_next() => match done.map_err(JoinError::try_into_panic) {
                    Ok(done) => self.on_done(done),
                    Err(Ok(panic)) => std::panic::resume_unwind(panic),
                    // The runtime is going down, and this task with it.
                    Err(Err(_)) => return,
                },
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    /// Starts what can be started. Returns when to look again at the latest.
    fn start_fetches(&mut self, now: Instant) -> Instant {
        let mut wake_at = now + self.shared.client.config().metadata_max_age;
        let metadata = self.shared.client.metadata();
        let mut by_leader: HashMap<i32, Vec<Wanted>> = HashMap::new();
        let mut assignment = self.shared.assignment.lock();
        for (key, assigned) in &mut assignment.partitions {
            if let Some(not_before) = assigned.not_before.filter(|&at| at > now) {
                wake_at = wake_at.min(not_before);
            }
            if !assigned.is_fetchable(self.shared.config.buffer_bytes, now) || self.stale.contains(&key.0) {
                continue;
            }
            let topic = metadata.topic(&key.0);
            let Some((topic, partition)) = topic.and_then(|topic| Some((topic, topic.partition(key.1)?)))
            else {
                self.stale.mark(&key.0, now);
                continue;
            };
            let Some(leader) = partition.leader else {
                self.stale.mark(&key.0, now);
                continue;
            };
            if self.busy.contains(&leader) {
                continue;
            }
            assigned.is_in_flight = true;
            by_leader.entry(leader).or_default().push(Wanted {
                key: key.clone(),
                topic_id: topic.id,
                generation: assigned.generation,
                fetch_offset: assigned.fetch_offset,
                leader_epoch: partition.leader_epoch,
                last_fetched_epoch: assigned.last_fetched_epoch,
            });
        }
        drop(assignment);
        for (node_id, mut wanted) in by_leader {
            self.busy.insert(node_id);
            // Brokers fill responses in the order of the request: without turns the last partitions would starve.
            self.turn = self.turn.wrapping_add(1);
            let first = self.turn % wanted.len();
            wanted.sort_unstable_by(|one, other| one.key.cmp(&other.key));
            wanted.rotate_left(first);
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn(async move {
                let result = fetch(&shared.fetching, node_id, &wanted, &shared.config).await;
                Done::Fetched { node_id, wanted, result }
            });
        }
        wake_at
    }

    fn refresh_stale(&mut self) {
        let Some((names, not_before)) = self.stale.begin() else { return };
        let client = self.shared.client.clone();
        let wait = client.config().retry.next_wait(self.failures.max(1));
        self.tasks.spawn(async move {
            let result = client.refresh(&names, AutoCreate::No, not_before).await.map(drop);
            // Rests in any case: a leaderless partition would be asked about in a tight loop.
            tokio::time::sleep(wait).await;
            Done::Refreshed { names, result }
        });
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Fetched { node_id, wanted, result } => {
                self.busy.remove(&node_id);
                match result {
                    Ok(answers) => {
                        self.failures = 0;
                        for (wanted, fetched) in wanted.into_iter().zip(answers) {
                            self.on_fetched(wanted, fetched);
                        }
                    }
                    Err(error) => {
                        self.failures += 1;
                        tracing::debug!(node_id, %error, "a fetch failed");
                        for wanted in wanted {
                            self.on_error(&wanted, error.clone());
                        }
                    }
                }
            }
            Done::Refreshed { names, result } => {
                self.stale.end(if result.is_ok() { &names } else { &[] });
                if let Err(error) = result {
                    self.failures += 1;
                    tracing::debug!(%error, "cannot refresh metadata");
                }
            }
            Done::Relocated { key, generation, result } => self.on_relocated(&key, generation, result),
        }
    }

    fn on_fetched(&mut self, wanted: Wanted, fetched: Fetched) {
        match fetched {
            Fetched::Records { bytes, aborted, watermarks } => {
                let ends = ends_of(&bytes);
                let mut assignment = self.shared.assignment.lock();
                let Some(assigned) = assignment.current(&wanted.key, wanted.generation) else { return };
                assigned.is_in_flight = false;
                assigned.not_before = None;
                assigned.watermarks = Some(watermarks);
                match ends {
                    Ok(Some((next_offset, epoch))) => {
                        assigned.fetch_offset = next_offset.max(assigned.fetch_offset);
                        assigned.last_fetched_epoch = (epoch >= 0).then_some(epoch);
                    }
                    Ok(None) => return,
                    Err(reason) => {
                        // What cannot even be cut into batches goes no further; the reader would stop at it too.
                        assigned.is_halted = true;
                        let (topic, partition) = (wanted.key.0.to_string(), wanted.key.1);
                        let error = Error::Damaged { topic, partition, offset: wanted.fetch_offset, reason };
                        drop(assignment);
                        self.report(wanted, error);
                        return;
                    }
                }
                assigned.buffered_bytes += bytes.len();
                drop(assignment);
                let Wanted { key, generation, fetch_offset: from, .. } = wanted;
                let chunk = Chunk { key, generation, from, bytes, aborted };
                let _nobody_polls_if_this_fails = self.items.send(Item::Chunk(chunk));
            }
            Fetched::Diverged(end_offset) => match self.shared.config.out_of_range {
                OutOfRange::Error => {
                    self.halt(wanted, |topic, partition, offset| Error::LogTruncated {
                        topic,
                        partition,
                        offset,
                        end_offset,
                    });
                }
                OutOfRange::Beginning | OutOfRange::End => {
                    tracing::warn!(
                        topic = %wanted.key.0, partition = wanted.key.1, from = wanted.fetch_offset, to = end_offset,
                        "the log was cut back since it was read; reading on where both agree"
                    );
                    let mut assignment = self.shared.assignment.lock();
                    if assignment.current(&wanted.key, wanted.generation).is_some() {
                        // What waits to be polled may lie in the part that is gone.
                        assignment.set(wanted.key, end_offset);
                    }
                }
            },
            Fetched::OutOfRange => {
                let spec = match self.shared.config.out_of_range {
                    OutOfRange::Error => {
                        self.halt(wanted, |topic, partition, offset| Error::OffsetOutOfRange {
                            topic,
                            partition,
                            offset,
                        });
                        return;
                    }
                    OutOfRange::Beginning => OffsetSpec::Earliest,
                    OutOfRange::End => OffsetSpec::Latest,
                };
                tracing::warn!(
                    topic = %wanted.key.0, partition = wanted.key.1, offset = wanted.fetch_offset, to = ?spec,
                    "the position is not in the log; reading on elsewhere"
                );
                let shared = Arc::clone(&self.shared);
                let Wanted { key, generation, .. } = wanted;
                self.tasks.spawn(async move {
                    let look_up = (Arc::clone(&key.0), key.1, spec);
                    let listed = list_offsets(&shared.client, &[look_up], shared.config.isolation).await;
                    let result = listed.into_iter().next().transpose();
                    Done::Relocated {
                        key,
                        generation,
                        result: result.map(|listed| listed.and_then(|l| l.offset)),
                    }
                });
            }
            Fetched::Failed(error) => {
                self.failures += 1;
                self.on_error(&wanted, error);
            }
        }
    }

    /// Moves a partition to where it is to be read on. What was fetched before and waits is still handed out.
    fn on_relocated(&mut self, key: &Key, generation: u64, result: Result<Option<Offset>, Error>) {
        let wait = self.shared.client.config().retry.next_wait(self.failures.max(1));
        let mut assignment = self.shared.assignment.lock();
        let Some(assigned) = assignment.current(key, generation) else { return };
        assigned.is_in_flight = false;
        match result {
            Ok(Some(offset)) => {
                assigned.fetch_offset = offset;
                if assigned.buffered_bytes == 0 {
                    assigned.position = offset;
                }
                assigned.last_fetched_epoch = None;
            }
            Ok(None) => assigned.not_before = Some(Instant::now() + wait),
            Err(error) => {
                tracing::debug!(topic = %key.0, partition = key.1, %error, "cannot look up where to read on");
                assigned.not_before = Some(Instant::now() + wait);
            }
        }
    }

    /// Rests and tries again when that may help; halts the partition and reports the error otherwise.
    fn on_error(&mut self, wanted: &Wanted, error: Error) {
        if !error.is_retriable() {
            self.halt(wanted.clone(), |_, _, _| error);
            return;
        }
        let now = Instant::now();
        if error.hints_at_stale_metadata() {
            self.stale.mark(&wanted.key.0, now);
        }
        let wait = self.shared.client.config().retry.next_wait(self.failures.max(1));
        if let Some(assigned) = self.shared.assignment.lock().current(&wanted.key, wanted.generation) {
            assigned.is_in_flight = false;
            assigned.not_before = Some(now + wait);
        }
    }

    fn halt(&mut self, wanted: Wanted, error: impl FnOnce(String, i32, Offset) -> Error) {
        if let Some(assigned) = self.shared.assignment.lock().current(&wanted.key, wanted.generation) {
            assigned.is_in_flight = false;
            assigned.is_halted = true;
        }
        let error = error(wanted.key.0.to_string(), wanted.key.1, wanted.fetch_offset);
        self.report(wanted, error);
    }

    fn report(&self, wanted: Wanted, error: Error) {
        let Wanted { key, generation, .. } = wanted;
        let _nobody_polls_if_this_fails = self.items.send(Item::Failed { key, generation, error });
    }
}

/// The offset after the last whole batch in `bytes` and that batch's leader epoch; `None` when there is none.
///
/// Only headers are looked at: the records are checked when they are polled.
fn ends_of(bytes: &Bytes) -> Result<Option<(Offset, i32)>, String> {
    let mut rest = &bytes[..];
    let mut ends = None;
    while let Ok(header) = BatchHeader::parse(rest) {
        let Some(after) = rest.get(header.size_bytes()..) else { break };
        ends = Some((header.next_offset(), header.leader_epoch.0));
        rest = after;
    }
    match (ends, BatchHeader::parse(bytes)) {
        (Some(ends), _) => Ok(Some(ends)),
        (None, _) if bytes.is_empty() => Ok(None),
        (None, Err(error)) => Err(error.to_string()),
        (None, Ok(header)) => {
            let (size, came) = (header.size_bytes(), bytes.len());
            Err(format!("a batch of {size} bytes of which the broker sent {came}"))
        }
    }
}
