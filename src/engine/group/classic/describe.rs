//! What others are told of a group.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::{ClassicGroup, State};
use crate::engine::api::group::{GroupDescription, MemberDescription, MemberName};
use crate::engine::group::embedded::{CONSUMER, read_topics};

// === impl ClassicGroup ===

impl ClassicGroup {
    /// The kind of group; empty for one that only keeps offsets.
    pub(crate) fn protocol_type(&self) -> Arc<str> {
        self.protocol_type.clone().unwrap_or_default()
    }

    /// All of it. What members read is told of a stable group only: before, nobody knows.
    pub(crate) fn describe(&self) -> GroupDescription {
        let stable = matches!(self.state, State::Stable);
        let protocol = if stable { self.protocol.clone().unwrap_or_default() } else { Arc::default() };
        let members = self.members.iter().map(|(id, member)| MemberDescription {
            name: MemberName { member: Arc::clone(id), instance: member.instance.clone() },
            client: member.client.clone(),
            metadata: if stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        });
        GroupDescription {
            state: self.state_name(),
            protocol_type: self.protocol_type(),
            members: members.collect(),
            protocol,
        }
    }

    /// All topics that its members read; None when nobody knows: in a rebalance, of members that are no consumers, or
    /// whose subscription cannot be read.
    pub(crate) fn topics_read(&self) -> Option<HashSet<Arc<str>>> {
        if !matches!(self.state, State::Stable) || self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let mut read = HashSet::new();
        for (_, metadata) in self.members.values().flat_map(|member| &member.protocols) {
            for topic in read_topics(metadata)? {
                if !read.contains(topic.as_str()) {
                    read.insert(Arc::from(topic));
                }
            }
        }
        Some(read)
    }

    /// Whether a member may read the topic. Of members that are no consumers, or whose subscription cannot be read,
    /// nobody knows: then it may.
    pub(crate) fn subscribes_to(&self, topic: &str) -> bool {
        let is_consumers = self.protocol_type.as_deref() == Some(CONSUMER);
        self.members.values().any(|member| {
            !is_consumers
                || member.protocols.iter().any(|(_, metadata)| {
                    read_topics(metadata).is_none_or(|topics| topics.iter().any(|read| read == topic))
                })
        })
    }
}
