//! After the start: the log of groups is replayed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::core::Core;
use super::{ClassicGroup, ConsumerGroup, Kind, readiness};
use crate::engine::group::GroupRecord;
use crate::engine::group::consumer::ConsumerRecord;
use crate::types::TopicId;

// === impl Core ===

impl Core {
    /// Replays the log of groups on the pool; requests are refused with `Loading` until it is done.
    pub(in crate::engine) fn load_groups(self: &Arc<Self>) {
        // A pool that ends before it comes to this must not keep the engine.
        let core = Arc::downgrade(self);
        self.pool.spawn(Box::new(move || {
            let Some(core) = core.upgrade() else { return };
            let outcome = core.replay_groups();
            let readiness = match outcome {
                Ok(()) => readiness::READY,
                Err(why) => {
                    tracing::error!(%why, "the log of groups cannot be read; groups are not served");
                    readiness::FAILED
                }
            };
            core.coordinator.readiness.store(readiness, Ordering::Release);
        }));
    }

    fn replay_groups(self: &Arc<Self>) -> Result<(), String> {
        let coordinator = &self.coordinator;
        let now = self.env.clock.monotonic();
        // Most records are of a group that is known by then.
        let cell_of =
            |group: &str| coordinator.find(group).unwrap_or_else(|| coordinator.find_or_add(&group.into()));
        let replayed = coordinator.log.replay(|record| match record {
            GroupRecord::Offset { group, topic, partition, committed } => {
                let cell = cell_of(&group);
                cell.group.lock().offsets.apply(TopicId(topic), partition, committed);
            }
            GroupRecord::Classic { group, state } => {
                let cell = cell_of(&group);
                let id = Arc::clone(&cell.id);
                cell.group.lock().kind = Kind::Classic(match state {
                    Some(state) => ClassicGroup::from_record(id, state, now),
                    None => ClassicGroup::new(id),
                });
            }
            GroupRecord::Gone { group } => {
                if let Some(cell) = coordinator.find(&group) {
                    let mut known = cell.group.lock();
                    known.kind = Kind::simple(Arc::clone(&cell.id));
                    known.offsets.clear();
                }
            }
            GroupRecord::Consumer { group, record } => {
                let cell = cell_of(&group);
                let mut group = cell.group.lock();
                if let ConsumerRecord::Group(None) = record {
                    group.kind = Kind::simple(Arc::clone(&cell.id));
                    return;
                }
                if let Kind::Classic(_) = group.kind {
                    group.kind = Kind::Consumer(ConsumerGroup::new());
                }
                if let Kind::Consumer(consumer) = &mut group.kind {
                    consumer.replay(record);
                }
            }
        })?;
        let mut live = 0;
        for cell in coordinator.cells() {
            let mut group = cell.group.lock();
            live += 1 + group.offsets.iter().count() as u64;
            if let Kind::Consumer(consumer) = &mut group.kind {
                live += 3 * consumer.member_count() as u64;
                consumer.loaded(&coordinator.consumer, now);
            }
            if group.kind.is_simple() && group.offsets.is_empty() {
                group.removed = true;
                drop(group);
                coordinator.forget(&cell);
                continue;
            }
            coordinator.budget.measure(&mut group);
            let due = self.deadline_to_watch(&mut group);
            drop(group);
            if let Some(due) = due {
                self.watch_deadline(&cell, due);
            }
        }
        coordinator.log.note_live(live);
        if coordinator.log.wants_snapshot() {
            coordinator.log.snapshot(self).map_err(|error| error.to_string())?;
        }
        if replayed > 0 {
            tracing::info!(groups = coordinator.groups.read().len(), records = replayed, "groups are loaded");
        }
        Ok(())
    }
}
