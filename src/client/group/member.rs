//! What both kinds of members have in common: the application's side of a rebalance, and where partitions begin.
//!
//! A member is a task. It alone talks to the coordinator about membership, and tells the application's
//! [`GroupConsumer`](super::GroupConsumer) of changes in their order through a channel. Work that takes time (waiting for
//! the application to let go, looking up offsets) goes on beside heartbeats, never instead of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::activity::Activity;
use super::config::{GroupConfig, GroupProtocol};
use super::coordinator::Coordinator;
use super::offsets::{self, CommittedOffset, Identity};
use super::pattern::Pattern;
use crate::client::admin::OffsetSpec;
use crate::client::admin::offsets::list_offsets;
use crate::client::cluster::Client;
use crate::client::consumer::{OutOfRange, StartPosition, TopicPartition};
use crate::client::error::Error;
use crate::client::retry::Attempts;
use crate::types::Isolation;
use crate::wire::ErrorCode;

/// Positions to be committed.
pub(super) type Positions = Vec<(TopicPartition, CommittedOffset)>;

/// What the application is to learn, in this order.
#[derive(Debug)]
pub(super) enum Change {
    /// These are to be read from here on.
    Assign(Vec<StartPosition>),
    /// These go to others once `let_go` has the positions up to which they were read.
    Revoke { keys: Vec<TopicPartition>, let_go: oneshot::Sender<Positions> },
    /// These are gone; others may read them already.
    Lose(Vec<TopicPartition>),
    /// The member cannot go on.
    Failed(Error),
}

/// The end of a member.
#[derive(Debug)]
pub(super) struct Closing {
    /// To be committed before the member leaves.
    pub(super) positions: Positions,
    pub(super) done: oneshot::Sender<Result<(), Error>>,
}

/// What a group is to be subscribed to.
#[derive(Debug, Clone)]
pub(super) enum Interest {
    Topics(Vec<String>),
    Pattern(Pattern),
}

/// What the application's side, the member's task and commits in the background share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: GroupConfig,
    /// For offsets: never behind a request that the coordinator holds back.
    pub(super) coordinator: Coordinator,
    pub(super) standing: Mutex<Standing>,
    pub(super) activity: Activity,
    /// What was committed last, so that a position is committed once only.
    pub(super) committed: Mutex<HashMap<TopicPartition, i64>>,
}

/// As whom the member may commit.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) identity: Identity,
    /// How often it has lost everything: an application that has not heard of the last time must not commit.
    pub(super) losses: u64,
}

/// Why a member cannot simply go on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The group divides its partitions anew.
    Rejoin,
    /// The coordinator has taken the member out of the group.
    Lost(Error),
    /// The application does not ask for records any more.
    Overdue,
    /// It may pass.
    Retry(Error),
    /// It does not pass.
    Fatal(Error),
}

/// One member.
pub(super) struct Member {
    pub(super) shared: Arc<Shared>,
    /// For membership, on connections of its own: the coordinator holds a join back until the others have come.
    pub(super) coordinator: Coordinator,
    pub(super) changes: mpsc::UnboundedSender<Change>,
    pub(super) interest: watch::Receiver<Option<Interest>>,
    pub(super) owned: BTreeSet<TopicPartition>,
    pub(super) next_heartbeat: Instant,
    failures: u32,
}

// === impl Member ===

impl Member {
    pub(super) fn new(
        shared: Arc<Shared>,
        changes: mpsc::UnboundedSender<Change>,
        interest: watch::Receiver<Option<Interest>>,
    ) -> Self {
        let client = shared.coordinator.client().with_own_connections();
        Self {
            coordinator: Coordinator::new(&client, &shared.config.group_id),
            shared,
            changes,
            interest,
            owned: BTreeSet::new(),
            next_heartbeat: Instant::now(),
            failures: 0,
        }
    }

    pub(super) fn client(&self) -> &Client {
        self.shared.coordinator.client()
    }

    pub(super) fn config(&self) -> &GroupConfig {
        &self.shared.config
    }

    pub(super) fn send(&self, change: Change) {
        let _nobody_asks_if_this_fails = self.changes.send(change);
    }

    /// What to subscribe to, once the application has said so. Later changes show as changes of the channel.
    pub(super) async fn interest(&mut self) -> Interest {
        let interest =
            self.interest.wait_for(Option::is_some).await.ok().and_then(|interest| interest.clone());
        match interest {
            Some(interest) => interest,
            // The application has gone, and this task is about to end.
            None => std::future::pending().await,
        }
    }

    /// Waits until the application wants something else.
    pub(super) async fn interest_changed(&mut self) {
        if self.interest.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn set_identity(&self, member_id: &str, generation: i32) {
        let instance_id = self.config().group_instance_id.clone();
        let identity = Identity { member_id: member_id.to_owned(), generation, instance_id };
        self.shared.standing.lock().identity = identity;
    }

    /// Gives partitions to the application.
    pub(super) fn assign(&mut self, starts: Vec<StartPosition>) {
        self.owned.extend(starts.iter().map(|start| start.key.clone()));
        if !starts.is_empty() {
            self.send(Change::Assign(starts));
        }
    }

    /// Takes everything from the application at once: the coordinator has given it away already.
    pub(super) fn lose_all(&mut self) {
        let owned: Vec<TopicPartition> = std::mem::take(&mut self.owned).into_iter().collect();
        let mut standing = self.shared.standing.lock();
        standing.identity = Identity::NOBODY;
        if owned.is_empty() {
            return;
        }
        standing.losses += 1;
        drop(standing);
        self.send(Change::Lose(owned));
    }

    /// Waits until the application has let go of `keys`, and commits how far it came if that is the member's to do.
    pub(super) fn let_go(&self, keys: Vec<TopicPartition>) -> impl Future<Output = ()> + use<> {
        let (let_go, positions) = oneshot::channel();
        self.send(Change::Revoke { keys, let_go });
        let shared = Arc::clone(&self.shared);
        async move {
            // Without an application nobody reads them.
            let positions = positions.await.unwrap_or_default();
            if shared.config.auto_commit.is_some()
                && let Err(error) = shared.commit_in_time(&positions).await
            {
                let group = shared.config.group_id.as_str();
                tracing::warn!(group, %error, "cannot commit offsets of partitions that go to other members");
            }
        }
    }

    /// A word on the trouble, and a rest that grows with each failure in a row.
    pub(super) async fn rest(&mut self, error: &Error) {
        self.failures += 1;
        tracing::debug!(group = self.config().group_id, %error, "trying again to be a member");
        tokio::time::sleep(self.client().config().retry.next_wait(self.failures)).await;
    }

    pub(super) fn on_success(&mut self) {
        self.failures = 0;
    }

    /// When to try again after a heartbeat that came to nothing.
    pub(super) fn on_missed_heartbeat(&mut self, error: &Error) {
        self.failures += 1;
        tracing::debug!(group = self.config().group_id, %error, "a heartbeat failed");
        self.next_heartbeat = Instant::now() + self.client().config().retry.next_wait(self.failures);
    }

    pub(super) fn check_activity(&self) -> Result<(), Trouble> {
        if self.shared.activity.is_overdue(self.config().max_poll_interval) {
            Err(Trouble::Overdue)
        } else {
            Ok(())
        }
    }

    /// Waits until the application asks again, after it was overdue.
    pub(super) async fn wait_for_application(&self) {
        tracing::warn!(
            group = self.config().group_id,
            limit = ?self.config().max_poll_interval,
            "left the group: the application has not asked for records in time"
        );
        self.shared.activity.wait_until_asked(self.config().max_poll_interval).await;
    }
}

// === impl Shared ===

impl Shared {
    /// Where the group is to begin in each of `keys`: at its committed offset, else as the configuration says.
    /// Partitions that do not exist any more are left out.
    ///
    /// Tries until it succeeds or an error will not pass; who waits for it looks after the member meanwhile.
    pub(super) async fn start_positions(&self, keys: &[TopicPartition]) -> Result<Vec<StartPosition>, Error> {
        let mut attempts = 0;
        loop {
            match self.try_start_positions(keys).await {
                Err(error) if error.is_retriable() || is_about_membership(&error) => {
                    tracing::debug!(group = self.config.group_id, %error, "cannot look up where to begin");
                    attempts += 1;
                    let retry = self.coordinator.client().config().retry;
                    tokio::time::sleep(retry.next_wait(attempts)).await;
                }
                other => return other,
            }
        }
    }

    async fn try_start_positions(&self, keys: &[TopicPartition]) -> Result<Vec<StartPosition>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let identity = match self.config.protocol {
            // Only the consumer protocol fences those who fetch.
            GroupProtocol::Classic => Identity::NOBODY,
            GroupProtocol::Consumer => self.standing.lock().identity.clone(),
        };
        let isolation = self.config.consumer.isolation;
        let require_stable = isolation == Isolation::ReadCommitted;
        let committed = offsets::fetch(&self.coordinator, &identity, Some(keys), require_stable).await?;
        let mut starts: Vec<StartPosition> = committed
            .into_iter()
            .map(|(key, found)| StartPosition { key, offset: found.offset, leader_epoch: found.leader_epoch })
            .collect();
        let known: HashSet<&TopicPartition> = starts.iter().map(|start| &start.key).collect();
        let open: Vec<&TopicPartition> = keys.iter().filter(|key| !known.contains(key)).collect();
        let spec = match (self.config.consumer.out_of_range, open.first()) {
            (OutOfRange::Error, Some((topic, partition))) => {
                return Err(Error::NoCommittedOffset {
                    group: self.config.group_id.clone(),
                    topic: topic.to_string(),
                    partition: *partition,
                });
            }
            (OutOfRange::End, _) => OffsetSpec::Latest,
            _ => OffsetSpec::Earliest,
        };
        let queries: Vec<_> =
            open.into_iter().map(|(topic, partition)| (Arc::clone(topic), *partition, spec)).collect();
        let listed = list_offsets(self.coordinator.client(), &queries, isolation).await;
        for ((topic, partition, _), listed) in queries.into_iter().zip(listed) {
            match listed {
                Ok(listed) => starts.push(StartPosition {
                    key: (topic, partition),
                    offset: listed.offset.unwrap_or_default(),
                    leader_epoch: None,
                }),
                Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                    tracing::debug!(%topic, partition, "assigned, but gone");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(starts)
    }

    /// Commits in the name of the member, trying again until the API timeout while that may help.
    pub(super) async fn commit_in_time(&self, positions: &Positions) -> Result<(), Error> {
        let losses = self.standing.lock().losses;
        self.commit_while(positions, losses).await
    }

    /// As [`commit_in_time`](Self::commit_in_time), unless the member has lost its partitions more than `losses` times.
    pub(super) async fn commit_while(&self, positions: &Positions, losses: u64) -> Result<(), Error> {
        let client_config = self.coordinator.client().config();
        let after = client_config.api_timeout;
        let mut attempts = Attempts::within(client_config.retry, after);
        loop {
            let attempt = self.commit_once(positions, losses);
            let error = match tokio::time::timeout_at(attempts.deadline(), attempt).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => {
                    let what = format!("committing offsets of group {}", self.config.group_id);
                    return Err(Error::Timeout { what, after, last: None });
                }
            };
            // A rebalance ends; a new generation or epoch may be on its way to this member already. When the group has
            // gone on without it instead, the next heartbeat says so, and the commit fails for that.
            let may_pass = error.may_pass() || is_out_of_date(&error);
            if !may_pass || !attempts.wait().await {
                return Err(error);
            }
        }
    }

    /// Commits once, as whoever the member is now. Positions that were committed already are left out.
    pub(super) async fn commit_once(&self, positions: &Positions, losses: u64) -> Result<(), Error> {
        let fresh: Positions = {
            let committed = self.committed.lock();
            let is_fresh = |(key, position): &&(TopicPartition, CommittedOffset)| {
                committed.get(key) != Some(&position.offset) || !position.metadata.is_empty()
            };
            positions.iter().filter(is_fresh).cloned().collect()
        };
        if fresh.is_empty() {
            return Ok(());
        }
        let standing = self.standing.lock().clone();
        // Without a member id the commit would count as an administrator's, whom nothing fences.
        if standing.losses != losses || standing.identity.member_id.is_empty() {
            let context = format!("committing offsets of group {}", self.config.group_id);
            return Err(Error::broker(context, ErrorCode::UNKNOWN_MEMBER_ID, None));
        }
        let answers = offsets::commit(&self.coordinator, &standing.identity, &fresh).await?;
        let mut first = Ok(());
        let mut committed = self.committed.lock();
        for ((key, position), answer) in fresh.into_iter().zip(answers) {
            match answer {
                Ok(()) => {
                    committed.insert(key, position.offset);
                }
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }
}

// === impl Trouble ===

impl Trouble {
    /// What a failed call means.
    pub(super) fn of(error: Error) -> Self {
        let Some(code) = error.code() else {
            return if error.is_retriable() { Self::Retry(error) } else { Self::Fatal(error) };
        };
        match code {
            ErrorCode::REBALANCE_IN_PROGRESS => Self::Rejoin,
            ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::FENCED_MEMBER_EPOCH
            | ErrorCode::STALE_MEMBER_EPOCH => Self::Lost(error),
            // The broker's own trouble: the group cannot go on, yet another attempt may find it well.
            ErrorCode::UNKNOWN_SERVER_ERROR => Self::Retry(error),
            _ if error.is_retriable() => Self::Retry(error),
            _ => Self::Fatal(error),
        }
    }
}

/// Whether a commit was refused since the group is between two generations or epochs.
pub(super) fn is_out_of_date(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::ILLEGAL_GENERATION | ErrorCode::STALE_MEMBER_EPOCH
        )
    )
}

/// Whether an error says that the member is not up to date: the next heartbeat tells how to go on.
fn is_about_membership(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::STALE_MEMBER_EPOCH
                | ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::FENCED_MEMBER_EPOCH
                | ErrorCode::REBALANCE_IN_PROGRESS
        )
    )
}
