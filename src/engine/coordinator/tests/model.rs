//! Random members of both protocols in one group, on the whole engine: they join, leave, crash, pause and change their
//! protocol, so that the group becomes of the one and of the other while it has members; the broker loses its power. An
//! oracle watches who reads what, and what is committed.
//!
//! What it holds the group to: of the members that the group has, no two read the same partition, where a member reads what
//! it was told until it has stopped; generations and epochs never go back; a committed offset never goes back by itself,
//! though members that were taken out try; and once nothing unusual happens any more, every partition is read by exactly
//! one member.

mod classic;
mod consumer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use self::classic::Classic;
use self::consumer::Consumer;
use crate::engine::api::TopicRef;
use crate::engine::api::group::*;
use crate::engine::config::Overrides;
use crate::engine::coordinator::Kind;
use crate::engine::group::GroupError;
use crate::engine::tests::seeds::each_seed;
use crate::engine::tests::simulation::Life;
use crate::testing::{Rng, SimWorld};

/// A client that takes part as clients do.
struct Client {
    protocol: Protocol,
    /// The id it goes by; empty of a classic member before it has one.
    id: Arc<str>,
    /// What it reads, and up to where.
    reads: BTreeMap<i32, i64>,
    /// It does nothing until then: a long pause of its process.
    paused_until: Duration,
    heartbeat_at: Duration,
}

enum Protocol {
    Classic(Classic),
    Consumer(Consumer),
}

struct Model {
    world: SimWorld,
    life: Option<Life>,
    clients: Vec<Client>,
    rng: Rng,
    partitions: i32,
    named: u64,
    /// What was seen committed last.
    committed: BTreeMap<i32, i64>,
    /// The group when it was last looked at.
    seen: Option<Seen>,
    upgrades: usize,
    downgrades: usize,
}

#[derive(Debug)]
struct Seen {
    kind: &'static str,
    epoch: i32,
    members: BTreeSet<Arc<str>>,
}

const PARTITIONS: i32 = 4;
const PARTITIONS_MAX: i32 = 8;
const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(15);
const HEARTBEAT: Duration = Duration::from_secs(3);

#[test]
fn members_of_both_protocols_share_a_group_and_in_the_end_each_partition_is_read_once() {
    let (upgrades, downgrades) = (AtomicUsize::new(0), AtomicUsize::new(0));
    each_seed("engine::coordinator::tests::model", 100, |seed| {
        let mut model = Model::new(seed);
        for _ in 0..150 {
            model.something_happens();
            model.everybody_acts();
            model.check();
        }
        model.settles();
        upgrades.fetch_add(model.upgrades, Ordering::Relaxed);
        downgrades.fetch_add(model.downgrades, Ordering::Relaxed);
    });
    let (upgrades, downgrades) = (upgrades.into_inner(), downgrades.into_inner());
    println!("{upgrades} groups became of the consumer protocol, {downgrades} classic again");
    assert!(std::env::var_os("MILLRACE_SEED").is_some() || (upgrades > 20 && downgrades > 20));
}

fn settings() -> Overrides {
    let settings = [
        ("group.initial.rebalance.delay.ms", "1000"),
        ("group.consumer.min.session.timeout.ms", "1000"),
        ("group.consumer.session.timeout.ms", "10000"),
        ("group.consumer.min.heartbeat.interval.ms", "1000"),
        ("group.consumer.heartbeat.interval.ms", "3000"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

// === impl Model ===

impl Model {
    fn new(seed: u64) -> Self {
        let world = SimWorld::new(seed);
        let life = Life::open_with(&world, seed, settings()).unwrap();
        super::create(&life, "orders");
        Self {
            world,
            life: Some(life),
            clients: Vec::new(),
            rng: Rng::new(seed),
            partitions: PARTITIONS,
            named: 0,
            committed: BTreeMap::new(),
            seen: None,
            upgrades: 0,
            downgrades: 0,
        }
    }

    fn now(&self) -> Duration {
        self.world.env.clock.monotonic()
    }

    fn something_happens(&mut self) {
        let count = self.clients.len() as u64;
        let some = |rng: &mut Rng| rng.below(count) as usize;
        match self.rng.below(24) {
            0..3 if count < 5 => self.arrives(),
            3 if count > 0 => {
                let index = some(&mut self.rng);
                self.clients.remove(index);
            }
            4 | 5 if count > 0 => {
                let index = some(&mut self.rng);
                self.leaves(index);
            }
            6 | 7 if count > 0 => {
                let index = some(&mut self.rng);
                let pause = Duration::from_secs(self.rng.below(25));
                self.clients[index].paused_until = self.now() + pause;
            }
            8..11 if count > 0 => {
                // Its process starts anew with the other protocol, as in an upgrade of all of them one by one.
                let index = some(&mut self.rng);
                let speaks_classic = matches!(self.clients[index].protocol, Protocol::Classic(_));
                if self.rng.one_in(4) {
                    self.clients.remove(index);
                } else {
                    self.leaves(index);
                }
                self.arrives_with(!speaks_classic);
            }
            11 if self.rng.one_in(2) => self.restarts(),
            12 if self.partitions < PARTITIONS_MAX && self.rng.one_in(4) => {
                self.partitions += 1;
                let engine = &self.life().engine;
                let grown = engine.create_partitions("orders".into(), self.partitions, None, false);
                self.life().drive(grown).unwrap().unwrap();
            }
            _ => {
                let millis = self.rng.below(4000);
                self.passes(Duration::from_millis(millis));
            }
        }
    }

    fn passes(&mut self, time: Duration) {
        // In small steps: whoever is due comes in time.
        let end = self.now() + time;
        while self.now() < end {
            let step = (end - self.now()).min(Duration::from_millis(500));
            self.world.clock.advance(step);
            self.life().engine.tick();
            while self.life().pool.step() {}
        }
    }

    fn arrives(&mut self) {
        let classic = self.rng.one_in(2);
        self.arrives_with(classic);
    }

    fn arrives_with(&mut self, classic: bool) {
        self.named += 1;
        let (protocol, id) = if classic {
            (Protocol::Classic(Classic::new(self.rng.one_in(2))), "".into())
        } else {
            let id = format!("m{}-{}", self.rng.below(100), self.named).into();
            (Protocol::Consumer(Consumer::new()), id)
        };
        let now = self.now();
        let reads = BTreeMap::new();
        self.clients.push(Client { protocol, id, reads, paused_until: now, heartbeat_at: now });
    }

    /// It does not wait for the answer.
    fn leaves(&mut self, index: usize) {
        let client = self.clients.remove(index);
        match client.protocol {
            Protocol::Consumer(consumer) => consumer.leaves(&client.id, self.life()),
            Protocol::Classic(_) if client.id.is_empty() => {}
            Protocol::Classic(_) => {
                let name = MemberName { member: client.id, instance: None };
                let _ = self.life().engine.leave_group("readers", &[name]);
            }
        }
    }

    /// The power goes, and comes back.
    fn restarts(&mut self) {
        let seed = self.rng.next_u64();
        // With the jobs that hold it: then whoever waits is told.
        drop(self.life().pool.take());
        drop(self.life.take());
        self.world.disk.power_cut();
        self.world.disk.restart(seed);
        self.life = Some(Life::open_with(&self.world, seed, settings()).unwrap());
        // A generation that was begun and not kept is begun again.
        self.seen = None;
    }

    fn life(&self) -> &Life {
        self.life.as_ref().expect("it is away only while it restarts")
    }

    fn everybody_acts(&mut self) {
        for index in 0..self.clients.len() {
            let mut client = std::mem::replace(&mut self.clients[index], Client::nobody());
            if client.paused_until <= self.now() {
                match &mut client.protocol {
                    Protocol::Classic(_) => self.classic_acts(&mut client),
                    Protocol::Consumer(_) => self.consumer_acts(&mut client),
                }
                self.commits(&mut client);
            }
            self.clients[index] = client;
        }
    }

    /// Reads a little further in each partition, and commits that in one request.
    fn commits(&mut self, client: &mut Client) {
        let generation = match &client.protocol {
            Protocol::Classic(classic) => classic.generation(),
            Protocol::Consumer(consumer) => Some(consumer.epoch),
        };
        let Some(generation) = generation else { return };
        if client.reads.is_empty() {
            return;
        }
        let offsets = client.reads.iter_mut().map(|(&partition, position)| {
            *position += 1;
            OffsetToCommit {
                topic: TopicRef::Name("orders".into()),
                partition,
                offset: *position,
                leader_epoch: -1,
                metadata: "".into(),
            }
        });
        let request = CommitOffsetsRequest {
            group: "readers".into(),
            committer: Committer {
                name: MemberName { member: Arc::clone(&client.id), instance: None },
                generation,
                knows_epochs: matches!(client.protocol, Protocol::Consumer(_)),
            },
            offsets: offsets.collect(),
        };
        // Whether it was taken is seen by what is committed then.
        let _ = self.life().drive(self.life().engine.commit_offsets(request));
    }

    fn committed(&self) -> BTreeMap<i32, i64> {
        let request = FetchOffsetsRequest { group: "readers".into(), member: None, topics: None };
        let fetched = self.life().engine.fetch_offsets(&request).unwrap();
        let partitions = fetched.into_iter().flat_map(|topic| topic.partitions);
        partitions.map(|(partition, found)| (partition, found.unwrap().unwrap().offset)).collect()
    }

    /// What a client is to read from now on: partitions that are new to it begin where the group has come to.
    fn reads_from_now_on(&self, client: &mut Client, told: &BTreeSet<i32>) {
        let committed = self.committed();
        for &partition in told {
            client.reads.entry(partition).or_insert_with(|| committed.get(&partition).copied().unwrap_or(0));
        }
    }

    /// The ids of the group's members, its kind and its epoch.
    fn group(&self) -> Option<(BTreeSet<Arc<str>>, &'static str, i32)> {
        let engine = &self.life().engine;
        if let Ok(group) = engine.describe_consumer_group(&"readers".into()) {
            return Some((
                group.members.into_iter().map(|member| member.member).collect(),
                "consumer",
                group.assignment_epoch,
            ));
        }
        let cell = engine.core.coordinator.find("readers")?;
        let group = cell.group.lock();
        let Kind::Classic(classic) = &group.kind else { unreachable!("it was described") };
        let state = classic.to_state();
        let ids = state.members.into_iter().map(|member| Arc::from(member.id));
        Some((ids.collect(), "classic", state.generation))
    }

    fn check(&mut self) {
        let Some((members, kind, epoch)) = self.group() else {
            self.seen = None;
            return;
        };
        let seen = Seen { kind, epoch, members: members.clone() };
        // A group that everybody has left begins anew.
        if let Some(before) = self.seen.replace(seen)
            && !before.members.is_disjoint(&members)
        {
            // Also from one protocol to the other: a generation is an epoch for which partitions were shared out.
            assert!(epoch >= before.epoch, "{before:?}, then {kind} {epoch} {members:?}");
            self.upgrades += usize::from((before.kind, kind) == ("classic", "consumer"));
            self.downgrades += usize::from((before.kind, kind) == ("consumer", "classic"));
        }
        let mut readers: BTreeMap<i32, &Arc<str>> = BTreeMap::new();
        for client in self.clients.iter().filter(|client| members.contains(&client.id)) {
            for &partition in client.reads.keys() {
                if let Some(other) = readers.insert(partition, &client.id) {
                    panic!("{partition} is read by {other} and by {} ({kind}, {epoch})", client.id);
                }
            }
        }
        let committed = self.committed();
        for (partition, before) in &self.committed {
            let now = committed.get(partition);
            assert!(now >= Some(before), "partition {partition} was at {before}, and is at {now:?}");
        }
        self.committed = committed;
    }

    /// Nothing unusual happens any more.
    fn settles(&mut self) {
        if self.clients.is_empty() {
            self.arrives();
        }
        for client in &mut self.clients {
            client.paused_until = Duration::ZERO;
        }
        let rounds = (SESSION + REBALANCE).as_secs() * 6;
        for _ in 0..rounds {
            self.passes(Duration::from_millis(500));
            self.everybody_acts();
            self.check();
        }
        let mut read: Vec<i32> =
            self.clients.iter().flat_map(|client| client.reads.keys().copied()).collect();
        read.sort_unstable();
        let state = self.life().engine.list_groups().unwrap()[0].state;
        assert_eq!((read, state), ((0..self.partitions).collect(), "Stable"));
    }
}

// === impl Client ===

impl Client {
    /// Stands where somebody acts.
    fn nobody() -> Self {
        let protocol = Protocol::Consumer(Consumer::new());
        let (paused_until, heartbeat_at) = (Duration::MAX, Duration::MAX);
        Self { protocol, id: "".into(), reads: BTreeMap::new(), paused_until, heartbeat_at }
    }

    /// It is no member any more, or is told that what it had may be another's.
    fn loses_all(&mut self) {
        self.reads.clear();
    }
}

/// What a broker says that starts, stops or could not keep something.
fn is_passing(error: &GroupError) -> bool {
    matches!(error, GroupError::Unavailable { .. } | GroupError::Loading)
}
