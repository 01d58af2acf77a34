//! A group of the classic protocol: members meet, one of them assigns, all go on until somebody comes or goes.
//!
//! One file for each operation: [`join`], [`sync`], [`heartbeat`], [`leave`]; [`rebalance`] has what they share, [`expire`]
//! what time does. Used by the glue in `coordinator` under the group's lock.
//!
//! ```text
//! Empty -> PreparingRebalance -> CompletingRebalance -> Stable
//!   ^         |      ^                  |                 |
//!   +---------+      +------------------+-----------------+   somebody comes or goes
//! ```
//!
//! What always holds: in `PreparingRebalance` every member that has joined waits for its answer, in
//! `CompletingRebalance` every member that has asked waits for its assignment, in the other states nobody waits; the
//! leader is a member; a static member has one member id at a time. A generation's assignment is left to be kept before
//! anybody is told of it.

mod commit;
mod describe;
mod expire;
mod heartbeat;
mod join;
mod kept;
mod leave;
mod rebalance;
mod sync;
mod weight;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::join::Join;
use super::{Answer, GroupError};
use crate::engine::api::group::{Client, Joined, JoinedMember, MemberName, Synced};

/// What the broker's settings say about classic groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClassicSettings {
    /// `group.initial.rebalance.delay.ms`.
    pub(crate) initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub(crate) session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub(crate) session_timeout_max: Duration,
    /// `group.max.size`.
    pub(crate) members_max: usize,
}

/// A classic group. One that only keeps offsets is an empty one without a protocol type.
pub(crate) struct ClassicGroup {
    id: Arc<str>,
    state: State,
    generation: i32,
    protocol_type: Option<Arc<str>>,
    protocol: Option<Arc<str>>,
    leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, Member>,
    /// The member that each instance is.
    instances: HashMap<Arc<str>, Arc<str>>,
    /// Ids given out to those who have to come back with them, with the time until when.
    expected: BTreeMap<Arc<str>, Duration>,
    /// Members of the generation that have not asked for their assignment yet.
    missing: BTreeSet<Arc<str>>,
    /// Those still missing are taken out then.
    sync_deadline: Duration,
    /// Since when it has no members, by the wall clock; None when it never had any, or has some.
    empty_since_ms: Option<i64>,
    /// No deadline lies before this. A deadline that moves on is noticed when this one has come.
    next_deadline: Option<Duration>,
}

/// Where the group stands.
enum State {
    /// No members.
    Empty,
    /// Members are waited for.
    Preparing(Preparing),
    /// The leader's assignment is waited for.
    Completing,
    /// Everybody knows what to read.
    Stable,
}

/// A rebalance that waits for members.
struct Preparing {
    /// Who has not joined by then is taken out.
    deadline: Duration,
    /// Of the first rebalance of an empty group, which waits for more than those it knows.
    initial: Option<Initial>,
}

struct Initial {
    /// How much longer newcomers can make it wait.
    remaining: Duration,
    /// Whether somebody has come since it last looked.
    newcomers: bool,
}

/// A member.
struct Member {
    instance: Option<Arc<str>>,
    client: Client,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    protocols: Vec<(Arc<str>, Bytes)>,
    assignment: Bytes,
    /// When its session ends, unless it waits for an answer.
    deadline: Duration,
    joining: Option<Answer<Joined>>,
    syncing: Option<Answer<Synced>>,
}

// === impl ClassicGroup ===

impl ClassicGroup {
    /// A group without members.
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: HashMap::new(),
            expected: BTreeMap::new(),
            missing: BTreeSet::new(),
            sync_deadline: Duration::ZERO,
            empty_since_ms: None,
            next_deadline: None,
        }
    }

    /// Whether it has no members, and nobody is about to become one.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.expected.is_empty()
    }

    /// Whether it has members now.
    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether it never had a member: it only keeps offsets.
    pub(crate) fn is_simple(&self) -> bool {
        self.protocol_type.is_none()
    }

    /// Since when it has no members, by the wall clock.
    pub(crate) fn empty_since_ms(&self) -> Option<i64> {
        self.empty_since_ms
    }

    /// Nothing is due before this.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.next_deadline
    }

    /// The state in Kafka's word.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Preparing(_) => "PreparingRebalance",
            State::Completing => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// Finds the member that is named, and whether it may speak for its instance.
    fn check_name(&self, name: &MemberName) -> Result<(), GroupError> {
        if let Some(instance) = &name.instance {
            match self.instances.get(instance) {
                None => return Err(unknown(&name.member)),
                Some(member) if *member != name.member => {
                    return Err(GroupError::FencedInstance { instance: Arc::clone(instance) });
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(&name.member) { Ok(()) } else { Err(unknown(&name.member)) }
    }

    fn check_generation(&self, asked: i32) -> Result<(), GroupError> {
        if asked == self.generation {
            Ok(())
        } else {
            Err(GroupError::IllegalGeneration { asked, current: self.generation })
        }
    }

    /// Remembers that something is due then.
    fn due(&mut self, deadline: Duration) {
        self.next_deadline = Some(self.next_deadline.map_or(deadline, |next| next.min(deadline)));
    }

    /// Begins a member's session anew.
    fn renew(&mut self, member: &str, now: Duration) {
        if let Some(known) = self.members.get_mut(member) {
            known.deadline = now + known.session_timeout;
            let deadline = known.deadline;
            self.due(deadline);
        }
    }

    /// The members as their leader sees them.
    fn as_leader_sees_it(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| JoinedMember {
            name: MemberName { member: Arc::clone(id), instance: member.instance.clone() },
            metadata: member.metadata(protocol),
        });
        members.collect()
    }

    /// What a member of the present generation is told.
    fn joined(&self, member: &Arc<str>, with_members: bool) -> Joined {
        Joined {
            member: Arc::clone(member),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if with_members { self.as_leader_sees_it() } else { Vec::new() },
        }
    }

    fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }
}

// === impl Member ===

impl Member {
    /// Its bytes for a protocol.
    fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| **name == *protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    fn can(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| **name == *protocol)
    }
}

fn unknown(member: &Arc<str>) -> GroupError {
    GroupError::UnknownMember { member: Arc::clone(member) }
}
