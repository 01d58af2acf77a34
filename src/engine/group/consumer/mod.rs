//! A group of the consumer protocol (KIP-848): the coordinator shares out the partitions, members follow.
//!
//! There is one request, the heartbeat. The group has an epoch, which grows when a member comes, goes or changes its
//! subscription, and when its topics change. For each epoch an assignor makes a target, what every member is to read in
//! the end; each member then gets there by itself, first giving up what is another's, then taking what others gave up.
//!
//! One file for each operation: [`heartbeat`], [`leave`], [`expire`], [`describe`]; [`target`] notices what has changed and
//! makes targets, [`reconcile`] takes a member one step towards its own, [`replay`] brings a group back after a restart.
//! Used by the glue in `coordinator` under the group's lock. After Kafka's group coordinator.
//!
//! What always holds:
//!
//! - A partition has one owner: a member that was told to read it, or has been told to stop and still lists it. Nobody
//!   else is told to read it before that member stopped, left, or was taken out.
//! - Epochs never go back, the group's nor (while it is a member) a member's.
//! - What is in memory here and not a time is what the records left so far give back.
//!
//! Deliberately absent: client-side assignors, and racks in assignments (one broker has none to prefer).

pub(crate) mod assign;
mod classic;
mod convert;
mod describe;
mod expire;
mod heartbeat;
mod leave;
mod member;
mod pattern;
mod reconcile;
mod record;
mod replay;
mod subscription;
mod target;
mod weight;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use self::assign::Assignor;
pub(crate) use self::heartbeat::check_heartbeat;
use self::member::Member;
pub(crate) use self::record::ConsumerRecord;
use self::subscription::Subscriptions;
use super::GroupError;
use crate::engine::api::group::Committer;
use crate::types::{TopicId, TopicPartition};

/// Partitions of any topics.
type Partitions = BTreeSet<TopicPartition>;

/// What the settings say about one group.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerSettings {
    /// A member that is not heard of for so long is taken out.
    pub(crate) session_timeout: Duration,
    /// How often members are to be heard of.
    pub(crate) heartbeat_interval: Duration,
    /// `group.consumer.max.size`.
    pub(crate) members_max: usize,
    /// `group.consumer.assignors`; the first is used where nobody asks for one.
    pub(crate) assignors: Arc<[Assignor]>,
    /// Whether a classic group becomes one of this protocol when a member of it comes.
    pub(crate) may_upgrade: bool,
    /// Whether a group becomes classic when the last member of this protocol has gone.
    pub(crate) may_downgrade: bool,
}

/// What a group sees of the topics.
pub(crate) trait Topics {
    /// Changes whenever anything of them does.
    fn version(&self) -> u64;
    /// The topic of that name, with its number of partitions.
    fn by_name(&self, name: &str) -> Option<(TopicId, u32)>;
    /// The name of a topic.
    fn name_of(&self, id: TopicId) -> Option<Arc<str>>;
    /// The topics that a pattern may match: all but the broker's own.
    fn names(&self) -> Vec<Arc<str>>;
}

/// What every operation is given.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) settings: &'a ConsumerSettings,
    pub(crate) topics: &'a dyn Topics,
    /// Monotonic time.
    pub(crate) now: Duration,
}

/// A group of the consumer protocol.
#[derive(Default)]
pub(crate) struct ConsumerGroup {
    /// Grows when members or topics change.
    epoch: i32,
    /// The epoch for which the members' targets were made.
    assignment_epoch: i32,
    members: BTreeMap<Arc<str>, Member>,
    /// The member that each instance is.
    instances: HashMap<Arc<str>, Arc<str>>,
    /// Who reads each partition, or still has to give it up.
    owners: HashMap<TopicPartition, Arc<str>>,
    subscriptions: Subscriptions,
    /// Tells whether the topics that members subscribe to have changed.
    topics_hash: u64,
    /// The version of the topics that was looked at last; None when they have to be looked at anyway.
    topics_seen: Option<u64>,
    /// No deadline lies before this. A deadline that moves on is noticed when this one has come.
    next_deadline: Option<Duration>,
    /// Records were lost: the next ones tell everything anew.
    is_unkept: bool,
    /// Since when it has no members, by the wall clock; None when it never had any, or has some.
    empty_since_ms: Option<i64>,
}

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// A group without members.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Nothing is due before this.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.next_deadline
    }

    /// Whether a member may read the topic.
    pub(crate) fn subscribes_to(&self, topic: &str) -> bool {
        self.subscriptions.contains(topic)
    }

    /// How many members it has.
    pub(crate) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Since when it has no members, by the wall clock.
    pub(crate) fn empty_since_ms(&self) -> Option<i64> {
        self.empty_since_ms
    }

    /// Notes since when it has no members; what is to be kept when that is news.
    pub(crate) fn note_empty(&mut self, now_ms: i64) -> Option<ConsumerRecord> {
        if self.members.is_empty() == self.empty_since_ms.is_some() {
            return None;
        }
        self.empty_since_ms = self.members.is_empty().then_some(now_ms);
        Some(self.group_record())
    }

    /// Whether `committer` may commit offsets now.
    ///
    /// # Errors
    /// As of [`Self::check_member`]; `UnsupportedVersion` when it cannot know epochs.
    pub(crate) fn check_commit(&self, committer: &Committer) -> Result<(), GroupError> {
        if committer.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        let id = &committer.name.member;
        let member = self.members.get(id).ok_or_else(|| unknown(id))?;
        if member.classic.is_none() && !committer.knows_epochs {
            return Err(GroupError::UnsupportedVersion);
        }
        self.check_member(id, committer.generation)
    }

    /// Whether a member may commit offsets, or ask for them, in that epoch.
    ///
    /// # Errors
    /// `UnknownMember`; `StaleMemberEpoch`, or `IllegalGeneration` of a classic member.
    pub(crate) fn check_member(&self, id: &Arc<str>, epoch: i32) -> Result<(), GroupError> {
        let member = self.members.get(id).ok_or_else(|| unknown(id))?;
        if epoch == member.epoch {
            return Ok(());
        }
        let (asked, current) = (epoch, member.epoch);
        Err(match member.classic {
            Some(_) => GroupError::IllegalGeneration { asked, current },
            None => GroupError::StaleMemberEpoch { asked, current },
        })
    }

    /// Records that were left could not be kept: all is told anew with the next ones.
    pub(crate) fn not_kept(&mut self) {
        self.is_unkept = true;
    }

    /// Ends an operation: what it left to be kept is complete.
    fn finish(&mut self, records: &mut Vec<ConsumerRecord>) {
        if std::mem::take(&mut self.is_unkept) {
            records.clear();
            records.push(ConsumerRecord::Group(None));
            records.extend(self.to_records());
        }
        #[cfg(debug_assertions)]
        self.check_invariants();
    }

    /// Remembers that something is due then.
    fn due(&mut self, deadline: Duration) {
        self.next_deadline = Some(self.next_deadline.map_or(deadline, |next| next.min(deadline)));
    }

    /// Begins a member's session anew.
    fn renew(&mut self, id: &str, context: Context<'_>) {
        if let Some(member) = self.members.get_mut(id) {
            let timeout = member.session_timeout(context.settings);
            member.session_deadline = context.now + timeout;
            self.due(context.now + timeout);
        }
    }

    /// What a member owns becomes this.
    fn set_owned(&mut self, id: &Arc<str>, assigned: Partitions, revoking: Partitions) {
        let member = self.members.get_mut(id).expect("the caller has found it");
        for part in member.assigned.iter().chain(&member.revoking) {
            self.owners.remove(part);
        }
        for part in assigned.iter().chain(&revoking) {
            let other = self.owners.insert(*part, Arc::clone(id));
            assert!(other.is_none(), "{part} is {other:?}'s, and was given to {id}");
        }
        member.assigned = assigned;
        member.revoking = revoking;
    }

    #[cfg(debug_assertions)]
    fn check_invariants(&self) {
        let mut owned = 0;
        for (id, member) in &self.members {
            assert!(member.epoch <= self.epoch.max(0), "{id} is ahead of its group");
            for part in member.assigned.iter().chain(&member.revoking) {
                assert_eq!(self.owners.get(part), Some(id), "{part}");
                owned += 1;
            }
            assert!(member.assigned.is_disjoint(&member.revoking));
            if let Some(instance) = &member.instance {
                assert_eq!(self.instances.get(instance), Some(id));
            }
        }
        assert_eq!(owned, self.owners.len(), "nobody owns what no member has");
        assert!(self.assignment_epoch <= self.epoch);
        assert!(self.instances.values().all(|id| self.members.contains_key(id)));
    }
}

fn unknown(member: &Arc<str>) -> GroupError {
    GroupError::UnknownMember { member: Arc::clone(member) }
}

fn invalid(why: &str) -> GroupError {
    GroupError::InvalidRequest { why: why.to_owned() }
}
