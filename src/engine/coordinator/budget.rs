//! How many bytes groups may keep, each and all together: what clients can make the broker hold is bounded here alone.
//!
//! A request that brings something is charged before it is served, with what it may add at most, and refused when there is no
//! room; one that brings nothing new (the commit of an offset that is known, a heartbeat) never is. So that nothing has to
//! be counted where groups change, a charge is an upper bound: when a quarter has been charged since a group was measured,
//! it is measured anew ([`group::weight`](crate::engine::group::weight)), which costs little for each byte that came.
//!
//! What always holds: what a group holds of the budget is at least its weight, but for what partitions were added to its
//! topics since; and it holds nothing when it is off the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Group, unavailable};
use crate::engine::config::BrokerSettings;
use crate::engine::group::{GroupError, GroupRecord, weight};

/// What groups may keep, and do.
pub(super) struct GroupBudget {
    /// `group.max.bytes`.
    group_bytes_max: usize,
    /// `group.coordinator.max.bytes`.
    all_bytes_max: usize,
    /// What all groups hold.
    held_bytes: AtomicUsize,
    /// What waits to be kept.
    on_the_way_bytes: AtomicUsize,
}

/// What one group holds of the budget.
#[derive(Debug)]
pub(super) struct Share {
    /// What it costs to be there.
    base_bytes: usize,
    held_bytes: usize,
    /// What of it is for offsets on their way: those are no offsets of the group yet.
    on_the_way_bytes: usize,
    /// It is measured when it holds more.
    measure_above_bytes: usize,
}

/// Bytes that wait to be kept, until this is dropped.
pub(super) struct OnTheWay {
    budget: Arc<GroupBudget>,
    bytes: usize,
}

const ALL: &str = "group.coordinator.max.bytes";
const EACH: &str = "group.max.bytes";
/// A group is not measured for less.
const MEASURED_FOR_BYTES: usize = 1024;

// === impl GroupBudget ===

impl GroupBudget {
    pub(super) fn new(settings: &BrokerSettings) -> Arc<Self> {
        Arc::new(Self {
            group_bytes_max: settings.count(EACH),
            all_bytes_max: settings.count(ALL),
            held_bytes: AtomicUsize::new(0),
            on_the_way_bytes: AtomicUsize::new(0),
        })
    }

    /// Takes room for what a request may add to a group.
    ///
    /// # Errors
    /// `OutOfRoom`; the group holds what it held.
    pub(super) fn charge(&self, group: &mut Group, growth_bytes: usize) -> Result<(), GroupError> {
        let mut growth_bytes = growth_bytes;
        if group.share.held_bytes == 0 {
            growth_bytes += group.share.base_bytes;
        } else if growth_bytes == 0 {
            return Ok(());
        }
        if self.check(group, growth_bytes).is_err() {
            self.measure(group);
            self.check(group, growth_bytes)?;
        }
        self.add(group, growth_bytes);
        Ok(())
    }

    /// As [`Self::charge`], for offsets that are about to be on their way.
    pub(super) fn charge_offsets(&self, group: &mut Group, growth_bytes: usize) -> Result<(), GroupError> {
        self.charge(group, growth_bytes)?;
        group.share.on_the_way_bytes += growth_bytes;
        Ok(())
    }

    fn check(&self, group: &Group, growth_bytes: usize) -> Result<(), GroupError> {
        let refuse = |setting, bytes_max| Err(GroupError::OutOfRoom { setting, bytes_max });
        if group.share.held_bytes.saturating_add(growth_bytes) > self.group_bytes_max {
            return refuse(EACH, self.group_bytes_max);
        }
        if self.held_bytes.load(Ordering::Relaxed).saturating_add(growth_bytes) > self.all_bytes_max {
            return refuse(ALL, self.all_bytes_max);
        }
        Ok(())
    }

    /// Whether all groups together hold as much as they may.
    pub(super) fn is_spent(&self) -> bool {
        self.held_bytes.load(Ordering::Relaxed) >= self.all_bytes_max
    }

    /// A group has changed, and left these records: it holds what they gave its members to read, and is measured when
    /// that is due.
    pub(super) fn note(&self, group: &mut Group, records: &[GroupRecord]) {
        self.add(group, weight::of_targets(records));
        if group.in_flight == 0 && records.is_empty() {
            group.share.on_the_way_bytes = 0;
        }
        if group.share.held_bytes > group.share.measure_above_bytes || weight::changes_protocol(records) {
            self.measure(group);
        }
    }

    /// A group holds its weight.
    pub(super) fn measure(&self, group: &mut Group) {
        let kept_bytes = group.kind.weight() + group.offsets.weight();
        let bytes = group.share.base_bytes + kept_bytes + group.share.on_the_way_bytes;
        self.release(group);
        self.add(group, bytes);
        group.share.measure_above_bytes = bytes + bytes / 4 + MEASURED_FOR_BYTES;
    }

    /// A group holds nothing any more.
    pub(super) fn release(&self, group: &mut Group) {
        let bytes = std::mem::take(&mut group.share.held_bytes);
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn add(&self, group: &mut Group, bytes: usize) {
        group.share.held_bytes += bytes;
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes room for `count` offsets of a group while they wait to be kept.
    ///
    /// # Errors
    /// `Unavailable`, for as long as so much waits.
    pub(super) fn on_the_way(self: &Arc<Self>, group: &str, count: usize) -> Result<OnTheWay, GroupError> {
        let bytes = count.saturating_mul(weight::OFFSET + group.len());
        let before = self.on_the_way_bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = OnTheWay { budget: Arc::clone(self), bytes };
        // One that is too large by itself goes alone.
        if before > 0 && before.saturating_add(bytes) > self.all_bytes_max {
            return Err(unavailable("too many offsets wait for the disk"));
        }
        Ok(taken)
    }

    /// What all groups hold.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.budget.on_the_way_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

// === impl Share ===

impl Share {
    /// Nothing yet, of a group of that name.
    pub(super) fn new(group: &str) -> Self {
        let base_bytes = weight::GROUP + 2 * weight::text(group.len());
        let measure_above_bytes = base_bytes + MEASURED_FOR_BYTES;
        Self { base_bytes, held_bytes: 0, on_the_way_bytes: 0, measure_above_bytes }
    }

    /// What it holds.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}
