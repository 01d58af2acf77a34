//! What is kept of a group: records, each the whole value of its key, of which the last one counts.
//!
//! A member is kept in three parts, since they change apart: what it says of itself, where it stands, its target.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::member::{Classic, Member, State, by_topic, flat};
use super::subscription::Subscription;
use super::{ConsumerGroup, Partitions};
use crate::engine::api::group::Client;
use crate::types::TopicId;

/// One thing kept. The order of the variants, and of the fields in them, is the format: new ones go last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ConsumerRecord {
    /// The group; None when it is gone, with all its members.
    Group(Option<GroupState>),
    /// What a member says of itself; None when it is gone, with all else of it.
    Member { member: String, state: Option<MemberState> },
    /// What a member is to read.
    Target { member: String, partitions: Parts },
    /// Where a member stands.
    Current { member: String, state: CurrentState },
}

/// Partitions by topic.
pub(crate) type Parts = Vec<([u8; 16], Vec<i32>)>;

/// A group as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupState {
    pub(super) epoch: i32,
    pub(super) assignment_epoch: i32,
    pub(super) topics_hash: u64,
    pub(super) empty_since_ms: Option<i64>,
}

/// What a member says of itself, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberState {
    instance: Option<String>,
    rack: Option<String>,
    client_id: String,
    client_host: String,
    rebalance_timeout_ms: u64,
    topics: Vec<String>,
    pattern: Option<String>,
    assignor: Option<String>,
    classic: Option<ClassicState>,
}

/// What a member of the classic protocol is besides, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClassicState {
    session_timeout_ms: u64,
    protocols: Vec<(String, Vec<u8>)>,
}

/// Where a member stands, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CurrentState {
    epoch: i32,
    pub(super) previous_epoch: i32,
    step: StepState,
    assigned: Parts,
    revoking: Parts,
}

/// [`State`] as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StepState {
    Stable,
    Revoking,
    Waiting,
}

// === impl ConsumerRecord ===

impl ConsumerRecord {
    pub(super) fn member(id: &str, member: &Member) -> Self {
        Self::Member { member: id.to_owned(), state: Some(member.clone_told()) }
    }

    pub(super) fn target(id: &str, target: &Partitions) -> Self {
        Self::Target { member: id.to_owned(), partitions: parts(target) }
    }

    pub(super) fn current(id: &str, member: &Member) -> Self {
        let step = match member.state {
            State::Stable => StepState::Stable,
            State::Revoking => StepState::Revoking,
            State::Waiting => StepState::Waiting,
        };
        let state = CurrentState {
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            step,
            assigned: parts(&member.assigned),
            revoking: parts(&member.revoking),
        };
        Self::Current { member: id.to_owned(), state }
    }
}

// === impl ConsumerGroup ===

impl ConsumerGroup {
    pub(super) fn group_record(&self) -> ConsumerRecord {
        ConsumerRecord::Group(Some(GroupState {
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            topics_hash: self.topics_hash,
            empty_since_ms: self.empty_since_ms,
        }))
    }

    /// All that has to be kept of the group.
    pub(crate) fn to_records(&self) -> Vec<ConsumerRecord> {
        let mut records = Vec::with_capacity(3 * self.members.len() + 1);
        for (id, member) in &self.members {
            records.push(ConsumerRecord::member(id, member));
            records.push(ConsumerRecord::target(id, &member.target));
            records.push(ConsumerRecord::current(id, member));
        }
        // Last, so that what a crash cuts short is not taken for the assignment of this epoch.
        records.push(self.group_record());
        records
    }
}

// === impl Member ===

impl Member {
    /// What it says of itself, as it is kept.
    pub(super) fn clone_told(&self) -> MemberState {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        MemberState {
            instance: text(&self.instance),
            rack: text(&self.rack),
            client_id: self.client.id.to_string(),
            client_host: self.client.host.to_string(),
            rebalance_timeout_ms: millis(self.rebalance_timeout),
            topics: self.subscription.names.iter().map(|name| name.to_string()).collect(),
            pattern: text(&self.subscription.pattern),
            assignor: text(&self.assignor),
            classic: self.classic.as_ref().map(|classic| ClassicState {
                session_timeout_ms: millis(classic.session_timeout),
                protocols: classic
                    .protocols
                    .iter()
                    .map(|(name, bytes)| (name.to_string(), bytes.to_vec()))
                    .collect(),
            }),
        }
    }

    /// Takes in what it said of itself, but for its subscription.
    pub(super) fn set_told(&mut self, state: MemberState) {
        let text = |text: Option<String>| text.map(Arc::from);
        self.instance = text(state.instance);
        self.rack = text(state.rack);
        self.client = Client { id: state.client_id.into(), host: state.client_host.into() };
        self.rebalance_timeout = Duration::from_millis(state.rebalance_timeout_ms);
        self.assignor = text(state.assignor);
        self.classic = state.classic.map(|classic| Classic {
            session_timeout: Duration::from_millis(classic.session_timeout_ms),
            protocols: classic
                .protocols
                .into_iter()
                .map(|(name, bytes)| (name.into(), bytes.into()))
                .collect(),
        });
    }

    /// Takes in where it stood.
    pub(super) fn set_current(&mut self, state: &CurrentState) {
        self.epoch = state.epoch;
        self.previous_epoch = state.previous_epoch;
        self.state = match state.step {
            StepState::Stable => State::Stable,
            StepState::Revoking => State::Revoking,
            StepState::Waiting => State::Waiting,
        };
    }
}

// === impl MemberState ===

impl MemberState {
    pub(super) fn subscription(&self) -> Subscription {
        let names = self.topics.iter().map(|name| Arc::from(name.as_str()));
        Subscription::new(names, self.pattern.as_deref().map(Arc::from))
    }
}

// === impl CurrentState ===

impl CurrentState {
    /// What it may read, and what it has to give up.
    pub(super) fn owned(&self) -> (Partitions, Partitions) {
        (partitions(&self.assigned), partitions(&self.revoking))
    }
}

fn parts(partitions: &Partitions) -> Parts {
    by_topic(partitions).into_iter().map(|(topic, indexes)| (topic.0, indexes)).collect()
}

pub(super) fn partitions(parts: &Parts) -> Partitions {
    flat(parts.iter().map(|(topic, indexes)| (TopicId(*topic), &indexes[..])))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
