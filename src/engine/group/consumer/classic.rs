//! Members of the classic protocol in a group of the consumer protocol, while its clients are moved from one to the other.
//!
//! They join, sync and send heartbeats as ever, and find themselves followers of a leader that they never see: the
//! coordinator. A generation is the member's epoch. When its target changes, a member is told to rebalance, joins with what
//! it has, and is given what it may read; what it has to give up first it gives up by joining once more without it.

use std::sync::Arc;

use super::heartbeat::too_long;
use super::member::{Classic, Member, State, by_topic};
use super::subscription::Subscription;
use super::{ConsumerGroup, ConsumerRecord, Context, Partitions, Topics, unknown};
use crate::engine::api::group::{JoinRequest, Joined, MemberName, SyncRequest, Synced};
use crate::engine::group::GroupError;
use crate::engine::group::embedded::{CONSUMER, EmbeddedSubscription, Named, write_assignment};
use crate::types::TopicPartition;

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// JoinGroup of a member of the classic protocol. It never waits for others.
    ///
    /// # Errors
    /// As of JoinGroup; see [`GroupError`]. The group is then as it was.
    pub(crate) fn classic_join(
        &mut self,
        request: &JoinRequest,
        new_id: impl FnOnce() -> Arc<str>,
        context: Context<'_>,
        records: &mut Vec<ConsumerRecord>,
    ) -> Result<Joined, GroupError> {
        let told = self.check_protocols(request)?;
        let known = self.find_joining(&request.name)?;
        // One that comes back with an id of ours has nothing yet. One that has was taken out meanwhile, and what it believes
        // to have may be another's.
        if known.is_none() && told.owned.iter().any(|(_, indexes)| !indexes.is_empty()) {
            return Err(unknown(&request.name.member));
        }
        if known.is_none() && self.members.len() >= context.settings.members_max {
            return Err(GroupError::GroupFull { members: context.settings.members_max });
        }
        let wanted = Subscription::new(told.topics.into_iter().map(Arc::from), None);
        self.subscriptions.check(&wanted)?;
        let id = if request.name.member.is_empty() { new_id() } else { Arc::clone(&request.name.member) };
        if request.name.member.is_empty() && request.name.instance.is_none() && request.needs_known_member {
            // Nothing is kept of it: it may come back with any id.
            return Err(GroupError::MemberIdRequired { member: id });
        }

        // From here on nothing is refused any more.
        let before = known.as_ref().map(|known| Arc::clone(&self.members[known].subscription));
        let wanted = self.subscriptions.add(wanted);
        let mut member = match &known {
            None => Member::new(request.client.clone(), Arc::clone(&wanted)),
            Some(known) if *known != id => self.take_over(known, &id, records),
            Some(known) => self.members.remove(known).expect("just found"),
        };
        if let Some(before) = &before {
            member.subscription = Arc::clone(&wanted);
            self.subscriptions.remove(before);
        }
        member.instance.clone_from(&request.name.instance);
        member.client.clone_from(&request.client);
        member.rebalance_timeout = request.rebalance_timeout;
        member.assignor = None;
        member.classic =
            Some(Classic { session_timeout: request.session_timeout, protocols: request.protocols.clone() });
        if let Some(instance) = &member.instance {
            self.instances.insert(Arc::clone(instance), Arc::clone(&id));
        }
        records.push(ConsumerRecord::member(&id, &member));
        if known.as_ref() != Some(&id) {
            records.push(ConsumerRecord::current(&id, &member));
        }
        self.members.insert(Arc::clone(&id), member);

        self.refresh(context, before.as_ref() != Some(&wanted), records);
        self.assign(context, records);
        let owned = owned(&told.owned, context.topics);
        self.reconcile(&id, Some(&owned), context, records);
        self.renew(&id, context);
        // It is to ask for its assignment in time.
        self.expect_soon(&id, context);
        self.finish(records);
        Ok(self.joined(&id))
    }

    /// What the member is told: that it follows somebody.
    fn joined(&self, id: &Arc<str>) -> Joined {
        let member = &self.members[id];
        let protocol = member.classic.as_ref().and_then(|classic| classic.protocols.first());
        Joined {
            member: Arc::clone(id),
            generation: member.epoch,
            protocol_type: Some(CONSUMER.into()),
            protocol: protocol.map(|(name, _)| Arc::clone(name)),
            leader: Arc::default(),
            skip_assignment: false,
            members: Vec::new(),
        }
    }

    /// SyncGroup: what the member may read.
    ///
    /// # Errors
    /// As of SyncGroup; see [`GroupError`].
    pub(crate) fn classic_sync(
        &mut self,
        request: &SyncRequest,
        context: Context<'_>,
    ) -> Result<Synced, GroupError> {
        let id = self.find_classic(&request.name, request.generation)?;
        let member = &self.members[&id];
        let (protocol, bytes) = member.first_protocol();
        let differs =
            |given: &Option<Arc<str>>, own: &str| given.as_ref().is_some_and(|given| **given != *own);
        if differs(&request.protocol_type, CONSUMER) || differs(&request.protocol, protocol) {
            return Err(GroupError::InconsistentProtocol { why: "the group uses another protocol" });
        }
        if self.epoch > member.epoch && member.state != State::Revoking {
            self.expect_soon(&id, context);
            return Err(GroupError::RebalanceInProgress);
        }
        let assignment = write_assignment(&named(&member.assigned, context.topics), bytes);
        let synced = Synced {
            protocol_type: Some(CONSUMER.into()),
            protocol: Some(Arc::from(protocol)),
            assignment: assignment.into(),
        };
        let member = self.members.get_mut(&id).expect("just found");
        member.rebalance_deadline = None;
        self.renew(&id, context);
        Ok(synced)
    }

    /// Heartbeat: the member is alive, and is told when it has to join again.
    ///
    /// # Errors
    /// As of Heartbeat; see [`GroupError`].
    pub(crate) fn classic_heartbeat(
        &mut self,
        name: &MemberName,
        generation: i32,
        context: Context<'_>,
    ) -> Result<(), GroupError> {
        let id = self.find_classic(name, generation)?;
        self.renew(&id, context);
        let member = &self.members[&id];
        let all_free = || {
            let mut missing = member.target.difference(&member.assigned);
            missing.all(|part| self.owners.get(part).is_none_or(|owner| *owner == id))
        };
        if self.epoch > member.epoch
            || member.state == State::Revoking
            || (member.state == State::Waiting && all_free())
        {
            self.expect_soon(&id, context);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// LeaveGroup: members go; what became of each.
    pub(crate) fn classic_leave(
        &mut self,
        leaving: &[MemberName],
        records: &mut Vec<ConsumerRecord>,
    ) -> Vec<Result<(), GroupError>> {
        let mut gone = false;
        let outcomes = leaving.iter().map(|name| {
            // Members of either protocol: admin clients take members out with this request. An instance may be taken out by
            // whoever names it.
            let by_instance = name.instance.as_ref().filter(|_| name.member.is_empty());
            let id = match by_instance.and_then(|instance| self.instances.get(instance)) {
                Some(id) => Arc::clone(id),
                None => self.find(name)?,
            };
            self.remove(&id, records);
            gone = true;
            Ok(())
        });
        let outcomes = outcomes.collect();
        if gone {
            self.grow(records);
            self.finish(records);
        }
        outcomes
    }

    /// Whether a member that joins can follow the coordinator as the others do; what it wants and has.
    fn check_protocols(&self, request: &JoinRequest) -> Result<EmbeddedSubscription, GroupError> {
        let inconsistent = |why| GroupError::InconsistentProtocol { why };
        if *request.protocol_type != *CONSUMER {
            return Err(inconsistent("the group is of another protocol type"));
        }
        let (_, bytes) =
            request.protocols.first().ok_or(inconsistent("a member has at least one protocol"))?;
        let others = || {
            let others = self.members.iter().filter(|(id, _)| **id != request.name.member);
            others.filter_map(|(_, member)| member.classic.as_ref())
        };
        let shared =
            |name: &str| others().all(|classic| classic.protocols.iter().any(|(other, _)| **other == *name));
        if !request.protocols.iter().any(|(name, _)| shared(name)) {
            return Err(inconsistent("no protocol is one of all members"));
        }
        if too_long(&request.client, [Some(&request.name.member), request.name.instance.as_ref()]) {
            return Err(super::invalid("the ids that the member gives are too long"));
        }
        EmbeddedSubscription::read(bytes).ok_or(inconsistent("the member's subscription cannot be read"))
    }

    /// The member that joins, where the group knows it. An instance may be another process now.
    fn find_joining(&self, name: &MemberName) -> Result<Option<Arc<str>>, GroupError> {
        let Some(instance) = &name.instance else {
            return match self.members.get_key_value(&name.member) {
                Some((_, member)) if member.classic.is_none() => Err(unknown(&name.member)),
                found => Ok(found.map(|(id, _)| Arc::clone(id))),
            };
        };
        match self.instances.get(instance) {
            Some(id) if name.member.is_empty() || *id == name.member => Ok(Some(Arc::clone(id))),
            Some(_) => Err(GroupError::FencedInstance { instance: Arc::clone(instance) }),
            None if name.member.is_empty() => Ok(None),
            None => Err(unknown(&name.member)),
        }
    }

    /// The member that is named.
    fn find(&self, name: &MemberName) -> Result<Arc<str>, GroupError> {
        if let Some(instance) = &name.instance {
            match self.instances.get(instance) {
                None => return Err(unknown(&name.member)),
                Some(id) if *id != name.member => {
                    return Err(GroupError::FencedInstance { instance: Arc::clone(instance) });
                }
                Some(_) => {}
            }
        }
        let found = self.members.get_key_value(&name.member).ok_or_else(|| unknown(&name.member))?;
        Ok(Arc::clone(found.0))
    }

    /// The member of the classic protocol that is named.
    fn find_classic(&self, name: &MemberName, generation: i32) -> Result<Arc<str>, GroupError> {
        let id = self.find(name)?;
        let member = &self.members[&id];
        if member.classic.is_none() {
            return Err(unknown(&name.member));
        }
        let current = member.epoch;
        if generation == current {
            Ok(id)
        } else {
            Err(GroupError::IllegalGeneration { asked: generation, current })
        }
    }

    /// A member has to do its part within its rebalance timeout.
    fn expect_soon(&mut self, id: &str, context: Context<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let deadline = *member.rebalance_deadline.get_or_insert(context.now + member.rebalance_timeout);
        self.due(deadline);
    }
}

// === impl Member ===

impl Member {
    /// The protocol that a classic member follows, with its bytes.
    pub(super) fn first_protocol(&self) -> (&str, &[u8]) {
        let first = self.classic.as_ref().and_then(|classic| classic.protocols.first());
        first.map_or(("", &[]), |(name, bytes)| (name, bytes))
    }
}

/// What a member has, by its own words; of topics that there are.
pub(super) fn owned(named: &Named, topics: &dyn Topics) -> Partitions {
    let known = named.iter().filter_map(|(name, indexes)| Some((topics.by_name(name)?, indexes)));
    let parts = known.flat_map(|((topic, count), indexes)| {
        let there = move |index: &&i32| u32::try_from(**index).is_ok_and(|index| index < count);
        indexes.iter().filter(there).map(move |&partition| TopicPartition { topic, partition })
    });
    parts.collect()
}

/// Partitions by the names of their topics; of those that there are.
pub(super) fn named(partitions: &Partitions, topics: &dyn Topics) -> Named {
    let by_topic = by_topic(partitions).into_iter();
    by_topic.filter_map(|(topic, indexes)| Some((topics.name_of(topic)?.to_string(), indexes))).collect()
}
