//! LeaveGroup: members go, or somebody says that they have.

use std::sync::Arc;
use std::time::Duration;

use super::{ClassicGroup, ClassicSettings, unknown};
use crate::engine::api::group::MemberName;
use crate::engine::group::{Effects, GroupError};

// === impl ClassicGroup ===

impl ClassicGroup {
    /// Takes members out, each by its id, or a static one by its instance id alone. What became of each.
    pub(crate) fn leave(
        &mut self,
        leaving: &[MemberName],
        settings: &ClassicSettings,
        now: Duration,
        effects: &mut Effects,
    ) -> Vec<Result<(), GroupError>> {
        let mut somebody = false;
        let mut outcomes = Vec::with_capacity(leaving.len());
        for name in leaving {
            outcomes.push(self.find_leaving(name).map(|id| {
                if self.expected.remove(&id).is_none() {
                    self.remove(&id, effects);
                }
                somebody = true;
            }));
        }
        if somebody {
            self.after_removal(settings, now, effects);
        }
        outcomes
    }

    fn find_leaving(&self, name: &MemberName) -> Result<Arc<str>, GroupError> {
        match &name.instance {
            None if self.expected.contains_key(&name.member) => Ok(Arc::clone(&name.member)),
            Some(instance) if name.member.is_empty() => {
                self.instances.get(instance).cloned().ok_or_else(|| unknown(&name.member))
            }
            _ => self.check_name(name).map(|()| Arc::clone(&name.member)),
        }
    }
}
