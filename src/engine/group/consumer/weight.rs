//! How many bytes the group keeps, about.

use super::ConsumerGroup;
use super::member::Member;
use crate::engine::api::group::MemberName;
use crate::engine::group::weight;

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// All that it keeps, but for its name.
    pub(crate) fn weight(&self) -> usize {
        let members = self.members.iter().map(|(id, member)| member.told(id) + member.parts());
        members.sum::<usize>() + self.owners.len() * weight::PARTITION
    }

    /// What it keeps of what one member said of itself.
    pub(crate) fn weight_of(&self, name: &MemberName) -> usize {
        let by_instance = name.instance.as_ref().and_then(|instance| self.instances.get(instance));
        let id = by_instance.unwrap_or(&name.member);
        self.members.get(id).map_or(0, |member| member.told(id))
    }

    /// Whether the next heartbeat may share partitions out anew.
    pub(crate) fn is_about_to_assign(&self, topics_version: u64) -> bool {
        self.epoch > self.assignment_epoch || self.is_behind(topics_version)
    }
}

// === impl Member ===

impl Member {
    /// What it said of itself.
    fn told(&self, id: &str) -> usize {
        let names = weight::names(id, self.instance.as_deref(), &self.client);
        let given = [&self.rack, &self.subscription.pattern, &self.assignor];
        let given: usize = given.into_iter().flatten().map(|given| weight::text(given.len())).sum();
        let topics: usize = self.subscription.names.iter().map(|name| weight::text(name.len())).sum();
        let classic = self.classic.as_ref().map_or(0, |classic| {
            weight::protocols(classic.protocols.iter().map(|(name, bytes)| (&**name, &bytes[..])))
        });
        weight::MEMBER + names + given + topics + classic
    }

    /// What it may read, and is to read.
    fn parts(&self) -> usize {
        (self.assigned.len() + self.revoking.len() + self.target.len()) * weight::PARTITION
    }
}
