//! What the application's side and the member's task share: as whom to commit, how far was committed, where partitions
//! begin.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::activity::Activity;
use super::config::{GroupConfig, GroupProtocol};
use super::coordinator::Coordinator;
use super::offsets::{self, CommittedOffset, Identity};
use crate::client::admin::OffsetSpec;
use crate::client::admin::offsets::list_offsets;
use crate::client::consumer::{OutOfRange, StartPosition, TopicPartition};
use crate::client::error::Error;
use crate::client::retry::Attempts;
use crate::types::Isolation;
use crate::wire::ErrorCode;

/// Positions to be committed.
pub(super) type Positions = Vec<(TopicPartition, CommittedOffset)>;

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
