//! A member of a group.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::subscription::Subscription;
use super::{ConsumerSettings, Partitions};
use crate::engine::api::consumer_group::{LEAVES_FOR_A_WHILE, TopicPartitions};
use crate::engine::api::group::Client;
use crate::types::{TopicId, TopicPartition};

/// A member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) instance: Option<Arc<str>>,
    pub(super) rack: Option<Arc<str>>,
    pub(super) client: Client,
    pub(super) rebalance_timeout: Duration,
    pub(super) subscription: Arc<Subscription>,
    /// The assignor it asks for.
    pub(super) assignor: Option<Arc<str>>,
    /// Set for one that speaks the classic protocol.
    pub(super) classic: Option<Classic>,
    /// The group's epoch that it has come to; [`LEAVES_FOR_A_WHILE`] of a static member that has left to come back.
    pub(super) epoch: i32,
    /// The one before, which it may still believe in if the last answer was lost.
    pub(super) previous_epoch: i32,
    pub(super) state: State,
    /// What it may read.
    pub(super) assigned: Partitions,
    /// What it was told to stop reading, until it has.
    pub(super) revoking: Partitions,
    /// What it is to read in the group's assignment epoch.
    pub(super) target: Partitions,
    /// Without a heartbeat until then it is taken out.
    pub(super) session_deadline: Duration,
    /// What it gives up it has to give up by then.
    pub(super) rebalance_deadline: Option<Duration>,
}

/// What a member of the classic protocol is besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Classic {
    pub(super) session_timeout: Duration,
    /// What it can do, with its bytes for each.
    pub(super) protocols: Vec<(Arc<str>, Bytes)>,
}

/// How far a member is on its way to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// There, as of its epoch.
    Stable,
    /// It has to give something up first.
    Revoking,
    /// Some of its target is still another's.
    Waiting,
}

// === impl Member ===

impl Member {
    /// One that has just come.
    pub(super) fn new(client: Client, subscription: Arc<Subscription>) -> Self {
        Self {
            instance: None,
            rack: None,
            client,
            rebalance_timeout: Duration::ZERO,
            subscription,
            assignor: None,
            classic: None,
            epoch: 0,
            previous_epoch: 0,
            state: State::Stable,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
            target: Partitions::new(),
            session_deadline: Duration::ZERO,
            rebalance_deadline: None,
        }
    }

    pub(super) fn set_epoch(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    /// Whether it has left to come back.
    pub(super) fn is_away(&self) -> bool {
        self.epoch == LEAVES_FOR_A_WHILE
    }

    pub(super) fn session_timeout(&self, settings: &ConsumerSettings) -> Duration {
        self.classic.as_ref().map_or(settings.session_timeout, |classic| classic.session_timeout)
    }

    /// Whether it has come to its target of that epoch.
    pub(super) fn is_settled(&self, assignment_epoch: i32) -> bool {
        self.state == State::Stable && self.epoch == assignment_epoch
    }
}

/// Partitions as they are told.
pub(super) fn by_topic(partitions: &Partitions) -> TopicPartitions {
    let mut topics: TopicPartitions = Vec::new();
    for part in partitions {
        match topics.last_mut() {
            Some((topic, indexes)) if *topic == part.topic => indexes.push(part.partition),
            _ => topics.push((part.topic, vec![part.partition])),
        }
    }
    topics
}

/// Partitions as they were told.
pub(super) fn flat<'a>(topics: impl IntoIterator<Item = (TopicId, &'a [i32])>) -> Partitions {
    let parts = topics.into_iter().flat_map(|(topic, indexes)| {
        indexes.iter().map(move |&partition| TopicPartition { topic, partition })
    });
    parts.collect()
}
