//! From time to time: offsets that nobody needs any more go, and groups that have nothing left.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::core::Core;
use super::{Kind, readiness};
use crate::engine::group::Effects;
use crate::types::TimestampMs;

// === impl Core ===

impl Core {
    /// Looks through all groups. `now_ms` is a time that does not jump.
    pub(in crate::engine) fn tidy_groups(self: &Arc<Self>, now_ms: TimestampMs) {
        if self.coordinator.readiness.load(Ordering::Acquire) != readiness::READY {
            return;
        }
        let image = self.image.load_full();
        for cell in self.coordinator.cells() {
            let mut group = cell.group.lock();
            if group.removed {
                continue;
            }
            let retention = self.coordinator.offsets_retention;
            let records = group
                .expired_offsets(&cell.id, retention, now_ms, |topic| image.topic_by_id(topic).is_some());
            let mut effects = Effects { records, ..Effects::default() };
            let (idle, without_offsets) = (group.is_idle(), group.offsets.is_empty());
            if idle && without_offsets {
                effects.records.extend(group.kind.removal(&cell.id));
                group.kind = Kind::simple(Arc::clone(&cell.id));
            }
            self.settle(&cell, group, effects);
        }
    }
}
