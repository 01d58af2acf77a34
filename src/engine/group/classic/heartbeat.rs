//! Heartbeat: a member is alive, and asks whether it has to join again.

use std::time::Duration;

use super::{ClassicGroup, State};
use crate::engine::api::group::MemberName;
use crate::engine::group::GroupError;

// === impl ClassicGroup ===

impl ClassicGroup {
    /// Renews a member's session.
    ///
    /// # Errors
    /// `RebalanceInProgress` when it has to join again, which renews its session all the same; `UnknownMember`,
    /// `FencedInstance`, `IllegalGeneration`.
    pub(crate) fn heartbeat(
        &mut self,
        name: &MemberName,
        generation: i32,
        now: Duration,
    ) -> Result<(), GroupError> {
        self.check_name(name)?;
        self.check_generation(generation)?;
        self.renew(&name.member, now);
        if matches!(self.state, State::Preparing(_)) { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }
}
