//! Consumers that share topics as a group: each partition is read by one member, and when members come and go the others
//! take over where the group's committed offsets say.
//!
//! [`GroupConsumer`] is the application's side. Behind it a task is the member: [`classic`] or [`reconcile`], one for each
//! of Kafka's two protocols, run by [`membership`] on what [`member`] has for both. The task speaks with the coordinator; the application's side
//! only ever changes what it reads when it is asked for more, so that nothing happens behind the application's back.
//!
//! What always holds: a record is handed out only while its partition is this member's, as far as the member can know; a
//! partition is given up only after the application has been told and has come back; positions are committed only in the
//! name of the membership under which they were read; heartbeats go on whatever the application or the offsets wait for,
//! unless the application stays away for longer than `max_poll_interval`.

pub(crate) mod coordinator;
pub(crate) mod embedded;
pub(crate) mod offsets;

mod activity;
mod assign;
pub(crate) mod classic;
mod config;
mod member;
mod membership;
mod pattern;
mod reconcile;
mod shared;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::config::{Assignor, GroupConfig, GroupProtocol};
pub use self::offsets::CommittedOffset;

use self::activity::Activity;
use self::classic::ClassicMember;
use self::coordinator::Coordinator;
use self::member::{Change, Closing, Interest, Member};
use self::offsets::Identity;
use self::pattern::Pattern;
use self::reconcile::ReconcilingMember;
use self::shared::{Positions, Shared, Standing, is_out_of_date};
use super::cluster::Client;
use super::consumer::{ConsumedRecord, Consumer, StartAt, TopicPartition};
use super::error::Error;
use crate::wire::ErrorCode;

/// What [`GroupConsumer::next`] brings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupEvent {
    /// Records, all of one partition, in the order of their offsets.
    Records(Vec<ConsumedRecord>),
    /// These partitions are this member's now. Each is read from the group's committed offset.
    Assigned(Vec<TopicPartition>),
    /// These partitions go to other members as soon as [`next`](GroupConsumer::next) is called again: now is the time to
    /// finish and to commit what was read of them.
    Revoking(Vec<TopicPartition>),
    /// These partitions are gone; other members may read them already, from the last commit on.
    Lost(Vec<TopicPartition>),
}

/// A member of a group.
///
/// Positions are committed on their own, unless the configuration says otherwise: what [`next`](Self::next) returned
/// counts as done when it is called again. So a record is read once more, rather than never, after a crash.
///
/// ```no_run
/// use std::time::Duration;
///
/// use millrace::client::{Client, ClientConfig, GroupConfig, GroupConsumer};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect(ClientConfig::new("127.0.0.1:9092")?).await?;
/// let mut consumer = GroupConsumer::new(&client, GroupConfig::new("billing"));
/// consumer.subscribe(&["orders"]);
/// for _ in 0..100 {
///     for record in consumer.poll(Duration::from_secs(1)).await? {
///         println!("{}-{} {} {:?}", record.topic, record.partition, record.offset, record.value);
///     }
/// }
/// consumer.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// Dropped without [`close`](Self::close) it commits nothing more and does not leave the group: its partitions go to
/// others when its session ends.
#[derive(Debug)]
pub struct GroupConsumer {
    shared: Arc<Shared>,
    consumer: Consumer,
    changes: mpsc::UnboundedReceiver<Change>,
    interest: watch::Sender<Option<Interest>>,
    /// What the application was told to finish with, until it comes back.
    revoking: Option<(Vec<TopicPartition>, oneshot::Sender<Positions>)>,
    /// The losses that the application knows of; see [`Standing`].
    losses: u64,
    next_commit: Instant,
    commit: Option<JoinHandle<()>>,
    failed: Option<Error>,
    closing: oneshot::Sender<Closing>,
}

// === impl GroupConsumer ===

impl GroupConsumer {
    /// A member that subscribes to nothing yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(client: &Client, config: GroupConfig) -> Self {
        let consumer = Consumer::new(client, config.consumer.clone());
        let (sender, changes) = mpsc::unbounded_channel();
        let (interest, interests) = watch::channel(None);
        let (closing, closed) = oneshot::channel();
        let protocol = config.protocol;
        let shared = Arc::new(Shared {
            coordinator: Coordinator::new(client, &config.group_id),
            config,
            standing: Mutex::new(Standing { identity: Identity::NOBODY, losses: 0 }),
            activity: Activity::new(),
            committed: Mutex::default(),
        });
        let member = Member::new(Arc::clone(&shared), sender, interests);
        match protocol {
            GroupProtocol::Classic => tokio::spawn(membership::run(ClassicMember::new(member), closed)),
            GroupProtocol::Consumer => tokio::spawn(membership::run(ReconcilingMember::new(member), closed)),
        };
        Self {
            next_commit: Instant::now(),
            shared,
            consumer,
            changes,
            interest,
            revoking: None,
            losses: 0,
            commit: None,
            failed: None,
            closing,
        }
    }

    /// Reads these topics, and no others. One that does not exist yet is read once it does.
    pub fn subscribe<T: AsRef<str>>(&mut self, topics: &[T]) {
        let mut names: Vec<String> = topics.iter().map(|topic| topic.as_ref().to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        self.interest.send_replace(Some(Interest::Topics(names)));
    }

    /// Reads all topics whose whole name matches a regular expression, those to come included. In the consumer protocol
    /// the broker looks for them, in the classic one this client does, as often as it refreshes its metadata.
    ///
    /// # Errors
    /// When the client has to look for them and `pattern` is no regular expression.
    pub fn subscribe_pattern(&mut self, pattern: &str) -> Result<(), Error> {
        let pattern = match self.shared.config.protocol {
            GroupProtocol::Classic => Pattern::compile(pattern).map_err(Error::Invalid)?,
            GroupProtocol::Consumer => Pattern::of_broker(pattern),
        };
        self.interest.send_replace(Some(Interest::Pattern(pattern)));
        Ok(())
    }

    /// The next records or the next change of what this member reads; `None` when neither comes within `max_wait`.
    ///
    /// It may be dropped at any time: nothing is lost by that.
    ///
    /// # Errors
    /// What [`Consumer::poll`] reports of one partition, and what the member cannot go on after: then every call fails.
    pub async fn next(&mut self, max_wait: Duration) -> Result<Option<GroupEvent>, Error> {
        let shared = Arc::clone(&self.shared);
        let _asking = shared.activity.begin();
        let deadline = Instant::now() + max_wait;
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.let_go();
        loop {
            if let Ok(change) = self.changes.try_recv() {
                return self.on_change(change).map(Some);
            }
            self.commit_if_due();
            let left = deadline.saturating_duration_since(Instant::now());
            let until_commit = match self.shared.config.auto_commit {
                Some(_) => self.next_commit.saturating_duration_since(Instant::now()),
                None => left,
            };
            tokio::select! {
                biased;
                change = self.changes.recv() => {
                    let change = change.ok_or(Error::Closed)?;
                    return self.on_change(change).map(Some);
                }
                records = self.consumer.poll(left.min(until_commit)) => {
                    let records = records?;
                    if !records.is_empty() {
                        return Ok(Some(GroupEvent::Records(records)));
                    }
                }
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// The next records, as [`next`](Self::next), for applications that need not know of rebalances.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Vec<ConsumedRecord>, Error> {
        let deadline = Instant::now() + max_wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next(left).await? {
                Some(GroupEvent::Records(records)) => return Ok(records),
                Some(_) => {}
                None => return Ok(Vec::new()),
            }
        }
    }

    /// Commits the positions of all partitions of this member: all that was handed out counts as done. Waits, also for a
    /// rebalance to end, until the coordinator has them.
    ///
    /// # Errors
    /// When the member is out of the group, or the coordinator does not take them within the API timeout.
    pub async fn commit(&self) -> Result<(), Error> {
        self.shared.commit_while(&self.positions(), self.losses).await
    }

    /// Commits given offsets of partitions of this member; each is that of the next record to read.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and when a partition is not this member's.
    pub async fn commit_offsets(&self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), Error> {
        for ((topic, partition), _) in offsets {
            if self.position(topic, *partition).is_none() {
                let context = format!("committing an offset of {topic}-{partition}");
                let message = Some("the partition is not this member's".to_owned());
                return Err(Error::broker(context, ErrorCode::UNKNOWN_MEMBER_ID, message));
            }
        }
        self.shared.commit_while(&offsets.to_vec(), self.losses).await
    }

    /// As [`commit`](Self::commit), without waiting and without a second attempt. A failure is a line in the log; the next
    /// commit makes up for it.
    pub fn commit_in_background(&mut self) {
        let (shared, positions, losses) = (Arc::clone(&self.shared), self.positions(), self.losses);
        let before = self.commit.take();
        self.commit = Some(tokio::spawn(async move {
            // In their order, so that a committed offset never goes back.
            if let Some(before) = before {
                let _failed_or_not = before.await;
            }
            match shared.commit_once(&positions, losses).await {
                Err(error) if is_out_of_date(&error) => {
                    tracing::debug!(group = shared.config.group_id, %error, "committing later");
                }
                Err(error) => tracing::warn!(group = shared.config.group_id, %error, "cannot commit offsets"),
                Ok(()) => {}
            }
        }));
    }

    /// What the group has committed for partitions; those without a committed offset are left out.
    ///
    /// # Errors
    /// When the coordinator does not answer within the API timeout.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, CommittedOffset>, Error> {
        let coordinator = &self.shared.coordinator;
        let what = || format!("fetching the committed offsets of group {}", self.shared.config.group_id);
        let nobody = Identity::NOBODY;
        let attempt = || offsets::fetch(coordinator, &nobody, Some(partitions), false);
        Ok(coordinator.client().retrying(what, attempt).await?.into_iter().collect())
    }

    /// The partitions of this member, sorted.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        let mut assigned = self.consumer.assigned();
        assigned.sort_unstable();
        assigned
    }

    /// The offset of the next record of a partition; `None` when it is not this member's.
    #[must_use]
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.consumer.position(topic, partition)
    }

    /// Goes on at another place in a partition of this member; the next commit commits that place.
    ///
    /// # Errors
    /// When the partition is not this member's, or the offset cannot be looked up.
    pub async fn seek(&mut self, topic: &str, partition: i32, start: StartAt) -> Result<(), Error> {
        if self.position(topic, partition).is_none() {
            return Err(Error::Invalid(format!("{topic}-{partition} is not a partition of this member")));
        }
        self.consumer.seek(topic, partition, start).await
    }

    /// This member's id and its generation or, in the consumer protocol, its epoch; `None` while it is not in the group.
    #[must_use]
    pub fn membership(&self) -> Option<(String, i32)> {
        let standing = self.shared.standing.lock();
        let identity = &standing.identity;
        (!identity.member_id.is_empty()).then(|| (identity.member_id.clone(), identity.generation))
    }

    /// Commits positions, when that happens on its own, and leaves the group.
    ///
    /// # Errors
    /// Those of the commit; the member has left in any case.
    pub async fn close(mut self) -> Result<(), Error> {
        if let Some(commit) = self.commit.take() {
            let _failed_or_not = commit.await;
        }
        let has_heard_all = self.shared.standing.lock().losses == self.losses;
        let positions = match self.shared.config.auto_commit {
            Some(_) if has_heard_all => self.positions(),
            _ => Positions::new(),
        };
        let (done, closed) = oneshot::channel();
        if self.closing.send(Closing { positions, done }).is_err() {
            return Err(Error::Closed);
        }
        closed.await.unwrap_or(Err(Error::Closed))
    }

    fn on_change(&mut self, change: Change) -> Result<GroupEvent, Error> {
        match change {
            Change::Assign(starts) => {
                let keys: Vec<TopicPartition> = starts.iter().map(|start| start.key.clone()).collect();
                let mut committed = self.shared.committed.lock();
                // What others have committed meanwhile is not known here.
                keys.iter().for_each(|key| {
                    committed.remove(key);
                });
                drop(committed);
                self.consumer.assign_at(starts);
                Ok(GroupEvent::Assigned(keys))
            }
            Change::Revoke { keys, let_go } => {
                self.revoking = Some((keys.clone(), let_go));
                Ok(GroupEvent::Revoking(keys))
            }
            Change::Lose(keys) => {
                self.losses += 1;
                keys.iter().for_each(|(topic, partition)| self.consumer.unassign(topic, *partition));
                Ok(GroupEvent::Lost(keys))
            }
            Change::Failed(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Gives up what the application was told to finish with: it has come back.
    fn let_go(&mut self) {
        let Some((keys, let_go)) = self.revoking.take() else { return };
        let positions = self.positions_of(&keys);
        keys.iter().for_each(|(topic, partition)| self.consumer.unassign(topic, *partition));
        let _member_has_lost_them_already = let_go.send(positions);
    }

    fn commit_if_due(&mut self) {
        let Some(interval) = self.shared.config.auto_commit else { return };
        let now = Instant::now();
        if now < self.next_commit {
            return;
        }
        self.next_commit = now + interval;
        // One that takes longer than the interval is not overtaken.
        if self.commit.as_ref().is_none_or(JoinHandle::is_finished) {
            self.commit_in_background();
        }
    }

    fn positions(&self) -> Positions {
        self.positions_of(&self.consumer.assigned())
    }

    fn positions_of(&self, keys: &[TopicPartition]) -> Positions {
        let position = |key: &TopicPartition| {
            let (offset, leader_epoch) = self.consumer.position_of(key)?;
            Some((key.clone(), CommittedOffset { offset, leader_epoch, metadata: String::new() }))
        };
        keys.iter().filter_map(position).collect()
    }
}
