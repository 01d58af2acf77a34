//! SyncGroup: the leader brings the assignment, everybody gets their part.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{ClassicGroup, ClassicSettings, State};
use crate::engine::api::group::{SyncRequest, Synced};
use crate::engine::group::{Answer, Effects, GroupError};

// === impl ClassicGroup ===

impl ClassicGroup {
    /// Answers with the member's assignment, now or when the leader has brought it.
    pub(crate) fn sync(
        &mut self,
        request: SyncRequest,
        now: Duration,
        answer: Answer<Synced>,
        effects: &mut Effects,
    ) {
        if let Err(error) = self.check_sync(&request) {
            return effects.answer(answer, Err(error));
        }
        let id = Arc::clone(&request.name.member);
        self.renew(&id, now);
        self.missing.remove(&id);
        match self.state {
            State::Empty | State::Preparing(_) => {
                effects.answer(answer, Err(GroupError::RebalanceInProgress));
            }
            State::Stable => effects.answer(answer, Ok(self.synced(&id))),
            State::Completing => {
                let member = self.members.get_mut(&id).expect("it was checked");
                if let Some(earlier) = member.syncing.replace(answer) {
                    effects.answer(earlier, Err(GroupError::RebalanceInProgress));
                }
                if self.is_leader(&id) {
                    self.assign(request.assignments, now, effects);
                }
            }
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        self.check_name(&request.name)?;
        self.check_generation(request.generation)?;
        let differs = |asked: &Option<Arc<str>>, known: &Option<Arc<str>>| {
            asked.is_some() && known.is_some() && asked != known
        };
        if differs(&request.protocol_type, &self.protocol_type) {
            return Err(GroupError::InconsistentProtocol { why: "the group is of another protocol type" });
        }
        if differs(&request.protocol, &self.protocol) {
            return Err(GroupError::InconsistentProtocol { why: "the group has chosen another protocol" });
        }
        Ok(())
    }

    /// The leader has assigned. Members that have not asked yet still have to, or they are taken out.
    fn assign(&mut self, assignments: Vec<(Arc<str>, Bytes)>, now: Duration, effects: &mut Effects) {
        self.members.values_mut().for_each(|member| member.assignment = Bytes::new());
        for (id, assignment) in assignments {
            // The leader may name one that has gone.
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        effects.records.push(self.to_record());
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let synced = self.synced(&id);
            let member = self.members.get_mut(&id).expect("one of the keys");
            if let Some(answer) = member.syncing.take() {
                effects.answer(answer, Ok(synced));
                self.renew(&id, now);
            }
        }
    }

    fn synced(&self, id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    /// What was left to be kept could not be: the generation never was. Everybody joins anew.
    pub(crate) fn not_kept(&mut self, settings: &ClassicSettings, now: Duration, effects: &mut Effects) {
        if matches!(self.state, State::Stable) {
            self.members.values_mut().for_each(|member| member.assignment = Bytes::new());
            self.prepare_rebalance(settings, now, effects);
        }
    }
}
