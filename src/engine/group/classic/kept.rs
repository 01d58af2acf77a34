//! A group as it is kept, and as it comes back after a restart.

use std::sync::Arc;
use std::time::Duration;

use super::{ClassicGroup, Member, State};
use crate::engine::api::group::Client;
use crate::engine::group::{ClassicMemberRecord, ClassicRecord, GroupRecord};

// === impl ClassicGroup ===

impl ClassicGroup {
    /// The group as it is now. A rebalance under way is not kept: after a restart its members join anew.
    pub(crate) fn to_record(&self) -> GroupRecord {
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
        let state = ClassicRecord {
            generation: self.generation,
            protocol_type: text(&self.protocol_type),
            protocol: text(&self.protocol),
            leader: text(&self.leader),
            members: members.collect(),
            empty_since_ms: self.empty_since_ms,
        };
        GroupRecord::Classic { group: self.id.to_string(), state: Some(state) }
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

    /// Of a group without members: forgets that it ever had any.
    pub(crate) fn become_simple(&mut self) {
        *self = Self::new(Arc::clone(&self.id));
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
