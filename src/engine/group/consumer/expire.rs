//! What time does: sessions end, members that do not give up what they have to are taken out, topics change.

use std::sync::Arc;
use std::time::Duration;

use super::{ConsumerGroup, ConsumerRecord, Context};

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// Does what is due, and looks whether the topics have changed.
    pub(crate) fn expire(&mut self, context: Context<'_>, records: &mut Vec<ConsumerRecord>) {
        let mut gone = false;
        if self.next_deadline.is_some_and(|next| next <= context.now) {
            let late: Vec<Arc<str>> = self
                .members
                .iter()
                .filter(|(_, member)| member.deadline() <= context.now)
                .map(|(id, _)| Arc::clone(id))
                .collect();
            for id in &late {
                self.remove(id, records);
            }
            gone = !late.is_empty();
            self.next_deadline = self.members.values().map(super::member::Member::deadline).min();
        }
        if !self.members.is_empty() || gone {
            self.refresh(context, gone, records);
        }
        self.finish(records);
    }

    /// Whether the topics have changed since the group last looked, so that it is to look again.
    pub(crate) fn is_behind(&self, topics_version: u64) -> bool {
        !self.members.is_empty() && self.topics_seen != Some(topics_version)
    }
}

// === impl Member ===

impl super::member::Member {
    /// When it is taken out unless something happens.
    fn deadline(&self) -> Duration {
        self.rebalance_deadline.map_or(self.session_deadline, |deadline| deadline.min(self.session_deadline))
    }
}
