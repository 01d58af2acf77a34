//! Who may commit offsets, and ask for those that others may not see yet.

use std::time::Duration;

use super::{ClassicGroup, State};
use crate::engine::api::group::Committer;
use crate::engine::group::GroupError;

// === impl ClassicGroup ===

impl ClassicGroup {
    /// Whether `committer` may commit offsets now; a member's session is renewed by it.
    ///
    /// # Errors
    /// `UnknownMember`, `FencedInstance`, `IllegalGeneration`; `RebalanceInProgress` while the assignment is made, when
    /// nobody knows what is whose.
    pub(crate) fn check_commit(&mut self, committer: &Committer, now: Duration) -> Result<(), GroupError> {
        let name = &committer.name;
        let nobody = committer.generation < 0 && name.member.is_empty() && name.instance.is_none();
        if nobody && self.members.is_empty() {
            return Ok(());
        }
        self.check_name(name)?;
        self.check_generation(committer.generation)?;
        if matches!(self.state, State::Completing) {
            return Err(GroupError::RebalanceInProgress);
        }
        self.renew(&name.member, now);
        Ok(())
    }
}
