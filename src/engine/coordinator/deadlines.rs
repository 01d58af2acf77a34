//! When a group has something to do by the clock: one entry in the purgatory for each group, at its earliest deadline.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::super::core::Core;
use super::{Group, GroupCell};
use crate::engine::group::Effects;
use crate::purgatory::DelayedOperation;

/// Waits in the purgatory for a group's deadline.
struct Deadline {
    core: Weak<Core>,
    cell: Arc<GroupCell>,
    at: Duration,
}

// === impl Deadline ===

impl DelayedOperation for Deadline {
    /// Only time ends it.
    fn try_complete(&self) -> bool {
        false
    }

    fn expire(&self) {
        if let Some(core) = self.core.upgrade() {
            core.group_is_due(&self.cell, self.at);
        }
    }
}

// === impl Core ===

impl Core {
    /// The deadline of a group that has to be waited for, where that is news.
    pub(super) fn deadline_to_watch(&self, group: &mut Group) -> Option<Duration> {
        let next = group.kind.next_deadline()?;
        let news = group.scheduled.is_none_or(|scheduled| next < scheduled);
        news.then(|| {
            group.scheduled = Some(next);
            next
        })
    }

    pub(super) fn watch_deadline(self: &Arc<Self>, cell: &Arc<GroupCell>, at: Duration) {
        let deadline = Deadline { core: Arc::downgrade(self), cell: Arc::clone(cell), at };
        self.purgatory.watch(Arc::new(deadline), [], at);
    }

    fn group_is_due(self: &Arc<Self>, cell: &Arc<GroupCell>, at: Duration) {
        let mut group = cell.group.lock();
        // An earlier deadline has come between, or the group has gone.
        if group.removed || group.scheduled != Some(at) {
            return;
        }
        group.scheduled = None;
        let mut effects = Effects::default();
        group.kind.expire(&cell.id, self, &mut effects);
        self.settle(cell, group, effects);
    }
}
