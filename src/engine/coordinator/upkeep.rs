//! From time to time: offsets that nobody needs any more go, and groups that have nothing left.

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::core::Core;
use super::super::image::MetadataImage;
use super::{Group, Kind, readiness};
use crate::engine::group::{Effects, GroupRecord};
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
            let records = group.expired_offsets(&cell.id, self.coordinator.offsets_retention, now_ms, &image);
            let mut effects = Effects { records, ..Effects::default() };
            let (idle, without_offsets) = (group.is_idle(), group.offsets.is_empty());
            if idle && without_offsets {
                effects.records.extend(group.kind.removal(&cell.id));
                group.kind = Kind::simple(Arc::clone(&cell.id));
            }
            self.coordinator.budget.measure(&mut group);
            self.settle(&cell, group, effects);
        }
    }
}

// === impl Group ===

impl Group {
    /// Offsets to be given up. Those of a group without members go when it has been empty for so long, those of a group
    /// that has some when no member reads their topic; in either case not before they are that old themselves. What is
    /// left of a deleted topic goes at once.
    fn expired_offsets(
        &self,
        id: &str,
        retention: Duration,
        now_ms: TimestampMs,
        image: &MetadataImage,
    ) -> Vec<GroupRecord> {
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let is_old = |since: TimestampMs| since.saturating_add(retention_ms) <= now_ms;
        let given_up = match self.kind.empty_since_ms() {
            Some(since) => is_old(since),
            None => self.kind.is_simple(),
        };
        // Asked of large groups only when there is something to be asked about.
        let read = LazyCell::new(|| self.kind.topics_read());
        let is_unread = |topic: &str| read.as_ref().is_some_and(|read| !read.contains(topic));
        self.offsets.removal(id, |topic, _, committed| match image.topic_by_id(topic) {
            None => true,
            Some(topic) => {
                let is_over = given_up || (self.kind.empty_since_ms().is_none() && is_unread(&topic.name));
                is_old(committed.at_ms) && is_over
            }
        })
    }
}
