//! A group goes from the classic protocol to this one when the first member of this one comes, and back when the last one
//! has gone, without its members losing what they read.

use std::sync::Arc;
use std::time::Duration;

use super::classic::{named, owned};
use super::member::{Classic, Member};
use super::subscription::Subscription;
use super::{ConsumerGroup, Context, Partitions, Topics};
use crate::engine::api::group::Client;
use crate::engine::group::embedded::{CONSUMER, EmbeddedSubscription, read_assignment, write_assignment};
use crate::engine::group::{ClassicMemberRecord, ClassicRecord};

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// The group of this protocol that a classic one becomes, or why it cannot. All that its members were last assigned is
    /// taken for theirs until they say otherwise; and so is what they said to have when they joined, unless it was assigned
    /// to another: one that is to give it up may not have heard of that yet.
    pub(crate) fn from_classic(record: &ClassicRecord, context: Context<'_>) -> Result<Self, &'static str> {
        if !context.settings.may_upgrade {
            return Err("group.consumer.migration.policy does not allow it");
        }
        if record.protocol_type.as_deref() != Some(CONSUMER) {
            return Err("it is not a group of consumers");
        }
        if record.members.len() >= context.settings.members_max {
            return Err("it has as many members as it may");
        }
        let mut group =
            Self { epoch: record.generation, assignment_epoch: record.generation, ..Self::default() };
        for member in &record.members {
            group.take_in(member, context)?;
        }
        for member in &record.members {
            let told = member.protocols.first().and_then(|(_, bytes)| EmbeddedSubscription::read(bytes));
            group.give(&member.id, owned(&told.unwrap_or_default().owned, context.topics));
        }
        Ok(group)
    }

    /// A member has these partitions, but for those that others have.
    fn give(&mut self, id: &str, parts: Partitions) {
        let Some((id, _)) = self.members.get_key_value(id) else { return };
        let id = Arc::clone(id);
        let member = self.members.get_mut(&id).expect("just found");
        for part in parts {
            if *self.owners.entry(part).or_insert_with(|| Arc::clone(&id)) == id {
                member.assigned.insert(part);
            }
        }
        member.target.clone_from(&member.assigned);
    }

    fn take_in(&mut self, record: &ClassicMemberRecord, context: Context<'_>) -> Result<(), &'static str> {
        let unreadable = "what a member told its leader cannot be read";
        let (_, bytes) = record.protocols.first().ok_or(unreadable)?;
        let told = EmbeddedSubscription::read(bytes).ok_or(unreadable)?;
        let wanted = Subscription::new(told.topics.into_iter().map(Arc::from), None);
        self.subscriptions.check(&wanted).map_err(|_| "its members subscribe to too much")?;
        let wanted = self.subscriptions.add(wanted);
        let client =
            Client { id: record.client_id.as_str().into(), host: record.client_host.as_str().into() };
        let id: Arc<str> = record.id.as_str().into();
        let protocols = record.protocols.iter();
        let session_timeout = Duration::from_millis(record.session_timeout_ms);
        let mut member = Member::new(client, wanted);
        member.instance = record.instance.as_deref().map(Arc::from);
        member.rebalance_timeout = Duration::from_millis(record.rebalance_timeout_ms);
        member.epoch = self.epoch;
        member.previous_epoch = member.epoch;
        member.session_deadline = context.now + session_timeout;
        member.classic = Some(Classic {
            session_timeout,
            protocols: protocols.map(|(name, bytes)| (name.as_str().into(), bytes.clone().into())).collect(),
        });
        if let Some(instance) = &member.instance {
            self.instances.insert(Arc::clone(instance), Arc::clone(&id));
        }
        self.due(member.session_deadline);
        self.members.insert(id, member);
        // Of two that were assigned the same, which only a broken leader does, the first has it.
        let assigned = read_assignment(&record.assignment).unwrap_or_default();
        self.give(&record.id, owned(&assigned, context.topics));
        Ok(())
    }

    /// Whether nobody here speaks this protocol any more, though there are members.
    pub(crate) fn is_classic_by_now(&self) -> bool {
        !self.members.is_empty() && self.members.values().all(|member| member.classic.is_some())
    }

    /// The classic group that this one becomes; its members are to join anew.
    pub(crate) fn to_classic(&self, topics: &dyn Topics) -> ClassicRecord {
        let text = |text: &Arc<str>| text.to_string();
        let members = self.members.iter().filter_map(|(id, member)| {
            let classic = member.classic.as_ref()?;
            let (_, bytes) = member.first_protocol();
            Some(ClassicMemberRecord {
                id: text(id),
                instance: member.instance.as_ref().map(text),
                client_id: text(&member.client.id),
                client_host: text(&member.client.host),
                session_timeout_ms: millis(classic.session_timeout),
                rebalance_timeout_ms: millis(member.rebalance_timeout),
                protocols: classic
                    .protocols
                    .iter()
                    .map(|(name, bytes)| (text(name), bytes.to_vec()))
                    .collect(),
                assignment: write_assignment(&named(&member.assigned, topics), bytes),
            })
        });
        let members: Vec<ClassicMemberRecord> = members.collect();
        ClassicRecord {
            // What members that have caught up take for theirs: they are told to rebalance, not that they are too late.
            generation: self.assignment_epoch,
            protocol_type: Some(CONSUMER.to_owned()),
            protocol: common_protocol(&members),
            leader: members.first().map(|member| member.id.clone()),
            members,
            empty_since_ms: None,
        }
    }
}

/// The protocol that all can do; the first member's order decides.
fn common_protocol(members: &[ClassicMemberRecord]) -> Option<String> {
    let can =
        |member: &ClassicMemberRecord, name: &str| member.protocols.iter().any(|(other, _)| other == name);
    let names = members.first()?.protocols.iter().map(|(name, _)| name);
    names.into_iter().find(|name| members.iter().all(|member| can(member, name))).cloned()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
