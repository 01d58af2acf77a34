//! A group of either protocol, as far as the glue does not care which.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::core::Core;
use super::{Group, Kind};
use crate::engine::api::group::{Committer, MemberName};
use crate::engine::group::classic::{ClassicGroup, ClassicSettings};
use crate::engine::group::consumer::ConsumerRecord;
use crate::engine::group::{Effects, GroupError, GroupRecord};

// === impl Kind ===

impl Kind {
    /// A group that only keeps offsets.
    pub(super) fn simple(id: Arc<str>) -> Self {
        Self::Classic(ClassicGroup::new(id))
    }

    /// Whether it has no members, and nobody is about to become one.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether it never had a member: it only keeps offsets.
    pub(super) fn is_simple(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_simple(),
            Self::Consumer(_) => false,
        }
    }

    /// Nothing is due before this.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        match self {
            Self::Classic(group) => group.next_deadline(),
            Self::Consumer(group) => group.next_deadline(),
        }
    }

    /// Since when it has no members, by the wall clock.
    pub(super) fn empty_since_ms(&self) -> Option<i64> {
        match self {
            Self::Classic(group) => group.empty_since_ms(),
            Self::Consumer(group) => group.empty_since_ms(),
        }
    }

    /// Notes since when it has no members; what is to be kept when that is news.
    pub(super) fn note_empty(&mut self, id: &str, now_ms: i64) -> Option<GroupRecord> {
        match self {
            Self::Classic(group) => group.note_empty(now_ms).then(|| group.to_record()),
            Self::Consumer(group) => {
                group.note_empty(now_ms).map(|record| GroupRecord::of_consumers(id, record))
            }
        }
    }

    /// All that has to be kept of it, but for its offsets.
    pub(super) fn to_records(&self, id: &str) -> Vec<GroupRecord> {
        match self {
            Self::Classic(group) if group.is_simple() => Vec::new(),
            Self::Classic(group) => vec![group.to_record()],
            Self::Consumer(group) => {
                group.to_records().into_iter().map(|record| GroupRecord::of_consumers(id, record)).collect()
            }
        }
    }

    /// The record that forgets all of it but its offsets.
    pub(super) fn removal(&self, id: &str) -> Option<GroupRecord> {
        match self {
            Self::Classic(group) if group.is_simple() => None,
            Self::Classic(_) => Some(GroupRecord::Classic { group: id.to_owned(), state: None }),
            Self::Consumer(_) => Some(GroupRecord::of_consumers(id, ConsumerRecord::Group(None))),
        }
    }

    /// Whether a member may read the topic.
    pub(super) fn subscribes_to(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.subscribes_to(topic),
            Self::Consumer(group) => group.subscribes_to(topic),
        }
    }

    /// All topics that its members read; None when nobody knows.
    pub(super) fn topics_read(&self) -> Option<HashSet<Arc<str>>> {
        match self {
            Self::Classic(group) => group.topics_read(),
            Self::Consumer(group) => group.topics_read(),
        }
    }

    /// How many bytes are kept of it, about, but for its offsets.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Classic(group) => group.weight(),
            Self::Consumer(group) => group.weight(),
        }
    }

    /// How many of them are one member's.
    pub(super) fn weight_of(&self, name: &MemberName) -> usize {
        match self {
            Self::Classic(group) => group.weight_of(name),
            Self::Consumer(group) => group.weight_of(name),
        }
    }

    /// Whether `committer` may commit offsets now.
    pub(super) fn check_commit(&mut self, committer: &Committer, now: Duration) -> Result<(), GroupError> {
        match self {
            Self::Classic(group) => group.check_commit(committer, now),
            Self::Consumer(group) => group.check_commit(committer),
        }
    }

    /// Whether `asker` may ask for offsets. A classic group tells its offsets to anybody; what a member says of itself is
    /// of no interest.
    pub(super) fn check_fetch(&self, asker: &Committer) -> Result<(), GroupError> {
        match self {
            Self::Classic(_) => Ok(()),
            Self::Consumer(group) => group.check_member(&asker.name.member, asker.generation),
        }
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, id: &str, core: &Core, effects: &mut Effects) {
        match self {
            Self::Classic(group) => {
                group.expire(&core.coordinator.classic, core.env.clock.monotonic(), effects);
            }
            Self::Consumer(group) => {
                let mut records = Vec::new();
                group.expire(core.view_for(id).context(), &mut records);
                effects.keep(id, records);
            }
        }
    }

    /// Some of these records could not be kept.
    pub(super) fn not_kept(
        &mut self,
        records: &[GroupRecord],
        classic: &ClassicSettings,
        now: Duration,
        after: &mut Effects,
    ) {
        let is_own = |record: &GroupRecord| !matches!(record, GroupRecord::Offset { .. });
        if !records.iter().any(is_own) {
            return;
        }
        match self {
            Self::Classic(group) => group.not_kept(classic, now, after),
            Self::Consumer(group) => group.not_kept(),
        }
    }
}

// === impl Group ===

impl Group {
    /// Whether it has no members, and nothing of it is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.kind.is_empty() && self.in_flight == 0
    }

    /// Whether there is nothing to it but its name.
    pub(super) fn is_blank(&self) -> bool {
        self.is_idle() && self.kind.is_simple() && self.offsets.is_empty()
    }
}
