//! Groups of the consumer protocol (KIP-848): heartbeats, descriptions, and what they see of the topics.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::config::{BrokerSettings, group_value};
use super::super::core::{Core, Engine};
use super::super::image::MetadataImage;
use super::{Group, Kind, answer_channel, check_length, readiness, unavailable};
use crate::engine::api::consumer_group::{
    ConsumerGroupDescription, ConsumerHeartbeat, ConsumerHeartbeatOutcome,
};
use crate::engine::api::group::MemberName;
use crate::engine::group::classic::{ClassicGroup, ClassicSettings};
use crate::engine::group::consumer::assign::Assignor;
use crate::engine::group::consumer::{ConsumerGroup, ConsumerSettings, Context, Topics, check_heartbeat};
use crate::engine::group::{Effects, GroupError, weight};
use crate::types::TopicId;

// === impl Engine ===

impl Engine {
    /// A member of a group of the consumer protocol joins, lives or leaves; answered when what the answer stands on is
    /// kept.
    ///
    /// # Errors
    /// As of ConsumerGroupHeartbeat; see [`GroupError`].
    pub fn consumer_group_heartbeat(
        &self,
        request: &ConsumerHeartbeat,
    ) -> impl Future<Output = Result<ConsumerHeartbeatOutcome, GroupError>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let (answer, outcome) = answer_channel();
        let begun = core.begin_heartbeat(request, answer);
        async move {
            begun?;
            outcome.await
        }
    }

    /// A group of the consumer protocol in full.
    ///
    /// # Errors
    /// `GroupIdNotFound`, also for one of another type; `Loading`, `Unavailable`.
    pub fn describe_consumer_group(&self, id: &Arc<str>) -> Result<ConsumerGroupDescription, GroupError> {
        self.core.check_coordinator(id)?;
        let not_found = || GroupError::GroupIdNotFound { group: Arc::clone(id) };
        let cell = self.core.coordinator.find(id).ok_or_else(not_found)?;
        let view = self.core.view_for(id);
        let group = cell.group.lock();
        match &group.kind {
            Kind::Consumer(consumer) if !group.removed => Ok(consumer.describe(&view.settings, &view.topics)),
            _ => Err(not_found()),
        }
    }
}

// === impl Core ===

impl Core {
    fn begin_heartbeat(
        self: &Arc<Self>,
        request: &ConsumerHeartbeat,
        answer: crate::engine::group::Answer<ConsumerHeartbeatOutcome>,
    ) -> Result<(), GroupError> {
        let id = &request.group;
        if id.is_empty() {
            return Err(GroupError::InvalidRequest { why: "GroupId can't be empty.".into() });
        }
        check_length(id)?;
        let joins = request.epoch == 0;
        let view = self.view_for(id);
        check_heartbeat(request, &view.settings.assignors)?;
        let serve = |group: &mut Group, effects: &mut Effects| {
            if let Err(error) = self.check_room(request, group, &view) {
                return effects.answer(answer, Err(error));
            }
            let new_id = || self.random_uuid().into();
            let outcome = group.consumer_heartbeat(request, new_id, view.context(), effects);
            let is_no_news = outcome.as_ref().is_ok_and(|outcome| outcome.is_no_news(request.epoch));
            // Most heartbeats: they need not wait for the offsets that others commit.
            if is_no_news && effects.records.is_empty() {
                effects.answer_at_once(answer, outcome);
            } else {
                effects.answer(answer, outcome);
            }
        };
        if joins {
            return self.change_group(id, serve);
        }
        let found = self.change_existing(id, serve)?;
        found.ok_or_else(|| GroupError::GroupIdNotFound { group: Arc::clone(id) })
    }

    /// Takes room for what a heartbeat brings, and for what it may be answered.
    fn check_room(
        &self,
        request: &ConsumerHeartbeat,
        group: &mut Group,
        view: &View,
    ) -> Result<(), GroupError> {
        let budget = &self.coordinator.budget;
        if request.epoch == 0 || request.topics.is_some() || request.pattern.is_some() {
            let name = MemberName { member: Arc::clone(&request.member), instance: request.instance.clone() };
            let known_bytes = group.kind.weight_of(&name);
            return budget.charge(group, weight::of_heartbeat(request).saturating_sub(known_bytes));
        }
        match &group.kind {
            // Partitions that were added are nobody's until there is room to tell their readers.
            Kind::Consumer(consumer)
                if budget.is_spent() && consumer.is_about_to_assign(view.topics.version()) =>
            {
                Err(unavailable("there is no room to share partitions out"))
            }
            _ => Ok(()),
        }
    }

    /// What a group of the consumer protocol sees now.
    pub(super) fn view_for(&self, id: &str) -> View {
        let topics = SeenTopics(self.image.load_full());
        let settings = self.consumer_settings(&topics.0, id);
        View { settings, topics, now: self.env.clock.monotonic() }
    }

    /// What the settings say about a group of the consumer protocol.
    fn consumer_settings(&self, image: &MetadataImage, id: &str) -> ConsumerSettings {
        let common = self.coordinator.consumer.clone();
        let Some(overrides) = image.group_overrides.get(id) else { return common };
        let value = |name| group_value(overrides, &image.settings, name);
        ConsumerSettings {
            session_timeout: value("consumer.session.timeout.ms"),
            heartbeat_interval: value("consumer.heartbeat.interval.ms"),
            ..common
        }
    }

    /// Has groups look at the topics again, when those have changed: by a job of the pool, at once.
    pub(in crate::engine) fn maybe_show_topics_to_groups(self: &Arc<Self>) {
        let coordinator = &self.coordinator;
        let version = self.image.load().version;
        if coordinator.readiness.load(Ordering::Acquire) == readiness::READY
            && coordinator.topics_shown.swap(version, Ordering::AcqRel) != version
        {
            let core = Arc::clone(self);
            self.pool.spawn(Box::new(move || core.show_topics_to_groups()));
        }
    }

    fn show_topics_to_groups(self: &Arc<Self>) {
        let version = self.image.load().version;
        for cell in self.coordinator.cells() {
            let mut group = cell.group.lock();
            if matches!(&group.kind, Kind::Consumer(consumer) if consumer.is_behind(version)) {
                let mut effects = Effects::default();
                group.kind.expire(&cell.id, self, &mut effects);
                self.settle(&cell, group, effects);
            }
        }
    }
}

// === impl Group ===

impl Group {
    /// Serves a heartbeat. A group without members becomes one of the consumer protocol by it, if it is not refused.
    fn consumer_heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
        new_id: impl FnOnce() -> Arc<str>,
        context: Context<'_>,
        effects: &mut Effects,
    ) -> Result<ConsumerHeartbeatOutcome, GroupError> {
        let id = &request.group;
        let mut records = Vec::new();
        let outcome = match &mut self.kind {
            Kind::Consumer(group) => group.heartbeat(request, new_id, context, &mut records)?,
            Kind::Classic(classic) if request.epoch == 0 => {
                let mut group = if classic.has_members() {
                    let group = ConsumerGroup::from_classic(&classic.to_state(), context);
                    group.map_err(|why| {
                        tracing::info!(group = %id, why, "a classic group stays one");
                        GroupError::GroupIdNotFound { group: Arc::clone(id) }
                    })?
                } else {
                    ConsumerGroup::new()
                };
                let had_members = !group.is_empty();
                let outcome = group.heartbeat(request, new_id, context, &mut records)?;
                if had_members {
                    records = group.to_records();
                }
                classic.dissolve(effects);
                effects.records.extend(self.kind.removal(id));
                self.kind = Kind::Consumer(group);
                outcome
            }
            Kind::Classic(_) => return Err(GroupError::GroupIdNotFound { group: Arc::clone(id) }),
        };
        effects.keep(id, records);
        Ok(outcome)
    }
}

// === impl Group: downgrade ===

impl Group {
    /// A group in which nobody speaks the consumer protocol any more becomes a classic one, whose members join anew.
    pub(super) fn maybe_downgrade(
        &mut self,
        id: &Arc<str>,
        classic: &ClassicSettings,
        context: Context<'_>,
        effects: &mut Effects,
    ) {
        let Kind::Consumer(consumer) = &self.kind else { return };
        if !context.settings.may_downgrade
            || !consumer.is_classic_by_now()
            || consumer.member_count() > classic.members_max
        {
            return;
        }
        let record = consumer.to_classic(context.topics);
        let mut group = ClassicGroup::from_record(Arc::clone(id), record, context.now);
        effects.records.extend(self.kind.removal(id));
        effects.records.push(group.to_record());
        group.begin_anew(classic, context.now, effects);
        self.kind = Kind::Classic(group);
    }
}

/// The settings that all groups of the consumer protocol have in common.
pub(super) fn settings_of(settings: &BrokerSettings) -> ConsumerSettings {
    let policy = settings.value("group.consumer.migration.policy");
    let assignors = settings.value("group.consumer.assignors").split(',');
    ConsumerSettings {
        session_timeout: settings.millis("group.consumer.session.timeout.ms"),
        heartbeat_interval: settings.millis("group.consumer.heartbeat.interval.ms"),
        members_max: settings.count("group.consumer.max.size"),
        may_upgrade: matches!(policy, "upgrade" | "bidirectional"),
        may_downgrade: matches!(policy, "downgrade" | "bidirectional"),
        assignors: assignors.filter_map(|name| Assignor::from_name(name.trim())).collect(),
    }
}

/// What a group of the consumer protocol sees at a moment: what its [`Context`] refers to.
pub(super) struct View {
    settings: ConsumerSettings,
    topics: SeenTopics,
    now: Duration,
}

/// The metadata as groups see it.
struct SeenTopics(Arc<MetadataImage>);

// === impl View ===

impl View {
    pub(super) fn context(&self) -> Context<'_> {
        Context { settings: &self.settings, topics: &self.topics, now: self.now }
    }
}

// === impl SeenTopics ===

impl Topics for SeenTopics {
    fn version(&self) -> u64 {
        self.0.version
    }

    fn by_name(&self, name: &str) -> Option<(TopicId, u32)> {
        let topic = self.0.topic_by_name(name)?;
        Some((topic.id, topic.partition_count().unsigned_abs()))
    }

    fn name_of(&self, id: TopicId) -> Option<Arc<str>> {
        self.0.topic_by_id(id).map(|topic| Arc::clone(&topic.name))
    }

    fn names(&self) -> Vec<Arc<str>> {
        let topics = self.0.topics().filter(|topic| !topic.is_internal);
        topics.map(|topic| Arc::clone(&topic.name)).collect()
    }
}
