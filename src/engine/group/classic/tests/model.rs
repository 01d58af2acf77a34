//! Random members join, leave, crash, pause and come back; an oracle watches who is told to read what.
//!
//! What it holds the group to: in one generation no partition has two owners; a commit is accepted from members of the
//! present generation only, so generations of accepted commits never go back; a restart changes nothing for members that
//! are in a stable generation; and once nobody does anything unusual any more, every partition has exactly one owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Fixture, Pending, SETTINGS, instance, name, request};
use crate::engine::api::group::{Committer, JoinRequest, Joined, MemberName, SyncRequest, Synced};
use crate::engine::group::classic::ClassicGroup;
use crate::engine::group::{Effects, GroupError};
use crate::engine::tests::seeds::each_seed;
use crate::testing::Rng;

const PARTITIONS: u8 = 7;

/// A client that takes part as clients do.
struct Client {
    name: MemberName,
    step: Step,
    /// It does nothing until then: a long pause of its process.
    paused_until: Duration,
    heartbeat_at: Duration,
}

enum Step {
    /// Not in the group, as far as it knows.
    Out,
    Joining(Pending<Joined>),
    Syncing(i32, Pending<Synced>),
    Reading(i32, BTreeSet<u8>),
}

struct Model {
    fixture: Fixture,
    clients: Vec<Client>,
    rng: Rng,
    /// Who was told to read a partition, in each generation.
    owners: BTreeMap<(i32, u8), Arc<str>>,
    /// The generation of the last commit that was accepted.
    committed: i32,
}

#[test]
fn no_partition_has_two_owners_in_a_generation_and_in_the_end_each_has_one() {
    each_seed("engine::group::classic", 300, |seed| {
        let mut model = Model {
            fixture: Fixture::new(),
            clients: Vec::new(),
            rng: Rng::new(seed),
            owners: BTreeMap::new(),
            committed: 0,
        };
        for _ in 0..200 {
            model.something_happens();
            model.everybody_acts();
        }
        model.settles();
    });
}

impl Model {
    fn something_happens(&mut self) {
        let chosen = self.rng.next_u64();
        let count = self.clients.len() as u64;
        let some = |rng: &mut Rng| rng.below(count) as usize;
        match chosen % 20 {
            0..3 if count < 5 => self.arrives(None),
            3 if count < 5 => {
                let own = format!("i{}", self.rng.below(2));
                // Two processes of one instance id would fence each other for ever; that is theirs to avoid.
                if self.clients.iter().all(|client| client.name.instance.as_deref() != Some(&own)) {
                    self.arrives(Some(own));
                }
            }
            4 if count > 0 => {
                let index = some(&mut self.rng);
                self.clients.remove(index);
            }
            5 if count > 0 => {
                let index = some(&mut self.rng);
                let client = self.clients.remove(index);
                if !client.name.member.is_empty() {
                    self.fixture.leave(&[client.name]);
                }
            }
            6 if count > 0 => {
                let index = some(&mut self.rng);
                let pause = Duration::from_secs(self.rng.below(30));
                self.clients[index].paused_until = self.fixture.now + pause;
            }
            7 if count > 0 => {
                // Its process starts anew; a static one keeps its instance.
                let index = some(&mut self.rng);
                let client = &mut self.clients[index];
                client.name.member = "".into();
                client.step = Step::Out;
            }
            8 if self.rng.one_in(4) => self.restart(),
            _ => {
                let millis = self.rng.below(4000);
                self.fixture.advance(Duration::from_millis(millis));
            }
        }
    }

    fn arrives(&mut self, own: Option<String>) {
        let name = own.map_or_else(|| name(""), |own| instance("", &own));
        let now = self.fixture.now;
        self.clients.push(Client { name, step: Step::Out, paused_until: now, heartbeat_at: now });
    }

    /// The broker starts anew: it knows what was kept, and nobody waits for an answer of the old one.
    fn restart(&mut self) {
        let now = self.fixture.now;
        self.fixture.group = match &self.fixture.kept {
            Some(record) => ClassicGroup::from_record("g".into(), record.clone(), now),
            None => ClassicGroup::new("g".into()),
        };
        // A generation that was begun and not kept is begun again, with other members perhaps: nobody was told to
        // read anything in it.
        let kept = self.fixture.group.generation;
        assert!(self.owners.keys().all(|(generation, _)| *generation <= kept), "told, and not kept");
    }

    fn everybody_acts(&mut self) {
        let now = self.fixture.now;
        for index in 0..self.clients.len() {
            if self.clients[index].paused_until <= now {
                self.acts(index, now);
            }
        }
    }

    fn acts(&mut self, index: usize, now: Duration) {
        let client = &mut self.clients[index];
        match std::mem::replace(&mut client.step, Step::Out) {
            Step::Out => {
                let joining = self.fixture.join(JoinRequest {
                    name: client.name.clone(),
                    needs_known_member: true,
                    can_skip_assignment: true,
                    ..request("")
                });
                client.step = Step::Joining(joining);
            }
            Step::Joining(pending) => match pending.try_recv() {
                Ok(Ok(joined)) => {
                    client.name.member = Arc::clone(&joined.member);
                    self.sync(index, &joined);
                }
                Ok(Err(error)) => self.refused(index, &error),
                Err(std::sync::mpsc::TryRecvError::Empty) => client.step = Step::Joining(pending),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => {}
            },
            Step::Syncing(generation, pending) => match pending.try_recv() {
                Ok(Ok(synced)) => self.told(index, generation, &synced.assignment),
                Ok(Err(error)) => self.refused(index, &error),
                Err(std::sync::mpsc::TryRecvError::Empty) => client.step = Step::Syncing(generation, pending),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => {}
            },
            Step::Reading(generation, parts) => {
                client.step = Step::Reading(generation, parts);
                self.commits(index, generation, now);
                let client = &mut self.clients[index];
                if client.heartbeat_at <= now {
                    client.heartbeat_at = now + Duration::from_secs(3);
                    if let Err(error) = self.fixture.group.heartbeat(&client.name, generation, now) {
                        self.refused(index, &error);
                    }
                }
            }
        }
    }

    fn sync(&mut self, index: usize, joined: &Joined) {
        let mut assignments: BTreeMap<Arc<str>, Vec<u8>> = BTreeMap::new();
        if joined.leader == joined.member && !joined.skip_assignment {
            for part in 0..PARTITIONS {
                let reader = &joined.members[usize::from(part) % joined.members.len()];
                assignments.entry(Arc::clone(&reader.name.member)).or_default().push(part);
            }
        }
        let request = SyncRequest {
            group: "g".into(),
            name: self.clients[index].name.clone(),
            generation: joined.generation,
            protocol_type: Some("consumer".into()),
            protocol: joined.protocol.clone(),
            assignments: assignments
                .into_iter()
                .map(|(member, parts)| (member, Bytes::from(parts)))
                .collect(),
        };
        let (answer, pending) = super::pending();
        let mut effects = Effects::default();
        self.fixture.group.sync(request, self.fixture.now, answer, &mut effects);
        self.fixture.settle(effects);
        self.clients[index].step = Step::Syncing(joined.generation, pending);
    }

    fn told(&mut self, index: usize, generation: i32, parts: &[u8]) {
        let member = Arc::clone(&self.clients[index].name.member);
        for &part in parts {
            let owner = self.owners.entry((generation, part)).or_insert_with(|| Arc::clone(&member));
            let same = *owner == member || !self.fixture.group.members.contains_key(owner);
            // A static member that came back under another id is the same one.
            assert!(same, "generation {generation}: {part} is read by {owner} and by {member}");
            *owner = Arc::clone(&member);
        }
        self.clients[index].step = Step::Reading(generation, parts.iter().copied().collect());
    }

    fn commits(&mut self, index: usize, generation: i32, now: Duration) {
        let name = self.clients[index].name.clone();
        let committer = Committer { name, generation, knows_epochs: false };
        if self.fixture.group.check_commit(&committer, now).is_ok() {
            assert!(generation >= self.committed, "a commit of {generation} after one of {}", self.committed);
            self.committed = generation;
        }
    }

    /// What clients do when they are refused: what they read is given up before they join again.
    fn refused(&mut self, index: usize, error: &GroupError) {
        let client = &mut self.clients[index];
        client.step = Step::Out;
        match error {
            GroupError::MemberIdRequired { member } => client.name.member = Arc::clone(member),
            GroupError::UnknownMember { .. } | GroupError::FencedInstance { .. } => {
                client.name.member = "".into();
            }
            GroupError::IllegalGeneration { .. }
            | GroupError::RebalanceInProgress
            | GroupError::GroupFull { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    /// Nothing happens any more but time.
    fn settles(&mut self) {
        if self.clients.is_empty() {
            self.arrives(None);
        }
        for _ in 0..400 {
            self.fixture.advance(Duration::from_millis(500));
            self.everybody_acts();
        }
        assert_eq!(self.fixture.group.state_name(), "Stable");
        let mut read: Vec<u8> = Vec::new();
        for client in &self.clients {
            let Step::Reading(generation, parts) = &client.step else {
                panic!("a client that does not read")
            };
            assert_eq!(*generation, self.fixture.group.generation);
            read.extend(parts);
        }
        read.sort_unstable();
        assert_eq!(read, (0..PARTITIONS).collect::<Vec<_>>());
        assert!(self.clients.len() <= SETTINGS.members_max);
    }
}
