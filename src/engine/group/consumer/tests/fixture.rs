//! What the tests of the group share: topics by hand, a group with its log, requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::api::consumer_group::{ConsumerHeartbeat, ConsumerHeartbeatOutcome};
use crate::engine::api::group::Client;
use crate::engine::group::GroupError;
use crate::engine::group::consumer::assign::Assignor;
use crate::engine::group::consumer::{
    ConsumerGroup, ConsumerRecord, ConsumerSettings, Context, Topics, check_heartbeat,
};
use crate::types::TopicId;

/// Topics by name.
#[derive(Debug, Default)]
pub(super) struct ByHand {
    version: u64,
    topics: BTreeMap<Arc<str>, (TopicId, u32)>,
    made: u128,
}

impl ByHand {
    pub(super) fn create(&mut self, name: &str, partitions: u32) -> TopicId {
        self.made += 1;
        self.version += 1;
        // Not in the order of the names.
        let id = TopicId((self.made * 0x9e37_79b9 % 1_000_003).to_be_bytes());
        self.topics.insert(name.into(), (id, partitions));
        id
    }

    pub(super) fn grow(&mut self, name: &str, more: u32) {
        self.version += 1;
        self.topics.get_mut(name).unwrap().1 += more;
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.version += 1;
        self.topics.remove(name).unwrap();
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, TopicId, u32)> {
        self.topics.iter().map(|(name, &(id, partitions))| (name, id, partitions))
    }
}

impl Topics for ByHand {
    fn version(&self) -> u64 {
        self.version
    }

    fn by_name(&self, name: &str) -> Option<(TopicId, u32)> {
        self.topics.get(name).copied()
    }

    fn name_of(&self, id: TopicId) -> Option<Arc<str>> {
        self.all().find(|(_, other, _)| *other == id).map(|(name, ..)| Arc::clone(name))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.topics.keys().cloned().collect()
    }
}

/// A group, its topics, its log and the time.
pub(super) struct Fixture {
    pub(super) group: ConsumerGroup,
    pub(super) topics: ByHand,
    pub(super) settings: ConsumerSettings,
    pub(super) kept: Vec<ConsumerRecord>,
    pub(super) now: Duration,
    /// Whether the log takes nothing now.
    pub(super) disk_is_full: bool,
}

pub(super) const SESSION: Duration = Duration::from_secs(45);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);

impl Fixture {
    pub(super) fn new(topics: &[(&str, u32)]) -> Self {
        let mut by_hand = ByHand::default();
        for (name, partitions) in topics {
            by_hand.create(name, *partitions);
        }
        let settings = ConsumerSettings {
            session_timeout: SESSION,
            heartbeat_interval: Duration::from_secs(5),
            members_max: 20,
            assignors: Assignor::ALL.into(),
            may_upgrade: true,
            may_downgrade: true,
        };
        let group = ConsumerGroup::new();
        let (kept, now) = (Vec::new(), Duration::from_secs(1000));
        Self { group, topics: by_hand, settings, kept, now, disk_is_full: false }
    }

    pub(super) fn heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatOutcome, GroupError> {
        check_heartbeat(request, &self.settings.assignors)?;
        let mut records = Vec::new();
        let context = Context { settings: &self.settings, topics: &self.topics, now: self.now };
        let outcome = self.group.heartbeat(request, || "named-here".into(), context, &mut records);
        if outcome.is_err() {
            assert_eq!(records, [], "refused, and yet something has changed");
        }
        self.keep(records)?;
        outcome
    }

    pub(super) fn expire(&mut self) {
        let mut records = Vec::new();
        let context = Context { settings: &self.settings, topics: &self.topics, now: self.now };
        self.group.expire(context, &mut records);
        // Nobody waits for the outcome.
        let _ = self.keep(records);
    }

    fn keep(&mut self, records: Vec<ConsumerRecord>) -> Result<(), GroupError> {
        if self.disk_is_full && !records.is_empty() {
            self.group.not_kept();
            return Err(GroupError::Unavailable { why: "full".into() });
        }
        self.kept.extend(records);
        Ok(())
    }

    /// Time passes, and whatever becomes due is done.
    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.group.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.expire();
            assert!(self.group.next_deadline().is_none_or(|next| next > self.now), "it would never end");
        }
        self.now = end;
    }

    /// The group as its log gives it back.
    pub(super) fn replayed(&self) -> ConsumerGroup {
        let mut group = ConsumerGroup::new();
        self.kept.iter().for_each(|record| group.replay(record.clone()));
        group.loaded(&self.settings, self.now);
        group
    }
}

/// A heartbeat that says nothing but that the member is alive.
pub(super) fn alive(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: "g".into(),
        member: member.into(),
        epoch,
        instance: None,
        rack: None,
        rebalance_timeout: None,
        topics: None,
        pattern: None,
        assignor: None,
        owned: None,
        client: Client { id: "client".into(), host: "/127.0.0.1".into() },
        names_itself: true,
    }
}

/// The first heartbeat of a member.
pub(super) fn join(member: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout: Some(REBALANCE),
        topics: Some(topics.iter().map(|name| Arc::from(*name)).collect()),
        owned: Some(Vec::new()),
        ..alive(member, 0)
    }
}
