//! One member's next step towards its target.
//!
//! ```text
//! Stable    at the target of its epoch            -> when there is a newer target
//! Revoking  told to stop reading some partitions  -> when it no longer lists them
//! Waiting   some of its target is another's yet   -> when that is given up
//! ```
//!
//! A partition changes hands in this order: its owner is told to stop, the owner's heartbeat no longer lists it, and only
//! then is anybody told to read it.

use std::sync::Arc;

use super::member::State;
use super::{ConsumerGroup, ConsumerRecord, Context, Partitions};

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Same,
    /// Its epoch or state is another; what it may read is not.
    Moved,
    /// It may read something else.
    Reassigned,
}

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// Takes a member as far towards its target as it can go. `owned` is what it says it has, None when it says nothing.
    pub(super) fn reconcile(
        &mut self,
        id: &Arc<str>,
        owned: Option<&Partitions>,
        context: Context<'_>,
        records: &mut Vec<ConsumerRecord>,
    ) -> Step {
        let member = self.members.get(id).expect("the caller has found it");
        let still_has = |parts: &Partitions| owned.is_none_or(|owned| !owned.is_disjoint(parts));
        let epoch = match member.state {
            State::Stable if member.epoch == self.assignment_epoch => return Step::Same,
            State::Revoking if still_has(&member.revoking) => return Step::Same,
            // What it gave up belongs to a step of its own, so that an answer lost after it is told from one before.
            State::Revoking => member.epoch + 1,
            State::Stable | State::Waiting => member.epoch,
        };
        let is_free = |part: &&_| self.owners.get(*part).is_none_or(|owner| owner == id);
        let mut assigned: Partitions = member.assigned.intersection(&member.target).copied().collect();
        let mut revoking: Partitions = member.assigned.difference(&member.target).copied().collect();
        let (state, epoch) = if !revoking.is_empty() && still_has(&revoking) {
            (State::Revoking, epoch)
        } else {
            revoking.clear();
            let missing = member.target.len() - assigned.len();
            let before = assigned.len();
            assigned.extend(member.target.difference(&member.assigned).filter(is_free));
            let waits = assigned.len() - before < missing;
            (if waits { State::Waiting } else { State::Stable }, self.assignment_epoch)
        };
        let reassigned = assigned != member.assigned;
        if !reassigned && state == member.state && epoch == member.epoch && revoking == member.revoking {
            return Step::Same;
        }
        self.set_owned(id, assigned, revoking);
        let member = self.members.get_mut(id).expect("found above");
        member.state = state;
        member.set_epoch(epoch);
        member.rebalance_deadline =
            (state == State::Revoking).then(|| context.now + member.rebalance_timeout);
        records.push(ConsumerRecord::current(id, member));
        if let Some(deadline) = member.rebalance_deadline {
            self.due(deadline);
        }
        if reassigned { Step::Reassigned } else { Step::Moved }
    }
}
