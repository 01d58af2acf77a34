//! What others are told of a group.

use std::collections::HashSet;
use std::sync::Arc;

use super::member::by_topic;
use super::{ConsumerGroup, ConsumerSettings, Partitions, Topics};
use crate::engine::api::consumer_group::{
    ConsumerGroupDescription, ConsumerMemberDescription, NamedPartitions,
};

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// The state in Kafka's word.
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().all(|member| member.is_settled(self.assignment_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// All topics that its members read; None when nobody knows: until the patterns were tried on the topics there are.
    pub(crate) fn topics_read(&self) -> Option<HashSet<Arc<str>>> {
        self.topics_seen.map(|_| self.subscriptions.topics())
    }

    /// All of it.
    pub(crate) fn describe(
        &self,
        settings: &ConsumerSettings,
        topics: &dyn Topics,
    ) -> ConsumerGroupDescription {
        let members = self.members.iter().map(|(id, member)| ConsumerMemberDescription {
            member: Arc::clone(id),
            instance: member.instance.clone(),
            rack: member.rack.clone(),
            epoch: member.epoch,
            client: member.client.clone(),
            topics: member.subscription.names.clone(),
            pattern: member.subscription.pattern.clone(),
            assignment: named(&member.assigned, topics),
            target: named(&member.target, topics),
            is_classic: member.classic.is_some(),
        });
        ConsumerGroupDescription {
            state: self.state_name(),
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: self.assignor(settings).name(),
            members: members.collect(),
        }
    }
}

/// With the topics' names; what is left of deleted ones has none.
fn named(partitions: &Partitions, topics: &dyn Topics) -> Vec<NamedPartitions> {
    let by_topic = by_topic(partitions).into_iter();
    by_topic
        .filter_map(|(topic, partitions)| {
            Some(NamedPartitions { topic, name: topics.name_of(topic)?, partitions })
        })
        .collect()
}
