//! A rebalance: members are waited for, then a generation begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{ClassicGroup, ClassicSettings, Initial, Preparing, State};
use crate::engine::group::{Effects, GroupError};

// === impl ClassicGroup ===

impl ClassicGroup {
    /// Has everybody join anew, unless that is under way; goes on at once when nobody is missing.
    pub(super) fn prepare_rebalance(
        &mut self,
        settings: &ClassicSettings,
        now: Duration,
        effects: &mut Effects,
    ) {
        if !matches!(self.state, State::Preparing(_)) {
            let first = matches!(self.state, State::Empty);
            self.missing.clear();
            for member in self.members.values_mut() {
                if let Some(syncing) = member.syncing.take() {
                    effects.answer(syncing, Err(GroupError::RebalanceInProgress));
                }
            }
            let patience = self.patience();
            let (deadline, initial) = if first {
                let delay = settings.initial_rebalance_delay.min(patience);
                (now + delay, Some(Initial { remaining: patience - delay, newcomers: false }))
            } else {
                (now + patience, None)
            };
            self.state = State::Preparing(Preparing { deadline, initial });
            self.empty_since_ms = None;
            self.due(deadline);
        }
        self.maybe_complete_join(settings, now, effects);
    }

    /// How long members may take: as long as the most patient of them says.
    fn patience(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Begins the generation when everybody is there.
    pub(super) fn maybe_complete_join(
        &mut self,
        settings: &ClassicSettings,
        now: Duration,
        effects: &mut Effects,
    ) {
        let State::Preparing(preparing) = &self.state else { return };
        let waits_for_strangers = preparing.initial.is_some() && now < preparing.deadline;
        let everybody = self.members.values().all(|member| member.joining.is_some());
        // A group that everybody has left has nothing to wait for.
        if self.members.is_empty() || (everybody && self.expected.is_empty() && !waits_for_strangers) {
            self.complete_join(settings, now, effects);
        }
    }

    /// The time for joining may be up.
    pub(super) fn check_join_deadline(
        &mut self,
        settings: &ClassicSettings,
        now: Duration,
        effects: &mut Effects,
    ) {
        let State::Preparing(preparing) = &mut self.state else { return };
        if now < preparing.deadline {
            let deadline = preparing.deadline;
            return self.due(deadline);
        }
        if let Some(initial) = &mut preparing.initial
            && initial.newcomers
            && !initial.remaining.is_zero()
        {
            let delay = settings.initial_rebalance_delay.min(initial.remaining);
            initial.remaining -= delay;
            initial.newcomers = false;
            preparing.deadline = now + delay;
            let deadline = preparing.deadline;
            return self.due(deadline);
        }
        self.complete_join(settings, now, effects);
    }

    /// Begins a generation with those who have joined, and static members who have not.
    fn complete_join(&mut self, settings: &ClassicSettings, now: Duration, effects: &mut Effects) {
        self.members.retain(|_, member| member.joining.is_some() || member.instance.is_some());
        if self.leader.as_ref().is_none_or(|leader| !self.has_joined(leader)) {
            let joined = self.members.iter().find(|(_, member)| member.joining.is_some());
            match joined {
                Some((id, _)) => self.leader = Some(Arc::clone(id)),
                None if self.members.is_empty() => self.leader = None,
                None => {
                    // Static members only, all of them away: nobody could assign. Their sessions decide.
                    let deadline = now + self.patience().max(settings.initial_rebalance_delay).max(SOON);
                    self.state = State::Preparing(Preparing { deadline, initial: None });
                    return self.due(deadline);
                }
            }
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.choose_protocol();
        if self.members.is_empty() {
            self.state = State::Empty;
            self.instances.clear();
            effects.records.push(self.to_record());
            return;
        }
        self.state = State::Completing;
        self.missing = self.members.keys().cloned().collect();
        self.sync_deadline = now + self.patience();
        self.due(self.sync_deadline);
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id, self.is_leader(&id));
            let member = self.members.get_mut(&id).expect("one of the keys");
            if let Some(answer) = member.joining.take() {
                effects.answer(answer, Ok(joined));
                self.renew(&id, now);
            }
        }
    }

    fn has_joined(&self, member: &str) -> bool {
        self.members.get(member).is_some_and(|member| member.joining.is_some())
    }

    /// Of the protocols that all members have, the one that most of them want most.
    pub(super) fn choose_protocol(&self) -> Option<Arc<str>> {
        let mut count: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            for protocol in member.protocols.iter().map(|(name, _)| name).collect::<BTreeSet<_>>() {
                *count.entry(protocol).or_default() += 1;
            }
        }
        let shared = |protocol: &Arc<str>| count.get(protocol) == Some(&self.members.len());
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((wanted, _)) = member.protocols.iter().find(|(protocol, _)| shared(protocol)) {
                *votes.entry(wanted).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|&(_, votes)| votes).map(|(protocol, _)| Arc::clone(protocol))
    }

    /// Takes a member out, answering what it waits for.
    pub(super) fn remove(&mut self, id: &str, effects: &mut Effects) {
        let Some(member) = self.members.remove(id) else { return };
        let gone = || GroupError::UnknownMember { member: id.into() };
        if let Some(joining) = member.joining {
            effects.answer(joining, Err(gone()));
        }
        if let Some(syncing) = member.syncing {
            effects.answer(syncing, Err(gone()));
        }
        if let Some(instance) = member.instance {
            self.instances.remove(&instance);
        }
        self.missing.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Somebody has gone: the others share anew.
    pub(super) fn after_removal(&mut self, settings: &ClassicSettings, now: Duration, effects: &mut Effects) {
        match self.state {
            State::Empty => {}
            State::Preparing(_) => self.maybe_complete_join(settings, now, effects),
            State::Completing | State::Stable => self.prepare_rebalance(settings, now, effects),
        }
    }
}

/// Members may say that they take no time at all; what is due then is still looked at only so often.
const SOON: Duration = Duration::from_millis(100);
