//! Noticing that topics or members have changed, and making everybody's target anew.

use std::sync::Arc;

use super::assign::{Assignor, Reader};
use super::{ConsumerGroup, ConsumerRecord, ConsumerSettings, Context, Partitions};

// === impl ConsumerGroup ===

impl ConsumerGroup {
    /// Looks at the topics where that is due; the group's epoch grows when those that anybody reads have changed, or
    /// when it has to anyway.
    pub(super) fn refresh(
        &mut self,
        context: Context<'_>,
        members_changed: bool,
        records: &mut Vec<ConsumerRecord>,
    ) {
        let version = context.topics.version();
        let mut grows = members_changed;
        let topics_changed = self.topics_seen != Some(version);
        if members_changed || topics_changed {
            self.subscriptions.resolve(context.topics, topics_changed);
            let hash = self.subscriptions.found(context.topics).hash();
            // Of a group that nobody is in nobody cares.
            if hash != self.topics_hash && !self.members.is_empty() {
                self.topics_hash = hash;
                grows = true;
            }
            self.topics_seen = Some(version);
        }
        if grows {
            self.grow(records);
        }
    }

    /// The group's epoch grows; the next heartbeat makes the targets.
    pub(super) fn grow(&mut self, records: &mut Vec<ConsumerRecord>) {
        self.epoch += 1;
        records.push(self.group_record());
    }

    /// Makes the targets of the group's epoch, if that was not done yet.
    pub(super) fn assign(&mut self, context: Context<'_>, records: &mut Vec<ConsumerRecord>) {
        if self.assignment_epoch == self.epoch {
            return;
        }
        let (mut task, class_of) = self.subscriptions.found(context.topics).into_task();
        task.members = self
            .members
            .iter()
            .map(|(id, member)| Reader {
                class: class_of[&Arc::as_ptr(&member.subscription)],
                previous: &member.target,
                rank: Arc::clone(member.instance.as_ref().unwrap_or(id)),
            })
            .collect();
        let targets: Vec<Partitions> = self.assignor(context.settings).assign(&task);
        drop(task);
        for ((id, member), target) in self.members.iter_mut().zip(targets) {
            if member.target != target {
                member.target = target;
                records.push(ConsumerRecord::target(id, &member.target));
            }
        }
        self.assignment_epoch = self.epoch;
        records.push(self.group_record());
    }

    /// The assignor that most members ask for; the first of the settings where nobody does.
    pub(super) fn assignor(&self, settings: &ConsumerSettings) -> Assignor {
        let votes = |assignor: &Assignor| {
            let asked = |name: &Arc<str>| **name == *assignor.name();
            self.members.values().filter(|member| member.assignor.as_ref().is_some_and(asked)).count()
        };
        let first = settings.assignors.first().copied().unwrap_or(Assignor::Uniform);
        // The last of equal ones is the greatest, and the first of the settings is to win.
        settings.assignors.iter().rev().copied().max_by_key(votes).unwrap_or(first)
    }
}
