//! The classic protocol's requests: join, sync, heartbeat, leave.

use std::sync::Arc;

use super::super::core::{Core, Engine};
use super::{Kind, answer_channel, check_group_id};
use crate::engine::api::group::{JoinRequest, Joined, MemberName, SyncRequest, Synced};
use crate::engine::group::classic::Join;
use crate::engine::group::{GroupError, weight};

// === impl Engine ===

impl Engine {
    /// Whether this broker coordinates the group.
    ///
    /// # Errors
    /// `InvalidGroupId`, `NotCoordinator`, `Loading`, `Unavailable`.
    pub fn find_coordinator(&self, group: &str) -> Result<(), GroupError> {
        self.core.check_coordinator(group)
    }

    /// Takes a member into the next generation of its group; answered when that begins.
    ///
    /// # Errors
    /// As of JoinGroup; see [`GroupError`].
    pub fn join_group(
        &self,
        request: JoinRequest,
    ) -> impl Future<Output = Result<Joined, GroupError>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let (answer, outcome) = answer_channel();
        let begun = core.begin_join(request, answer);
        async move {
            begun?;
            outcome.await
        }
    }

    /// A member's assignment; answered when the leader has brought it.
    ///
    /// # Errors
    /// As of SyncGroup; see [`GroupError`].
    pub fn sync_group(
        &self,
        request: SyncRequest,
    ) -> impl Future<Output = Result<Synced, GroupError>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let (answer, outcome) = answer_channel();
        let now = core.env.clock.monotonic();
        let (id, member) = (Arc::clone(&request.group), Arc::clone(&request.name.member));
        let begun = core.change_existing(&id, |group, effects| {
            if let Err(error) = core.coordinator.budget.charge(group, weight::of_sync(&request)) {
                return effects.answer(answer, Err(error));
            }
            match &mut group.kind {
                Kind::Classic(classic) => classic.sync(request, now, answer, effects),
                Kind::Consumer(consumer) => {
                    let outcome = consumer.classic_sync(&request, core.view_for(&id).context());
                    effects.answer(answer, outcome);
                }
            }
        });
        async move {
            match begun? {
                Some(()) => outcome.await,
                None => Err(GroupError::UnknownMember { member }),
            }
        }
    }

    /// A member is alive.
    ///
    /// # Errors
    /// As of Heartbeat; see [`GroupError`].
    pub fn heartbeat(&self, id: &str, name: &MemberName, generation: i32) -> Result<(), GroupError> {
        let now = self.core.env.clock.monotonic();
        let outcome = self.core.change_existing(id, |group, _| match &mut group.kind {
            Kind::Classic(classic) => classic.heartbeat(name, generation, now),
            Kind::Consumer(consumer) => {
                consumer.classic_heartbeat(name, generation, self.core.view_for(id).context())
            }
        })?;
        outcome.unwrap_or_else(|| Err(GroupError::UnknownMember { member: Arc::clone(&name.member) }))
    }

    /// Members go; what became of each.
    ///
    /// # Errors
    /// When the coordinator cannot be asked at all.
    pub fn leave_group(
        &self,
        id: &str,
        leaving: &[MemberName],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let now = self.core.env.clock.monotonic();
        let core = &self.core;
        let outcomes = core.change_existing(id, |group, effects| match &mut group.kind {
            Kind::Classic(classic) => classic.leave(leaving, &core.coordinator.classic, now, effects),
            Kind::Consumer(consumer) => {
                let mut records = Vec::new();
                let outcomes = consumer.classic_leave(leaving, &mut records);
                effects.keep(id, records);
                outcomes
            }
        })?;
        let unknown = |name: &MemberName| Err(GroupError::UnknownMember { member: Arc::clone(&name.member) });
        Ok(outcomes.unwrap_or_else(|| leaving.iter().map(unknown).collect()))
    }
}

// === impl Core ===

impl Core {
    fn begin_join(
        self: &Arc<Self>,
        request: JoinRequest,
        answer: crate::engine::group::Answer<Joined>,
    ) -> Result<(), GroupError> {
        let now = self.env.clock.monotonic();
        let id = Arc::clone(&request.group);
        check_group_id(&id)?;
        // As in Kafka: one that claims to be a member of a group that is not there is none.
        if !request.name.member.is_empty() && self.coordinator.find(&id).is_none() {
            self.check_coordinator(&id)?;
            return Err(GroupError::UnknownMember { member: request.name.member });
        }
        let prefix = request.name.instance.clone().unwrap_or_else(|| Arc::clone(&request.client.id));
        let settings = &self.coordinator.classic;
        let new_id = || Arc::from(format!("{prefix}-{}", self.random_uuid()));
        self.change_group(&id, |group, effects| {
            if group.kind.is_empty() && matches!(group.kind, Kind::Consumer(_)) {
                // Nobody is there to mind which protocol the group speaks.
                effects.records.extend(group.kind.removal(&id));
                group.kind = Kind::simple(Arc::clone(&id));
            }
            let known_bytes = group.kind.weight_of(&request.name);
            let growth_bytes = weight::of_join(&request).saturating_sub(known_bytes);
            if let Err(error) = self.coordinator.budget.charge(group, growth_bytes) {
                return effects.answer(answer, Err(error));
            }
            match &mut group.kind {
                Kind::Classic(classic) => {
                    classic.join(Join { request, settings, now, answer }, new_id, effects);
                }
                Kind::Consumer(consumer) => {
                    let view = self.view_for(&id);
                    let mut records = Vec::new();
                    let allowed = settings.check_session_timeout(request.session_timeout);
                    let outcome = allowed
                        .and_then(|()| consumer.classic_join(&request, new_id, view.context(), &mut records));
                    effects.keep(&id, records);
                    effects.answer(answer, outcome);
                    // Of a classic member it keeps what it wants twice: as it came, and as it was read.
                    self.coordinator.budget.measure(group);
                }
            }
        })
    }

    /// A random UUID in its usual form.
    pub(super) fn random_uuid(&self) -> String {
        let mut bytes = [0; 16];
        self.env.entropy.fill(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}
