//! Members go: by themselves, for a while, or because they have to.

use std::sync::Arc;
use std::time::Duration;

use super::member::State;
use super::{ConsumerGroup, ConsumerRecord, Partitions, unknown};
use crate::engine::api::consumer_group::{ConsumerHeartbeat, ConsumerHeartbeatOutcome, LEAVES_FOR_A_WHILE};
use crate::engine::group::GroupError;

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// A member's last heartbeat.
    pub(super) fn leave(
        &mut self,
        request: &ConsumerHeartbeat,
        records: &mut Vec<ConsumerRecord>,
    ) -> Result<ConsumerHeartbeatOutcome, GroupError> {
        let id = match &request.instance {
            None => Arc::clone(&request.member),
            Some(instance) => {
                let known = self.instances.get(instance).ok_or_else(|| unknown(&request.member))?;
                if *known != request.member {
                    return Err(GroupError::FencedInstance { instance: Arc::clone(instance) });
                }
                Arc::clone(known)
            }
        };
        if !self.members.contains_key(&id) {
            return Err(unknown(&id));
        }
        if request.epoch == LEAVES_FOR_A_WHILE {
            self.leave_for_a_while(&id, records);
        } else {
            self.remove(&id, records);
            self.grow(records);
        }
        Ok(ConsumerHeartbeatOutcome {
            member: id,
            epoch: request.epoch,
            // There is none.
            heartbeat_interval: Duration::ZERO,
            assignment: None,
        })
    }

    /// A static member keeps its partitions until its session ends.
    fn leave_for_a_while(&mut self, id: &Arc<str>, records: &mut Vec<ConsumerRecord>) {
        let assigned = self.members[id].assigned.clone();
        // What it was told to give up it has given up.
        self.set_owned(id, assigned, Partitions::new());
        let member = self.members.get_mut(id).expect("the caller has found it");
        member.epoch = LEAVES_FOR_A_WHILE;
        member.previous_epoch = LEAVES_FOR_A_WHILE;
        member.state = State::Stable;
        member.rebalance_deadline = None;
        records.push(ConsumerRecord::current(id, member));
    }

    /// Takes a member out, with all it has. The group's epoch has to grow for it.
    pub(super) fn remove(&mut self, id: &Arc<str>, records: &mut Vec<ConsumerRecord>) {
        self.forget(id);
        records.push(ConsumerRecord::Member { member: id.to_string(), state: None });
    }

    /// Takes a member out of memory.
    pub(super) fn forget(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.remove(id) else { return };
        for part in member.assigned.iter().chain(&member.revoking) {
            self.owners.remove(part);
        }
        if let Some(instance) = &member.instance
            && self.instances.get(instance) == Some(id)
        {
            self.instances.remove(instance);
        }
        self.subscriptions.remove(&member.subscription);
    }
}
