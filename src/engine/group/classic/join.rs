//! JoinGroup: somebody wants to be in the next generation.

use std::sync::Arc;
use std::time::Duration;

use super::{Answer, ClassicGroup, ClassicSettings, Member, State, unknown};
use crate::engine::api::group::{JoinRequest, Joined, MemberName};
use crate::engine::group::{Effects, GroupError};

/// A request to join, with what its handling needs.
pub(crate) struct Join<'a> {
    pub(crate) request: JoinRequest,
    pub(crate) settings: &'a ClassicSettings,
    pub(crate) now: Duration,
    pub(crate) answer: Answer<Joined>,
}

// === impl ClassicSettings ===

impl ClassicSettings {
    /// Whether a member may ask for this session timeout.
    pub(crate) fn check_session_timeout(&self, asked: Duration) -> Result<(), GroupError> {
        let allowed = self.session_timeout_min..=self.session_timeout_max;
        if allowed.contains(&asked) {
            return Ok(());
        }
        Err(GroupError::InvalidSessionTimeout {
            min_ms: millis(*allowed.start()),
            max_ms: millis(*allowed.end()),
        })
    }
}

// === impl ClassicGroup ===

impl ClassicGroup {
    /// Takes a member in. The answer comes when the generation begins, or at once when it has not to wait. `new_id`
    /// makes the id of a member that has none yet.
    pub(crate) fn join(&mut self, join: Join<'_>, new_id: impl FnOnce() -> Arc<str>, effects: &mut Effects) {
        if let Err(error) = self.check_join(&join.request, join.settings) {
            return effects.answer(join.answer, Err(error));
        }
        if join.request.name.member.is_empty() {
            self.join_new(join, new_id, effects);
        } else {
            self.join_again(join, effects);
        }
    }

    fn check_join(&self, request: &JoinRequest, settings: &ClassicSettings) -> Result<(), GroupError> {
        settings.check_session_timeout(request.session_timeout)?;
        let inconsistent = |why| Err(GroupError::InconsistentProtocol { why });
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return inconsistent("a member has a protocol type and at least one protocol");
        }
        // The only member there is may change its mind.
        let alone = self.members.len() == 1 && self.members.contains_key(&request.name.member);
        if self.members.is_empty() || alone {
            return Ok(());
        }
        if self.protocol_type.as_ref() != Some(&request.protocol_type) {
            return inconsistent("the group is of another protocol type");
        }
        let others = || self.members.iter().filter(|(id, _)| **id != request.name.member);
        let shared = |protocol: &str| others().all(|(_, member)| member.can(protocol));
        if request.protocols.iter().any(|(protocol, _)| shared(protocol)) {
            Ok(())
        } else {
            inconsistent("no protocol is one of all members")
        }
    }

    fn join_new(&mut self, join: Join<'_>, new_id: impl FnOnce() -> Arc<str>, effects: &mut Effects) {
        let (request, members_max) = (&join.request, join.settings.members_max);
        let known = request.name.instance.as_ref().and_then(|instance| self.instances.get(instance)).cloned();
        if known.is_none() && self.members.len() + self.expected.len() >= members_max {
            return effects.answer(join.answer, Err(GroupError::GroupFull { members: members_max }));
        }
        let id = new_id();
        if let Some(old) = known {
            return self.replace(&old, &id, join, effects);
        }
        if request.name.instance.is_none() && request.needs_known_member {
            let deadline = join.now + request.session_timeout;
            self.expected.insert(Arc::clone(&id), deadline);
            self.due(deadline);
            return effects.answer(join.answer, Err(GroupError::MemberIdRequired { member: id }));
        }
        self.add(id, join, effects);
    }

    fn join_again(&mut self, join: Join<'_>, effects: &mut Effects) {
        let id = Arc::clone(&join.request.name.member);
        if join.request.name.instance.is_none() && self.expected.remove(&id).is_some() {
            return self.add(id, join, effects);
        }
        if let Err(error) = self.check_name(&join.request.name) {
            return effects.answer(join.answer, Err(error));
        }
        let same = self.members.get(&id).is_some_and(|member| member.protocols == join.request.protocols);
        let (settings, now) = (join.settings, join.now);
        match self.state {
            State::Empty => effects.answer(join.answer, Err(unknown(&id))),
            State::Preparing(_) => {
                self.update(&id, join, effects);
                self.maybe_complete_join(settings, now, effects);
            }
            // The answer to its last request was lost: it gets it again.
            State::Completing if same => {
                self.renew(&id, now);
                effects.answer(join.answer, Ok(self.joined(&id, self.is_leader(&id))));
            }
            State::Stable if same && !self.is_leader(&id) => {
                self.renew(&id, now);
                effects.answer(join.answer, Ok(self.joined(&id, false)));
            }
            State::Completing | State::Stable => {
                self.update(&id, join, effects);
                self.prepare_rebalance(settings, now, effects);
            }
        }
    }

    /// Takes a new member in.
    fn add(&mut self, id: Arc<str>, join: Join<'_>, effects: &mut Effects) {
        if self.members.is_empty() {
            self.protocol_type = Some(Arc::clone(&join.request.protocol_type));
        }
        if let Some(instance) = &join.request.name.instance {
            self.instances.insert(Arc::clone(instance), Arc::clone(&id));
        }
        self.leader.get_or_insert_with(|| Arc::clone(&id));
        if let State::Preparing(preparing) = &mut self.state
            && let Some(initial) = &mut preparing.initial
        {
            initial.newcomers = true;
        }
        let member = Member { joining: Some(join.answer), ..Member::new(join.request, join.now) };
        self.members.insert(id, member);
        self.prepare_rebalance(join.settings, join.now, effects);
    }

    /// What a member says of itself when it joins again.
    fn update(&mut self, id: &Arc<str>, join: Join<'_>, effects: &mut Effects) {
        if self.members.len() == 1 {
            self.protocol_type = Some(Arc::clone(&join.request.protocol_type));
        }
        let member = self.members.get_mut(id).expect("it was found");
        let told = Member::new(join.request, join.now);
        // An earlier request of the same member, on a connection that it gave up.
        let (joining, syncing) = (member.joining.replace(join.answer), member.syncing.take());
        member.client = told.client;
        member.session_timeout = told.session_timeout;
        member.rebalance_timeout = told.rebalance_timeout;
        member.protocols = told.protocols;
        if let Some(joining) = joining {
            effects.answer(joining, Err(GroupError::RebalanceInProgress));
        }
        if let Some(syncing) = syncing {
            effects.answer(syncing, Err(GroupError::RebalanceInProgress));
        }
    }

    /// A static member has come back, without its member id: it takes the place of the one it was.
    fn replace(&mut self, old: &Arc<str>, id: &Arc<str>, join: Join<'_>, effects: &mut Effects) {
        let before = self.members.remove(old).expect("an instance is a member");
        let instance = join.request.name.instance.clone().expect("only static members are replaced");
        let fenced = GroupError::FencedInstance { instance: Arc::clone(&instance) };
        if let Some(joining) = before.joining {
            effects.answer(joining, Err(fenced.clone()));
        }
        if let Some(syncing) = before.syncing {
            effects.answer(syncing, Err(fenced));
        }
        let (can_skip, was_leader) = (join.request.can_skip_assignment, self.is_leader(old));
        let member = Member { assignment: before.assignment, ..Member::new(join.request, join.now) };
        self.members.insert(Arc::clone(id), member);
        self.instances.insert(instance, Arc::clone(id));
        if was_leader {
            self.leader = Some(Arc::clone(id));
        }
        self.renew(id, join.now);
        let goes_on = matches!(self.state, State::Stable) && self.choose_protocol() == self.protocol;
        if !goes_on {
            self.members.get_mut(id).expect("just put there").joining = Some(join.answer);
            return self.prepare_rebalance(join.settings, join.now, effects);
        }
        // Nothing has changed but its id. Who leads and cannot be told to leave the assignment alone is told that
        // somebody else leads.
        let mut joined = self.joined(id, was_leader && can_skip);
        joined.skip_assignment = was_leader && can_skip;
        if was_leader && !can_skip {
            joined.leader = Arc::clone(old);
        }
        effects.records.push(self.to_record());
        effects.answer(join.answer, Ok(joined));
    }
}

// === impl Member ===

impl Member {
    fn new(request: JoinRequest, now: Duration) -> Self {
        let MemberName { instance, .. } = request.name;
        Self {
            instance,
            client: request.client,
            deadline: now + request.session_timeout,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols,
            assignment: bytes::Bytes::new(),
            joining: None,
            syncing: None,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
