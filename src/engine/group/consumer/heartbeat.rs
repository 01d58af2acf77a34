//! The heartbeat: a member joins, says that it is alive, changes its mind, or leaves.

use std::sync::Arc;

use super::assign::Assignor;
use super::member::{Member, State, by_topic, flat};
use super::reconcile::Step;
use super::subscription::Subscription;
use super::{ConsumerGroup, ConsumerRecord, Context, Partitions, invalid, unknown};
use crate::engine::api::consumer_group::{
    ConsumerHeartbeat, ConsumerHeartbeatOutcome, LEAVES, LEAVES_FOR_A_WHILE,
};
use crate::engine::api::group::Client;
use crate::engine::group::GroupError;

/// The epoch of a heartbeat with which a member joins, or begins anew.
const JOINS: i32 = 0;
/// What the names that a member gives may take together.
const NAMES_BYTES_MAX: usize = 8192;

/// A member that was found, or made: the request may go on with it.
struct Entered {
    id: Arc<str>,
    /// Whether members or what they want are others now.
    members_changed: bool,
}

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// Serves a heartbeat that passed [`check_heartbeat`]. `new_id` makes the id of a member that has none.
    ///
    /// # Errors
    /// As of ConsumerGroupHeartbeat; see [`GroupError`]. The group is then as it was.
    pub(crate) fn heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
        new_id: impl FnOnce() -> Arc<str>,
        context: Context<'_>,
        records: &mut Vec<ConsumerRecord>,
    ) -> Result<ConsumerHeartbeatOutcome, GroupError> {
        let outcome = if request.epoch < JOINS {
            self.leave(request, records)?
        } else {
            self.stay(request, new_id, context, records)?
        };
        self.finish(records);
        Ok(outcome)
    }

    fn stay(
        &mut self,
        request: &ConsumerHeartbeat,
        new_id: impl FnOnce() -> Arc<str>,
        context: Context<'_>,
        records: &mut Vec<ConsumerRecord>,
    ) -> Result<ConsumerHeartbeatOutcome, GroupError> {
        let owned =
            request.owned.as_ref().map(|topics| flat(topics.iter().map(|(id, parts)| (*id, &parts[..]))));
        let Entered { id, members_changed } =
            self.enter(request, owned.as_ref(), new_id, context, records)?;
        self.refresh(context, members_changed, records);
        self.assign(context, records);
        let step = self.reconcile(&id, owned.as_ref(), context, records);
        self.renew(&id, context);
        let is_full = request.rebalance_timeout.is_some()
            && (request.topics.is_some() || request.pattern.is_some())
            && request.owned.is_some();
        let tells = request.epoch == JOINS || is_full || step == Step::Reassigned;
        let member = &self.members[&id];
        Ok(ConsumerHeartbeatOutcome {
            epoch: member.epoch,
            heartbeat_interval: context.settings.heartbeat_interval,
            assignment: tells.then(|| by_topic(&member.assigned)),
            member: id,
        })
    }

    /// Finds the member that the request is of, or takes it in, and notes what it says of itself.
    fn enter(
        &mut self,
        request: &ConsumerHeartbeat,
        owned: Option<&Partitions>,
        new_id: impl FnOnce() -> Arc<str>,
        context: Context<'_>,
        records: &mut Vec<ConsumerRecord>,
    ) -> Result<Entered, GroupError> {
        let joins = request.epoch == JOINS;
        let named = self.members.get(&request.member).map(|member| (&request.member, member));
        let known = match &request.instance {
            None => named,
            Some(instance) => self.instances.get(instance).map(|id| (id, &self.members[id])),
        };
        if let Some((id, member)) = known {
            check_known(request, id, member, owned)?;
        } else if !joins || named.is_some() {
            // A member does not become an instance, or another one, on its way.
            return Err(unknown(&request.member));
        } else if self.members.len() >= context.settings.members_max {
            return Err(GroupError::GroupFull { members: context.settings.members_max });
        }
        let before = known.map(|(_, member)| Arc::clone(&member.subscription));
        let wanted = wanted(request, before.as_deref());
        if let Some(wanted) = &wanted {
            self.subscriptions.check(wanted)?;
        }

        // From here on nothing is refused any more.
        let known = known.map(|(id, _)| Arc::clone(id));
        let id = if request.member.is_empty() { new_id() } else { Arc::clone(&request.member) };
        let wanted = wanted.map(|wanted| self.subscriptions.add(wanted));
        let (mut member, is_told) = match &known {
            None => {
                let wanted =
                    wanted.clone().unwrap_or_else(|| self.subscriptions.add(Subscription::default()));
                (Member::new(request.client.clone(), wanted), false)
            }
            Some(known) if *known != id => (self.take_over(known, &id, records), false),
            Some(known) => (self.members.remove(known).expect("found above"), true),
        };
        if member.is_away() {
            member.epoch = JOINS;
            member.previous_epoch = JOINS;
        }
        if request.epoch == member.epoch {
            // It has seen this epoch; an answer with it was not lost.
            member.previous_epoch = member.epoch;
        }
        let told_news = note(&mut member, request);
        if let (Some(wanted), true) = (wanted, known.is_some()) {
            let before = std::mem::replace(&mut member.subscription, wanted);
            self.subscriptions.remove(&before);
        }
        let members_changed = known.is_none() || before.as_ref() != Some(&member.subscription);
        if !is_told || told_news || members_changed {
            records.push(ConsumerRecord::member(&id, &member));
        }
        if !is_told {
            records.push(ConsumerRecord::current(&id, &member));
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(Arc::clone(instance), Arc::clone(&id));
        }
        self.members.insert(Arc::clone(&id), member);
        Ok(Entered { id, members_changed })
    }

    /// Takes a static member out for another one that is the same instance, and has what it had.
    pub(super) fn take_over(
        &mut self,
        old: &Arc<str>,
        new: &Arc<str>,
        records: &mut Vec<ConsumerRecord>,
    ) -> Member {
        let mut member = self.members.remove(old).expect("the caller has found it");
        records.push(ConsumerRecord::Member { member: old.to_string(), state: None });
        for part in &member.revoking {
            self.owners.remove(part);
        }
        for part in &member.assigned {
            self.owners.insert(*part, Arc::clone(new));
        }
        member.revoking.clear();
        member.state = State::Stable;
        member.rebalance_deadline = None;
        member.epoch = JOINS;
        member.previous_epoch = JOINS;
        records.push(ConsumerRecord::target(new, &member.target));
        member
    }
}

/// Whether a heartbeat makes sense by itself, whatever its group.
///
/// # Errors
/// `InvalidRequest`, `UnsupportedAssignor`.
pub(crate) fn check_heartbeat(request: &ConsumerHeartbeat, assignors: &[Assignor]) -> Result<(), GroupError> {
    let joins = request.epoch == JOINS;
    let has_to_be_named = request.names_itself || request.epoch > JOINS || request.epoch == LEAVES;
    let names = [Some(&request.member), request.instance.as_ref(), request.rack.as_ref()];
    let empty = |text: &Option<Arc<str>>| text.as_ref().is_some_and(|text| text.is_empty());
    let why = if has_to_be_named && request.member.is_empty() {
        "MemberId can't be empty."
    } else if empty(&request.instance) {
        "InstanceId can't be empty."
    } else if empty(&request.rack) {
        "RackId can't be empty."
    } else if joins && request.rebalance_timeout.is_none() {
        "RebalanceTimeoutMs must be provided in first request."
    } else if joins && request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
        "TopicPartitions must be empty when (re-)joining."
    } else if joins && request.topics.is_none() && request.pattern.is_none() {
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
    } else if request.epoch == LEAVES_FOR_A_WHILE && request.instance.is_none() {
        "InstanceId can't be null."
    } else if request.epoch < LEAVES_FOR_A_WHILE {
        "MemberEpoch is invalid."
    } else if too_long(&request.client, names) {
        "the ids that the member gives are too long"
    } else {
        return check_assignor(request, assignors);
    };
    Err(invalid(why))
}

/// Whether what is kept of a member's names would be too much.
pub(super) fn too_long<'a>(
    client: &'a Client,
    names: impl IntoIterator<Item = Option<&'a Arc<str>>>,
) -> bool {
    let names = names.into_iter().flatten().chain([&client.id, &client.host]);
    names.map(|name| name.len()).sum::<usize>() > NAMES_BYTES_MAX
}

fn check_assignor(request: &ConsumerHeartbeat, assignors: &[Assignor]) -> Result<(), GroupError> {
    match &request.assignor {
        Some(asked) if !assignors.iter().any(|assignor| *assignor.name() == **asked) => {
            let known: Vec<&str> = assignors.iter().map(|assignor| assignor.name()).collect();
            Err(GroupError::UnsupportedAssignor { asked: Arc::clone(asked), known: known.join(", ") })
        }
        _ => Ok(()),
    }
}

/// Whether the request may speak for the member that the group knows.
fn check_known(
    request: &ConsumerHeartbeat,
    id: &Arc<str>,
    member: &Member,
    owned: Option<&Partitions>,
) -> Result<(), GroupError> {
    let joins = request.epoch == JOINS;
    if let Some(instance) = &request.instance {
        // Not even the member itself begins anew before it has left: whether it is the same process nobody knows. A
        // classic member may be followed by a new one at once, as among classic members.
        if joins && !member.is_away() && member.classic.is_none() {
            return Err(GroupError::UnreleasedInstance { instance: Arc::clone(instance) });
        }
        if !joins && *id != request.member {
            return Err(GroupError::FencedInstance { instance: Arc::clone(instance) });
        }
    }
    let lost_answer = || {
        request.epoch == member.previous_epoch && owned.is_some_and(|owned| owned.is_subset(&member.assigned))
    };
    // One that joins again has given up everything; its epoch says nothing.
    if joins || request.epoch == member.epoch || (request.epoch < member.epoch && lost_answer()) {
        return Ok(());
    }
    Err(GroupError::FencedMemberEpoch { asked: request.epoch, current: member.epoch })
}

/// What the member wants from now on; None when that is as before.
fn wanted(request: &ConsumerHeartbeat, before: Option<&Subscription>) -> Option<Subscription> {
    if request.topics.is_none() && request.pattern.is_none() {
        return None;
    }
    let names = match (&request.topics, before) {
        (Some(names), _) => names.clone(),
        (None, before) => before.map(|before| before.names.clone()).unwrap_or_default(),
    };
    let pattern = request.pattern.clone().or_else(|| before.and_then(|before| before.pattern.clone()));
    let wanted = Subscription::new(names, pattern);
    (Some(&wanted) != before).then_some(wanted)
}

/// Notes what a member says of itself, but for its subscription; whether any of it is news.
fn note(member: &mut Member, request: &ConsumerHeartbeat) -> bool {
    let mut news = false;
    let mut given = |old: &mut Option<Arc<str>>, new: &Option<Arc<str>>| {
        if new.is_some() && old != new {
            old.clone_from(new);
            news = true;
        }
    };
    given(&mut member.instance, &request.instance);
    given(&mut member.rack, &request.rack);
    given(&mut member.assignor, &request.assignor);
    let rebalance_timeout = request.rebalance_timeout.unwrap_or(member.rebalance_timeout);
    if member.rebalance_timeout != rebalance_timeout
        || member.client != request.client
        || member.classic.is_some()
    {
        member.rebalance_timeout = rebalance_timeout;
        member.client.clone_from(&request.client);
        member.classic = None;
        news = true;
    }
    news
}
