//! How many bytes the group keeps, about.

use super::{ClassicGroup, Member};
use crate::engine::api::group::MemberName;
use crate::engine::group::weight;

// === impl ClassicGroup ===

impl ClassicGroup {
    /// All that it keeps, but for its name.
    pub(crate) fn weight(&self) -> usize {
        let members = self.members.iter().map(|(id, member)| member.weight(id));
        let expected = self.expected.keys().map(|id| weight::text(id.len()));
        let waits = self.missing.iter().map(|id| weight::text(id.len()));
        members.chain(expected).chain(waits).sum()
    }

    /// What it keeps of what one member said of itself.
    pub(crate) fn weight_of(&self, name: &MemberName) -> usize {
        let by_instance = name.instance.as_ref().filter(|_| name.member.is_empty());
        let id = by_instance.and_then(|instance| self.instances.get(instance)).unwrap_or(&name.member);
        self.members.get(id).map_or(0, |member| member.told(id))
    }
}

// === impl Member ===

impl Member {
    fn weight(&self, id: &str) -> usize {
        self.told(id) + self.assignment.len()
    }

    /// What it said of itself.
    fn told(&self, id: &str) -> usize {
        let names = weight::names(id, self.instance.as_deref(), &self.client);
        let told = self.protocols.iter().map(|(name, bytes)| (&**name, &bytes[..]));
        weight::MEMBER + names + weight::protocols(told)
    }
}
