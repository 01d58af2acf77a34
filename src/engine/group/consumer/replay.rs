//! A group comes back after a restart, record by record.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::member::{Member, State};
use super::record::{ConsumerRecord, partitions};
use super::subscription::Subscription;
use super::{ConsumerGroup, ConsumerSettings};
use crate::engine::api::group::Client;
use crate::types::TopicPartition;

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// Takes in what was kept, in the order in which it was left.
    pub(crate) fn replay(&mut self, record: ConsumerRecord) {
        match record {
            ConsumerRecord::Group(None) => *self = Self::new(),
            ConsumerRecord::Group(Some(state)) => {
                self.epoch = state.epoch;
                self.assignment_epoch = state.assignment_epoch;
                self.topics_hash = state.topics_hash;
                self.empty_since_ms = state.empty_since_ms;
            }
            ConsumerRecord::Member { member, state: None } => self.forget(&member.into()),
            ConsumerRecord::Member { member, state: Some(state) } => {
                let wanted = self.subscriptions.add(state.subscription());
                let id = self.replayed(member);
                let member = self.members.get_mut(&id).expect("just looked up");
                let before = std::mem::replace(&mut member.subscription, wanted);
                member.set_told(state);
                if let Some(instance) = &member.instance {
                    self.instances.insert(Arc::clone(instance), Arc::clone(&id));
                }
                self.subscriptions.remove(&before);
            }
            ConsumerRecord::Target { member, partitions: parts } => {
                let id = self.replayed(member);
                self.members.get_mut(&id).expect("just looked up").target = partitions(&parts);
            }
            ConsumerRecord::Current { member, state } => {
                let id = self.replayed(member);
                self.members.get_mut(&id).expect("just looked up").set_current(&state);
                // Between the records of one change a partition may seem to be two members': owners are told later.
                let member = self.members.get_mut(&id).expect("just looked up");
                (member.assigned, member.revoking) = state.owned();
            }
        }
    }

    /// All records are in: sessions begin anew.
    pub(crate) fn loaded(&mut self, settings: &ConsumerSettings, now: Duration) {
        for member in self.members.values_mut() {
            member.session_deadline = now + member.session_timeout(settings);
            member.rebalance_deadline =
                (member.state == State::Revoking).then(|| now + member.rebalance_timeout);
        }
        self.owners.clear();
        let mut is_torn = false;
        for (id, member) in &mut self.members {
            // A crash between the records of one change may leave two that claim a partition, or one that is ahead of
            // its group: what was not kept whole nobody was told. The next target, of a new epoch, puts it right.
            let owners = &mut self.owners;
            let mut is_free = |part: &TopicPartition| match owners.entry(*part) {
                Entry::Vacant(free) => {
                    free.insert(Arc::clone(id));
                    true
                }
                Entry::Occupied(_) => false,
            };
            let claimed = member.assigned.len() + member.revoking.len();
            member.assigned.retain(&mut is_free);
            member.revoking.retain(&mut is_free);
            is_torn |= claimed != member.assigned.len() + member.revoking.len() || member.epoch > self.epoch;
        }
        if is_torn {
            let newest = self.members.values().map(|member| member.epoch).max();
            self.epoch = newest.map_or(self.epoch, |newest| newest.max(self.epoch)) + 1;
        }
        // The first thing due is found when somebody looks.
        self.next_deadline = (!self.members.is_empty()).then_some(now);
        self.topics_seen = None;
    }

    /// The member that a record is about.
    fn replayed(&mut self, id: String) -> Arc<str> {
        let id: Arc<str> = id.into();
        if !self.members.contains_key(&id) {
            let nothing = self.subscriptions.add(Subscription::default());
            let client = Client { id: Arc::default(), host: Arc::default() };
            self.members.insert(Arc::clone(&id), Member::new(client, nothing));
        }
        id
    }
}
