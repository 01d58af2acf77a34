//! What both kinds of members have in common: the application's side of a rebalance.
//!
//! A member is a task. It alone talks to the coordinator about membership, and tells the application's
//! [`GroupConsumer`](super::GroupConsumer) of changes in their order through a channel. Work that takes time (waiting for
//! the application to let go, looking up offsets) goes on beside heartbeats, never instead of them.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::config::GroupConfig;
use super::coordinator::Coordinator;
use super::offsets::Identity;
use super::pattern::Pattern;
use super::shared::{Positions, Shared};
use crate::client::cluster::Client;
use crate::client::consumer::{StartPosition, TopicPartition};
use crate::client::error::Error;
use crate::wire::ErrorCode;

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
