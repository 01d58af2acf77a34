//! The coordinator: groups behind locks, their log, their deadlines, and the engine's methods on them.
//!
//! The state machines of [`group`](super::group) know no time, no log and no tasks; here they get them. A change is made
//! under the lock of its group; what it leaves to be kept goes to the log of groups ([`log`]), many groups' changes in one
//! batch with one sync; the answers that stand behind it are given when that is done. Deadlines wait in the purgatory.
//!
//! What always holds:
//!
//! - Records of one group are in the log in the order of its changes, and its answers are given in that order; only one
//!   that tells nothing new, as most heartbeats' do, goes before them.
//! - A committed offset is in [`Offsets`] only when its record is synced, so nobody is told one that a crash takes back.
//! - One lock at a time: no group's lock is held while another's, or the table's, is taken; answers are given under none.
//! - Until the log is replayed every request is refused with `Loading`; when it cannot be read, with `Unavailable`.
//!
//! Deliberately absent: a topic for the log. It is the broker's own, as the catalog's is (docs/decisions/0013).

mod admin;
mod budget;
mod consumer;
mod deadlines;
mod kind;
mod load;
mod log;
mod members;
mod offsets;
mod upkeep;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use self::budget::{GroupBudget, Share};
pub(super) use self::log::GroupLog;
use super::core::Core;
use super::group::classic::{ClassicGroup, ClassicSettings};
use super::group::consumer::{ConsumerGroup, ConsumerSettings};
use super::group::offsets::Offsets;
use super::group::{Answer, Effects, GroupError};

/// All groups.
pub(super) struct Coordinator {
    groups: RwLock<HashMap<Arc<str>, Arc<GroupCell>>>,
    log: GroupLog,
    budget: Arc<GroupBudget>,
    readiness: AtomicU8,
    /// The version of the topics that groups were last told to look at.
    topics_shown: AtomicU64,
    classic: ClassicSettings,
    consumer: ConsumerSettings,
    /// `offset.metadata.max.bytes`.
    metadata_bytes_max: usize,
    /// `offsets.retention.minutes`.
    offsets_retention: Duration,
}

/// A group behind its lock.
struct GroupCell {
    id: Arc<str>,
    group: Mutex<Group>,
}

/// A group.
struct Group {
    kind: Kind,
    offsets: Offsets,
    /// How many of its changes are on their way into the log.
    in_flight: usize,
    /// The deadline that the purgatory holds for it.
    scheduled: Option<Duration>,
    /// What it holds of the budget.
    share: Share,
    /// No longer in the table: whoever found it there has to look again.
    removed: bool,
}

/// Groups by their protocol.
enum Kind {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

mod readiness {
    pub(super) const LOADING: u8 = 0;
    pub(super) const READY: u8 = 1;
    pub(super) const FAILED: u8 = 2;
}

// === impl Coordinator ===

impl Coordinator {
    pub(super) fn new(log: GroupLog, settings: &super::config::BrokerSettings) -> Self {
        Self {
            groups: RwLock::default(),
            log,
            budget: GroupBudget::new(settings),
            readiness: AtomicU8::new(readiness::LOADING),
            topics_shown: AtomicU64::new(0),
            classic: ClassicSettings {
                initial_rebalance_delay: settings.millis("group.initial.rebalance.delay.ms"),
                session_timeout_min: settings.millis("group.min.session.timeout.ms"),
                session_timeout_max: settings.millis("group.max.session.timeout.ms"),
                members_max: settings.count("group.max.size"),
            },
            consumer: consumer::settings_of(settings),
            metadata_bytes_max: settings.count("offset.metadata.max.bytes"),
            offsets_retention: settings.millis("offsets.retention.minutes") * 60_000,
        }
    }

    pub(super) fn log(&self) -> &GroupLog {
        &self.log
    }

    fn find(&self, id: &str) -> Option<Arc<GroupCell>> {
        self.groups.read().get(id).cloned()
    }

    fn find_or_add(&self, id: &Arc<str>) -> Arc<GroupCell> {
        if let Some(cell) = self.find(id) {
            return cell;
        }
        let mut groups = self.groups.write();
        Arc::clone(groups.entry(Arc::clone(id)).or_insert_with(|| Arc::new(GroupCell::new(id))))
    }

    /// All groups there are at this moment.
    fn cells(&self) -> Vec<Arc<GroupCell>> {
        self.groups.read().values().cloned().collect()
    }

    /// Takes an empty group off the table. Nobody may hold its lock.
    fn forget(&self, cell: &Arc<GroupCell>) {
        let mut groups = self.groups.write();
        if groups.get(&cell.id).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            groups.remove(&cell.id);
        }
    }
}

// === impl GroupCell ===

impl GroupCell {
    fn new(id: &Arc<str>) -> Self {
        let group = Group {
            kind: Kind::simple(Arc::clone(id)),
            offsets: Offsets::default(),
            in_flight: 0,
            scheduled: None,
            share: Share::new(id),
            removed: false,
        };
        Self { id: Arc::clone(id), group: Mutex::new(group) }
    }
}

// === impl Core ===

impl Core {
    /// Whether requests about `group` are for this broker, now.
    pub(super) fn check_coordinator(&self, group: &str) -> Result<(), GroupError> {
        if self.is_stopping() {
            return Err(unavailable("the broker is stopping"));
        }
        if !self.image.load().coordinates(group) {
            return Err(GroupError::NotCoordinator);
        }
        match self.coordinator.readiness.load(Ordering::Acquire) {
            readiness::READY => Ok(()),
            readiness::LOADING => Err(GroupError::Loading),
            _ => Err(unavailable("the log of groups cannot be read")),
        }
    }

    /// Changes a group under its lock, making it where there is none, and sees to what that leaves to be done.
    fn change_group<T>(
        self: &Arc<Self>,
        id: &Arc<str>,
        change: impl FnOnce(&mut Group, &mut Effects) -> T,
    ) -> Result<T, GroupError> {
        self.check_coordinator(id)?;
        loop {
            let cell = self.coordinator.find_or_add(id);
            let mut group = cell.group.lock();
            if group.removed {
                drop(group);
                // Whoever removed it is about to take it off the table.
                self.coordinator.forget(&cell);
                continue;
            }
            let mut effects = Effects::default();
            let outcome = change(&mut group, &mut effects);
            self.settle(&cell, group, effects);
            return Ok(outcome);
        }
    }

    /// As [`Self::change_group`] of a group that is there; None when there is none.
    fn change_existing<T>(
        self: &Arc<Self>,
        id: &str,
        change: impl FnOnce(&mut Group, &mut Effects) -> T,
    ) -> Result<Option<T>, GroupError> {
        self.check_coordinator(id)?;
        let Some(cell) = self.coordinator.find(id) else { return Ok(None) };
        let mut group = cell.group.lock();
        if group.removed {
            return Ok(None);
        }
        let mut effects = Effects::default();
        let outcome = change(&mut group, &mut effects);
        self.settle(&cell, group, effects);
        Ok(Some(outcome))
    }

    /// Lets go of a group after a change: its records go to the log, its answers are given now or after them, and its
    /// next deadline is waited for.
    fn settle(
        self: &Arc<Self>,
        cell: &Arc<GroupCell>,
        mut group: parking_lot::MutexGuard<'_, Group>,
        mut effects: Effects,
    ) {
        if let Kind::Consumer(consumer) = &group.kind
            && consumer.is_classic_by_now()
        {
            let view = self.view_for(&cell.id);
            group.maybe_downgrade(&cell.id, &self.coordinator.classic, view.context(), &mut effects);
        }
        effects.records.extend(group.kind.note_empty(&cell.id, self.env.clock.now_ms()));
        self.coordinator.budget.note(&mut group, &effects.records);
        let mut answers = std::mem::take(&mut effects.answers_at_once);
        let waits = !effects.records.is_empty() || group.in_flight > 0;
        if waits {
            if !effects.records.is_empty() || !effects.answers.is_empty() {
                group.in_flight += 1;
                self.coordinator.log.queue(log::Entry { cell: Arc::clone(cell), effects });
            }
        } else {
            answers.append(&mut effects.answers);
        }
        let due = self.deadline_to_watch(&mut group);
        // What a request made and left as it was made need not stay.
        group.removed = group.is_blank();
        let removed = group.removed;
        if removed {
            self.coordinator.budget.release(&mut group);
        }
        drop(group);
        if removed {
            self.coordinator.forget(cell);
        }
        for answer in answers {
            answer(Ok(()));
        }
        if waits {
            self.coordinator.log.start(self);
        }
        if let Some(due) = due {
            self.watch_deadline(cell, due);
        }
    }
}

/// A channel for one answer: the end that a state machine keeps, and the future of the outcome.
fn answer_channel<T: Send + 'static>()
-> (Answer<T>, impl Future<Output = Result<T, GroupError>> + Send + use<T>) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // Who asked may have gone.
    let answer = Box::new(move |outcome| drop(sender.send(outcome)));
    (answer, async move { receiver.await.unwrap_or_else(|_| Err(unavailable("the broker is stopping"))) })
}

/// A group of members needs a name; offsets alone can be kept without one, as in Kafka.
fn check_group_id(id: &Arc<str>) -> Result<(), GroupError> {
    if id.is_empty() { Err(GroupError::InvalidGroupId { group: Arc::clone(id) }) } else { check_length(id) }
}

/// A name is kept with each of the group's offsets.
fn check_length(id: &Arc<str>) -> Result<(), GroupError> {
    if id.len() > ID_BYTES_MAX { Err(GroupError::InvalidGroupId { group: Arc::clone(id) }) } else { Ok(()) }
}

/// The longest name of a group.
const ID_BYTES_MAX: usize = 1024;

fn unavailable(why: &str) -> GroupError {
    GroupError::Unavailable { why: why.to_owned() }
}
