//! The task that sends a producer's batches: one lane per leader, several requests in flight on each.
//!
//! A queue with something to send is in exactly one place: in `Shared::ready`, in the lane of its leader, or parked
//! until a moment. Requests are handed to the connection by this task itself, never by the tasks that wait for the
//! answers, so that the batches of a partition reach the broker in their order.

mod outcome;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Acks;
use super::answer::{Answered, SentBatch};
use super::queue::{Numbering, PartitionQueue, Taken};
use super::shared::{Shared, new_producer_id};
use crate::client::cluster::AutoCreate;
use crate::client::connection::Connection;
use crate::client::error::Error;
use crate::client::stale::StaleTopics;
use crate::types::TopicId;
use crate::wire::ErrorCode;
use crate::wire::messages::produce::ProduceRequest;

/// The first version of Produce that names topics by id.
const FIRST_VERSION_WITH_IDS: i16 = 13;

/// How long the sender sleeps when nothing is due: it is woken when something comes.
const IDLE: Duration = Duration::from_secs(3600);

/// The sender's own state; see the module.
pub(super) struct Sender {
    shared: Arc<Shared>,
    lanes: HashMap<i32, Lane>,
    parked: Vec<(Instant, Arc<PartitionQueue>)>,
    tasks: JoinSet<Done>,
    stale: StaleTopics,
    /// Why the cluster cannot be asked, while that is so.
    trouble: Option<Error>,
}

/// What goes to one broker.
#[derive(Default)]
struct Lane {
    connection: Option<Arc<Connection>>,
    is_connecting: bool,
    in_flight: usize,
    queues: VecDeque<Arc<PartitionQueue>>,
}

/// What a task of the sender reports.
enum Done {
    Connected { node_id: i32, result: Result<Arc<Connection>, Error> },
    Answered { node_id: i32, answered: Vec<Answered> },
    Refreshed { names: Vec<Arc<str>>, result: Result<(), Error> },
    Numbered { queue: Arc<PartitionQueue>, result: Result<Numbering, Error> },
}

// === impl Sender ===

impl Sender {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            lanes: HashMap::new(),
            parked: Vec::new(),
            tasks: JoinSet::new(),
            stale: StaleTopics::default(),
            trouble: None,
        }
    }

    /// Sends until the producer is closed and all is settled.
    pub(super) async fn run(mut self) {
        loop {
            let now = Instant::now();
            self.collect(now);
            self.refresh_stale();
            let node_ids: Vec<i32> = self.lanes.keys().copied().collect();
            for node_id in node_ids {
                self.dispatch(node_id, now);
            }
            let may_end = self.shared.may_end.load(Ordering::Acquire);
            if may_end && self.shared.unsettled_batches.load(Ordering::Acquire) == 0 {
                return;
            }
            let wake_at = self.next_deadline().unwrap_or(now + IDLE);
            tokio::select! {
                () = self.shared.wake.notified() => {}
                Some(done) = self.tasks.join_next() => self.on_done(done),
                () = tokio::time::sleep_until(wake_at) => {}
            }
            while let Some(done) = self.tasks.try_join_next() {
                self.on_done(done);
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let lingering = self.shared.lingering.lock().front().map(|(until, ..)| *until);
        let parked = self.parked.iter().map(|(until, _)| *until);
        parked.chain(lingering).min()
    }

    /// Moves queues whose time has come into the lanes of their leaders.
    fn collect(&mut self, now: Instant) {
        loop {
            let mut lingering = self.shared.lingering.lock();
            if lingering.front().is_none_or(|(until, ..)| *until > now) {
                break;
            }
            let Some((_, serial, queue)) = lingering.pop_front() else { break };
            drop(lingering);
            if queue.lock().hurry(Some(serial)) {
                self.route(queue, now);
            }
        }
        let ready = std::mem::take(&mut *self.shared.ready.lock());
        for queue in ready {
            self.route(queue, now);
        }
        let due = self.parked.extract_if(.., |(until, _)| *until <= now).collect::<Vec<_>>();
        for (_, queue) in due {
            self.route(queue, now);
        }
    }

    fn route(&mut self, queue: Arc<PartitionQueue>, now: Instant) {
        let metadata = self.shared.client.metadata();
        let topic = metadata.topic(&queue.topic);
        let leader = topic.and_then(|topic| topic.partition(queue.partition)).and_then(|found| found.leader);
        let is_stale = self.stale.contains(&queue.topic);
        match leader {
            Some(leader) if !is_stale => {
                self.lanes.entry(leader).or_default().queues.push_back(queue);
            }
            _ => {
                let no_leader = || {
                    let context = format!("producing to {}-{}", queue.topic, queue.partition);
                    Error::broker(context, ErrorCode::LEADER_NOT_AVAILABLE, None)
                };
                let error = self.trouble.clone().unwrap_or_else(no_leader);
                // A topic that is being asked about has not proved wrong again.
                if !is_stale {
                    self.stale.mark(&queue.topic, now);
                }
                self.park(queue, &error, now);
            }
        }
    }

    /// Lets a queue that cannot be served rest, and gives up what is too old in it.
    fn park(&mut self, queue: Arc<PartitionQueue>, error: &Error, now: Instant) {
        let after = self.shared.config.delivery_timeout;
        let what = || format!("delivering to {}-{}", queue.topic, queue.partition);
        let too_late = || Error::Timeout { what: what(), after, last: Some(Box::new(error.clone())) };
        let oldest = now.checked_sub(after).unwrap_or(now);
        for record_count in queue.lock().expire(oldest, too_late) {
            self.shared.on_given_up(record_count);
        }
        self.parked.push((now + self.shared.client.config().retry.next_wait(1), queue));
    }

    fn refresh_stale(&mut self) {
        let Some((names, not_before)) = self.stale.begin() else { return };
        let client = self.shared.client.clone();
        self.tasks.spawn(async move {
            let result = client.refresh(&names, AutoCreate::No, not_before).await.map(drop);
            if result.is_err() {
                // The queues rest as long; without this, a cluster that is down would be asked in a tight loop.
                tokio::time::sleep(client.config().retry.next_wait(2)).await;
            }
            Done::Refreshed { names, result }
        });
    }

    /// Sends what one broker is to get, as far as its requests in flight allow.
    fn dispatch(&mut self, node_id: i32, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&node_id) else { return };
        if lane.queues.is_empty() || lane.is_connecting {
            return;
        }
        let connection = match lane.connection.take_if(|connection| connection.is_closed()) {
            None => lane.connection.clone(),
            Some(_) => None,
        };
        let Some(connection) = connection else {
            lane.is_connecting = true;
            let client = self.shared.client.clone();
            self.tasks
                .spawn(async move { Done::Connected { node_id, result: client.connection(node_id).await } });
            return;
        };
        while let Some(lane) = self.lanes.get_mut(&node_id)
            && lane.in_flight < self.shared.config.max_in_flight
        {
            let batches = self.next_request(node_id, now);
            if batches.is_empty() {
                return;
            }
            self.send(node_id, &connection, batches, now);
        }
    }

    /// The batches of the next request to a broker: at most one per partition.
    fn next_request(&mut self, node_id: i32, now: Instant) -> Vec<SentBatch> {
        let Some(lane) = self.lanes.get_mut(&node_id) else { return Vec::new() };
        let rules = &self.shared.rules;
        let metadata = self.shared.client.metadata();
        let mut room_bytes = self.shared.config.max_request_bytes;
        let mut batches = Vec::new();
        for _ in 0..lane.queues.len() {
            let Some(queue) = lane.queues.pop_front() else { break };
            let taken = queue.lock().take(room_bytes, batches.is_empty(), rules, now);
            match taken {
                Taken::Batch(batch, has_more) => {
                    room_bytes = room_bytes.saturating_sub(batch.bytes.len());
                    if has_more {
                        lane.queues.push_back(Arc::clone(&queue));
                    }
                    let topic_id = metadata.topic(&queue.topic).map_or(TopicId::ZERO, |topic| topic.id);
                    batches.push(SentBatch { queue, batch, topic_id });
                }
                Taken::NoRoom => {
                    lane.queues.push_front(queue);
                    break;
                }
                Taken::Later(at) => self.parked.push((at, queue)),
                Taken::Renumber => {
                    let client = self.shared.client.clone();
                    self.tasks.spawn(async move {
                        let result = new_producer_id(&client).await;
                        Done::Numbered { queue, result: result.map(|(id, epoch)| Numbering::new(id, epoch)) }
                    });
                }
                Taken::Nothing => {}
            }
        }
        batches
    }

    fn send(&mut self, node_id: i32, connection: &Arc<Connection>, batches: Vec<SentBatch>, now: Instant) {
        let version = connection.version_of::<ProduceRequest>().map(|version| {
            let all_have_ids = batches.iter().all(|sent| !sent.topic_id.is_zero());
            if all_have_ids { version } else { version.min(FIRST_VERSION_WITH_IDS - 1) }
        });
        let acks = self.shared.config.acks;
        let request = super::answer::request(&batches, acks, self.shared.client.config().request_timeout);
        let started = match (version, acks) {
            (Ok(version), Acks::None) => {
                if let Err(error) = connection.send_unanswered(&request, version) {
                    self.on_failed_request(batches, &error, now);
                } else {
                    self.on_unanswered(batches);
                }
                return;
            }
            (Ok(version), _) => connection.begin(&request, version, Duration::ZERO),
            (Err(error), _) => Err(error),
        };
        match started {
            Ok(in_flight) => {
                if let Some(lane) = self.lanes.get_mut(&node_id) {
                    lane.in_flight += 1;
                }
                let connection = Arc::clone(connection);
                self.tasks.spawn(async move {
                    let response = connection.finish::<ProduceRequest>(in_flight).await;
                    if let Ok(response) = &response
                        && let Ok(wait_ms @ 1..) = u64::try_from(response.throttle_time_ms)
                    {
                        // KIP-219: the broker counts on the client to keep away.
                        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    }
                    Done::Answered { node_id, answered: super::answer::settle(batches, response) }
                });
            }
            Err(error) => self.on_failed_request(batches, &error, now),
        }
    }
}
