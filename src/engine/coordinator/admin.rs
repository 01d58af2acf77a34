//! Groups as admin clients see them: list, describe, delete.

use std::sync::Arc;

use super::super::core::Engine;
use super::{Kind, answer_channel};
use crate::engine::api::group::{GroupDescription, GroupListing};
use crate::engine::group::{GroupError, GroupRecord};

// === impl Engine ===

impl Engine {
    /// All groups, by name.
    ///
    /// # Errors
    /// `Loading`, `Unavailable`.
    pub fn list_groups(&self) -> Result<Vec<GroupListing>, GroupError> {
        self.core.check_coordinator("")?;
        let mut listings: Vec<GroupListing> = Vec::new();
        for cell in self.core.coordinator.cells() {
            let group = cell.group.lock();
            if group.removed || group.is_blank() {
                continue;
            }
            let (protocol_type, state, group_type) = match &group.kind {
                Kind::Classic(classic) => (classic.protocol_type(), classic.state_name(), "classic"),
                Kind::Consumer(consumer) => ("consumer".into(), consumer.state_name(), "consumer"),
            };
            listings.push(GroupListing { group: Arc::clone(&cell.id), protocol_type, state, group_type });
        }
        listings.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(listings)
    }

    /// A classic group in full.
    ///
    /// # Errors
    /// `GroupIdNotFound`, `Loading`, `Unavailable`.
    pub fn describe_group(&self, id: &Arc<str>) -> Result<GroupDescription, GroupError> {
        self.core.check_coordinator(id)?;
        let not_found = || GroupError::GroupIdNotFound { group: Arc::clone(id) };
        let cell = self.core.coordinator.find(id).ok_or_else(not_found)?;
        let group = cell.group.lock();
        if group.removed || group.is_blank() {
            return Err(not_found());
        }
        match &group.kind {
            Kind::Classic(classic) => Ok(classic.describe()),
            Kind::Consumer(_) => Err(not_found()),
        }
    }

    /// Deletes a group that has no members, with its offsets; answered when that is on the disk.
    ///
    /// # Errors
    /// `GroupIdNotFound`, `NonEmptyGroup`.
    pub fn delete_group(&self, id: &Arc<str>) -> impl Future<Output = Result<(), GroupError>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let (answer, outcome) = answer_channel();
        let group_id = Arc::clone(id);
        let begun = core.change_existing(id, |group, effects| {
            if !group.kind.is_empty() {
                return effects.answer(answer, Err(GroupError::NonEmptyGroup { group: group_id }));
            }
            // One record for all of it, offsets that are on their way into the log included.
            effects.records.push(GroupRecord::Gone { group: group_id.to_string() });
            effects.answer(answer, Ok(()));
            group.kind = Kind::simple(group_id);
        });
        let group = Arc::clone(id);
        async move {
            match begun? {
                Some(()) => outcome.await,
                None => Err(GroupError::GroupIdNotFound { group }),
            }
        }
    }
}
