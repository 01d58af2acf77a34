//! A group as it is kept, and as it comes back after a restart.

use std::sync::Arc;
use std::time::Duration;

use super::{ClassicGroup, ClassicSettings, Member, State};
use crate::engine::api::group::Client;
use crate::engine::group::{ClassicMemberRecord, ClassicRecord, Effects, GroupError, GroupRecord};

// === impl ClassicGroup ===

impl ClassicGroup {
    /// The record of the group as it is now.
    pub(crate) fn to_record(&self) -> GroupRecord {
        GroupRecord::Classic { group: self.id.to_string(), state: Some(self.to_state()) }
    }

    /// The group as it is now. A rebalance under way is not kept: after a restart its members join anew.
    pub(crate) fn to_state(&self) -> ClassicRecord {
        let members = self.members.iter().map(|(id, member)| ClassicMemberRecord {
            id: id.to_string(),
            instance: member.instance.as_deref().map(str::to_owned),
            client_id: member.client.id.to_string(),
            client_host: member.client.host.to_string(),
            session_timeout_ms: millis(member.session_timeout),
            rebalance_timeout_ms: millis(member.rebalance_timeout),
            protocols: member
                .protocols
                .iter()
                .map(|(name, metadata)| (name.to_string(), metadata.to_vec()))
                .collect(),
            assignment: member.assignment.to_vec(),
        });
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        ClassicRecord {
            generation: self.generation,
            protocol_type: text(&self.protocol_type),
            protocol: text(&self.protocol),
            leader: text(&self.leader),
            members: members.collect(),
            empty_since_ms: self.empty_since_ms,
        }
    }

    /// The group becomes one of another protocol: whoever waits for an answer joins anew, there.
    pub(crate) fn dissolve(&mut self, effects: &mut Effects) {
        for member in self.members.values_mut() {
            if let Some(answer) = member.joining.take() {
                effects.answer(answer, Err(GroupError::RebalanceInProgress));
            }
            if let Some(answer) = member.syncing.take() {
                effects.answer(answer, Err(GroupError::RebalanceInProgress));
            }
        }
    }

    /// The group was one of another protocol: all its members are to join.
    pub(crate) fn begin_anew(&mut self, settings: &ClassicSettings, now: Duration, effects: &mut Effects) {
        self.prepare_rebalance(settings, now, effects);
    }

    /// The group as it was kept; everybody's session begins at `now`.
    pub(crate) fn from_record(id: Arc<str>, record: ClassicRecord, now: Duration) -> Self {
        let mut group = Self::new(id);
        group.generation = record.generation;
        group.protocol_type = record.protocol_type.map(Arc::from);
        group.protocol = record.protocol.map(Arc::from);
        group.leader = record.leader.map(Arc::from);
        group.empty_since_ms = record.empty_since_ms;
        for member in record.members {
            let id: Arc<str> = member.id.into();
            let instance: Option<Arc<str>> = member.instance.map(Arc::from);
            if let Some(instance) = &instance {
                group.instances.insert(Arc::clone(instance), Arc::clone(&id));
            }
            let session_timeout = Duration::from_millis(member.session_timeout_ms);
            let known = Member {
                instance,
                client: Client { id: member.client_id.into(), host: member.client_host.into() },
                session_timeout,
                rebalance_timeout: Duration::from_millis(member.rebalance_timeout_ms),
                protocols: member
                    .protocols
                    .into_iter()
                    .map(|(name, metadata)| (name.into(), metadata.into()))
                    .collect(),
                assignment: member.assignment.into(),
                deadline: now + session_timeout,
                joining: None,
                syncing: None,
            };
            group.due(known.deadline);
            group.members.insert(id, known);
        }
        group.state = if group.members.is_empty() { State::Empty } else { State::Stable };
        group
    }

    /// Notes that it has no members since `now_ms`, where that is news. Whether it is.
    pub(crate) fn note_empty(&mut self, now_ms: i64) -> bool {
        let news = self.members.is_empty() && !self.is_simple() && self.empty_since_ms.is_none();
        if news {
            self.empty_since_ms = Some(now_ms);
        }
        news
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
