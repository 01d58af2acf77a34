//! Random members join, leave, crash, pause, come back as their instance, lose answers and change their minds; topics come,
//! grow and go; the disk is full at times, and the broker starts anew. An oracle watches who reads what.
//!
//! What it holds the group to: of the members that the group has, no two read the same partition, where a member reads
//! what it was told until it has stopped; epochs never go back; what the log gives back is what was there; and once
//! nothing unusual happens any more, every partition that somebody subscribes to is read by exactly one member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fixture::{Fixture, REBALANCE, SESSION, alive};
use crate::engine::api::consumer_group::{
    ConsumerHeartbeat, ConsumerHeartbeatOutcome, LEAVES, LEAVES_FOR_A_WHILE,
};
use crate::engine::group::GroupError;
use crate::engine::group::consumer::ConsumerRecord;
use crate::engine::group::consumer::member::{by_topic, flat};
use crate::engine::group::consumer::{Partitions, Topics};
use crate::engine::tests::seeds::each_seed;
use crate::testing::Rng;
use crate::types::TopicPartition;

/// A client that takes part as clients do.
struct Member {
    id: Arc<str>,
    instance: Option<Arc<str>>,
    epoch: i32,
    names: Vec<Arc<str>>,
    pattern: Option<Arc<str>>,
    assignor: Option<Arc<str>>,
    /// What it reads.
    reads: Partitions,
    /// What it was told to read last.
    told: Partitions,
    /// What it said it reads; None when it has to say everything anew.
    said: Option<Partitions>,
    /// It wants something else, and has not said so.
    has_news: bool,
    /// It stops reading what it was not told then.
    stops_at: Duration,
    /// It does nothing until then: a long pause of its process.
    paused_until: Duration,
    heartbeat_at: Duration,
}

struct Model {
    fixture: Fixture,
    members: Vec<Member>,
    rng: Rng,
    named: u64,
    group_epoch: i32,
}

#[test]
fn no_partition_is_read_twice_and_in_the_end_each_is_read_once() {
    each_seed("group::consumer::tests::model", 100, |seed| {
        let mut model = Model {
            fixture: Fixture::new(&[("a", 4), ("b", 3)]),
            members: Vec::new(),
            rng: Rng::new(seed),
            named: 0,
            group_epoch: 0,
        };
        for _ in 0..250 {
            model.something_happens();
            model.everybody_acts();
            model.check();
        }
        model.settles();
    });
}

impl Model {
    fn something_happens(&mut self) {
        let count = self.members.len() as u64;
        let some = |rng: &mut Rng| rng.below(count) as usize;
        match self.rng.below(40) {
            0..5 if count < 6 => self.arrives(None),
            5..7 if count < 6 => {
                let instance: Arc<str> = format!("i{}", self.rng.below(3)).into();
                // Two processes of one instance id would fence each other for ever; that is theirs to avoid.
                if self.members.iter().all(|member| member.instance.as_ref() != Some(&instance)) {
                    self.arrives(Some(instance));
                }
            }
            7 | 8 if count > 0 => {
                let index = some(&mut self.rng);
                self.members.remove(index);
            }
            9..11 if count > 0 => {
                let index = some(&mut self.rng);
                let member = self.members.remove(index);
                let epoch = match member.instance {
                    Some(_) if !self.rng.one_in(3) => LEAVES_FOR_A_WHILE,
                    _ => LEAVES,
                };
                let instance = member.instance.clone();
                // It does not wait for the answer.
                let _ = self.fixture.heartbeat(&ConsumerHeartbeat { instance, ..alive(&member.id, epoch) });
            }
            11..13 if count > 0 => {
                let index = some(&mut self.rng);
                let pause = Duration::from_secs(self.rng.below(90));
                self.members[index].paused_until = self.fixture.now + pause;
            }
            13 | 14 if count > 0 => {
                let index = some(&mut self.rng);
                let (names, pattern) = self.some_subscription();
                let member = &mut self.members[index];
                (member.names, member.pattern, member.has_news) = (names, pattern, true);
            }
            15 => {
                let name = self.some_name();
                if self.fixture.topics.by_name(&name).is_none() {
                    let partitions = self.rng.below(5) as u32;
                    self.fixture.topics.create(&name, partitions);
                }
            }
            16 => {
                let name = self.some_name();
                if self.fixture.topics.by_name(&name).is_some() {
                    self.fixture.topics.grow(&name, 2);
                }
            }
            17 => {
                let name = self.some_name();
                if self.fixture.topics.by_name(&name).is_some() {
                    self.fixture.topics.delete(&name);
                }
            }
            18 => self.restart(),
            19 => self.fixture.disk_is_full = !self.fixture.disk_is_full,
            20 if !self.fixture.disk_is_full && !self.rng.one_in(3) => {
                // What the log holds is what is in memory, told anew.
                self.fixture.expire();
                self.fixture.kept = self.fixture.group.to_records();
            }
            21 => self.fixture.expire(),
            _ => {
                let millis = self.rng.below(8000);
                self.fixture.advance(Duration::from_millis(millis));
            }
        }
    }

    fn some_name(&mut self) -> Arc<str> {
        ["a", "b", "c", "d-1", "d-2"][self.rng.below(5) as usize].into()
    }

    fn some_subscription(&mut self) -> (Vec<Arc<str>>, Option<Arc<str>>) {
        let names = (0..self.rng.below(4)).map(|_| self.some_name()).collect();
        let pattern = ["d-.*", "[ab]", "", ".*"][self.rng.below(4) as usize];
        (names, self.rng.one_in(3).then(|| pattern.into()))
    }

    fn arrives(&mut self, instance: Option<Arc<str>>) {
        self.named += 1;
        let now = self.fixture.now;
        let (names, pattern) =
            if self.rng.one_in(2) { self.some_subscription() } else { (vec!["a".into(), "b".into()], None) };
        self.members.push(Member {
            id: format!("m{}", self.rng.below(100) * 1000 + self.named).into(),
            instance,
            epoch: 0,
            names,
            pattern,
            assignor: self.rng.one_in(3).then(|| "range".into()),
            reads: Partitions::new(),
            told: Partitions::new(),
            said: None,
            has_news: false,
            stops_at: now,
            paused_until: now,
            heartbeat_at: now,
        });
    }

    /// The broker starts anew: it knows what was kept.
    fn restart(&mut self) {
        let replayed = self.fixture.replayed();
        // What a full disk did not take nobody was told either.
        if !self.fixture.group.is_unkept {
            assert_eq!(
                without_times(&replayed.to_records()),
                without_times(&self.fixture.group.to_records())
            );
        }
        self.group_epoch = replayed.epoch;
        self.fixture.group = replayed;
    }

    fn everybody_acts(&mut self) {
        for index in 0..self.members.len() {
            let now = self.fixture.now;
            let member = &mut self.members[index];
            if member.paused_until > now {
                continue;
            }
            if member.stops_at <= now {
                member.reads = member.reads.intersection(&member.told).copied().collect();
            }
            let stopped = member.said.as_ref() != Some(&member.reads);
            if member.heartbeat_at <= now || stopped {
                member.heartbeat_at = now + Duration::from_secs(5);
                self.heartbeat(index);
            }
        }
    }

    fn heartbeat(&mut self, index: usize) {
        let member = &mut self.members[index];
        let is_full = member.said.is_none();
        let says = (member.said.as_ref() != Some(&member.reads)).then(|| by_topic(&member.reads));
        let wants = is_full || member.has_news;
        let request = ConsumerHeartbeat {
            instance: member.instance.clone(),
            rebalance_timeout: is_full.then_some(REBALANCE),
            topics: wants.then(|| member.names.clone()),
            pattern: wants.then(|| member.pattern.clone().unwrap_or_default()),
            assignor: if is_full { member.assignor.clone() } else { None },
            owned: if member.epoch == 0 { Some(Vec::new()) } else { says },
            ..alive(&member.id, member.epoch)
        };
        let outcome = self.fixture.heartbeat(&request);
        if self.rng.one_in(8) {
            // The answer is lost: next time it says everything.
            self.members[index].said = None;
            return;
        }
        let member = &mut self.members[index];
        match outcome {
            Ok(outcome) => {
                member.said = Some(member.reads.clone());
                member.has_news = false;
                self.hears(index, outcome);
            }
            Err(GroupError::UnknownMember { .. } | GroupError::FencedMemberEpoch { .. }) => {
                member.begins_anew();
            }
            Err(GroupError::UnreleasedInstance { .. } | GroupError::Unavailable { .. }) => member.said = None,
            Err(GroupError::FencedInstance { .. }) => {
                self.members.remove(index);
                // The loop goes on with the indexes there were; an idle member in its place does no harm.
                self.arrives(None);
            }
            Err(other) => panic!("{request:?}: {other}"),
        }
    }

    fn hears(&mut self, index: usize, outcome: ConsumerHeartbeatOutcome) {
        let delay = Duration::from_millis(self.rng.below(4) * self.rng.below(20_000));
        let member = &mut self.members[index];
        assert!(outcome.epoch >= member.epoch, "{} has gone back to {}", member.epoch, outcome.epoch);
        assert!(outcome.epoch <= self.fixture.group.epoch);
        member.epoch = outcome.epoch;
        if let Some(assignment) = outcome.assignment {
            member.told = flat(assignment.iter().map(|(topic, indexes)| (*topic, &indexes[..])));
            member.reads.extend(&member.told);
            member.stops_at = self.fixture.now + delay;
        }
    }

    /// Of the members that the group has, no two read the same partition.
    fn check(&mut self) {
        assert!(self.fixture.group.epoch >= self.group_epoch);
        self.group_epoch = self.fixture.group.epoch;
        let mut readers: BTreeMap<TopicPartition, &Arc<str>> = BTreeMap::new();
        for member in &self.members {
            if !self.fixture.group.members.contains_key(&member.id) {
                continue;
            }
            for part in &member.reads {
                if let Some(other) = readers.insert(*part, &member.id) {
                    panic!("{part} is read by {other} and {}", member.id);
                }
            }
        }
    }

    /// Nothing unusual happens any more.
    fn settles(&mut self) {
        self.fixture.disk_is_full = false;
        for member in &mut self.members {
            member.paused_until = self.fixture.now;
        }
        let rounds = (SESSION + REBALANCE).as_secs() * 3;
        for _ in 0..rounds {
            self.fixture.advance(Duration::from_secs(1));
            if self.fixture.group.is_behind(self.fixture.topics.version()) {
                self.fixture.expire();
            }
            self.everybody_acts();
            self.check();
        }
        let mut read: BTreeMap<TopicPartition, usize> = BTreeMap::new();
        for member in &self.members {
            assert_eq!(member.reads, self.fixture.group.members[&member.id].assigned, "{}", member.id);
            member.reads.iter().for_each(|part| *read.entry(*part).or_default() += 1);
        }
        let mut expected = BTreeMap::new();
        for (name, topic, partitions) in self.fixture.topics.all() {
            if self.members.iter().any(|member| member.wants(name)) {
                expected
                    .extend((0..partitions as i32).map(|partition| (TopicPartition { topic, partition }, 1)));
            }
        }
        assert_eq!(read, expected);
        let state = if self.members.is_empty() { "Empty" } else { "Stable" };
        assert_eq!(self.fixture.group.state_name(), state);
    }
}

impl Member {
    fn begins_anew(&mut self) {
        self.epoch = 0;
        self.reads.clear();
        self.told.clear();
        self.said = None;
    }

    fn wants(&self, topic: &str) -> bool {
        let by_pattern = match self.pattern.as_deref() {
            Some("d-.*") => topic.starts_with("d-"),
            Some("[ab]") => topic == "a" || topic == "b",
            Some(".*") => true,
            _ => false,
        };
        by_pattern || self.names.iter().any(|name| **name == *topic)
    }
}

/// Records as they compare: that a member has seen an epoch is not kept.
fn without_times(records: &[ConsumerRecord]) -> Vec<ConsumerRecord> {
    let mut records = records.to_vec();
    for record in &mut records {
        if let ConsumerRecord::Current { state, .. } = record {
            state.previous_epoch = 0;
        }
    }
    records
}
