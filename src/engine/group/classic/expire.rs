//! What time does: sessions end, rebalances do not wait for ever.

use std::sync::Arc;
use std::time::Duration;

use super::{ClassicGroup, ClassicSettings, State};
use crate::engine::group::Effects;

// === impl ClassicGroup ===

impl ClassicGroup {
    /// Does what is due at `now`, and finds out when something is due next.
    pub(crate) fn expire(&mut self, settings: &ClassicSettings, now: Duration, effects: &mut Effects) {
        if self.next_deadline.is_none_or(|next| now < next) {
            return;
        }
        let expected = self.expected.len();
        self.expected.retain(|_, deadline| *deadline > now);
        let overdue = self.overdue(now);
        for id in &overdue {
            self.remove(id, effects);
        }
        // Found anew before anything goes on, since going on adds deadlines.
        self.next_deadline = self.earliest();
        if !overdue.is_empty() || self.expected.len() < expected {
            self.after_removal_of_some(!overdue.is_empty(), settings, now, effects);
        }
        self.check_join_deadline(settings, now, effects);
    }

    /// Members whose time is up: of their sessions, or for asking for their assignment.
    fn overdue(&self, now: Duration) -> Vec<Arc<str>> {
        let late = |id: &Arc<str>| now >= self.sync_deadline && self.missing.contains(id);
        let members = self.members.iter();
        let overdue = members.filter(|(id, member)| (member.deadline <= now && !member.waits()) || late(id));
        overdue.map(|(id, _)| Arc::clone(id)).collect()
    }

    fn after_removal_of_some(
        &mut self,
        members: bool,
        settings: &ClassicSettings,
        now: Duration,
        effects: &mut Effects,
    ) {
        // Somebody who never came back with its id is only one less to wait for.
        if members || matches!(self.state, State::Preparing(_)) {
            self.after_removal(settings, now, effects);
        }
    }

    fn earliest(&self) -> Option<Duration> {
        let sessions = self.members.values().filter(|member| !member.waits()).map(|member| member.deadline);
        let joining = match &self.state {
            State::Preparing(preparing) => Some(preparing.deadline),
            _ => None,
        };
        let syncing = (!self.missing.is_empty()).then_some(self.sync_deadline);
        sessions.chain(self.expected.values().copied()).chain(joining).chain(syncing).min()
    }
}

// === impl Member ===

impl super::Member {
    /// Whether it waits for an answer, and so has nothing to say meanwhile.
    fn waits(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }
}
