//! A group of hundreds whose members come and go all the time. A third of those who go say nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millrace::types::TopicId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::effort;
use super::ledger::Ledger;
use super::member::Member;
use super::reader::{self, Beat, Reader};
use crate::fixture::Client;
use crate::hostile::good::GoodClient;
use crate::hostile::is_timed;
use crate::hostile::victim::Victim;

const GROUP: &str = "churn";
const PARTITIONS: u16 = 500;
/// The session of a member; one that vanishes holds a classic group up so long.
pub(super) const SESSION: Duration = Duration::from_secs(2);
/// How often a member says that it is alive.
const PACE: Duration = Duration::from_millis(300);
const SETTINGS: &[&str] = &[
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=100",
    "group.consumer.min.session.timeout.ms=100",
    "group.consumer.session.timeout.ms=2000",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.heartbeat.interval.ms=300",
];
/// How long the good client is measured alone.
const ALONE: Duration = Duration::from_secs(2);
/// How soon the group must be well after the last change, beside the session of the last that vanished.
const SETTLES: Duration = Duration::from_secs(10);
/// How long it must stay so: until the last of those who went without a word is out.
const STANDS: Duration = Duration::from_millis(2_500);
const GROWTH_BYTES: u64 = 64 << 20;
const P99: Duration = Duration::from_millis(50);

/// A protocol, with what its members need to know.
#[derive(Clone, Copy)]
enum Protocol {
    Classic,
    Consumer(TopicId),
}

/// A member of either protocol.
enum Seat {
    Classic(Member),
    Consumer(Reader),
}

/// Somebody who takes part until told to go.
struct Guest {
    go: oneshot::Sender<bool>,
    task: JoinHandle<()>,
}

/// All of them, and what they own.
struct Crowd {
    broker: SocketAddr,
    protocol: Protocol,
    ledger: Arc<Mutex<Ledger>>,
    guests: Vec<Guest>,
    going: JoinSet<()>,
    arrived: usize,
}

// === impl Protocol ===

impl Protocol {
    /// That of KIP-848, with a topic to share.
    async fn consumer(victim: &Victim) -> Self {
        let mut client = Client::connect(victim.address).await;
        Self::Consumer(reader::make_topic(&mut client, PARTITIONS).await)
    }
}

// === impl Seat ===

impl Seat {
    async fn new(protocol: Protocol, broker: SocketAddr, number: usize) -> Self {
        match protocol {
            Protocol::Classic => {
                let session_ms = i32::try_from(SESSION.as_millis()).unwrap();
                Self::Classic(Member::new(broker, GROUP, session_ms).await)
            }
            Protocol::Consumer(topic) => {
                Self::Consumer(Reader::new(broker, GROUP, format!("guest-{number}"), topic).await)
            }
        }
    }

    /// Takes part for ever.
    async fn live(&mut self, ledger: &Mutex<Ledger>) {
        match self {
            Self::Classic(member) => loop {
                let Some(share) = member.take_part(PARTITIONS).await else { continue };
                ledger.lock().classic.note(share.generation, member.id(), &share.partitions);
                while member.is_alive(share.generation).await {
                    tokio::time::sleep(PACE).await;
                }
            },
            Self::Consumer(reader) => loop {
                let asked = Instant::now();
                let beat = reader.beat().await;
                match beat {
                    Beat::Fenced => ledger.lock().consumer.give_up_all(reader.id()),
                    Beat::Member { lost, gained } => {
                        ledger.lock().consumer.follow(reader.id(), &lost, &gained, asked);
                    }
                }
                tokio::time::sleep(PACE).await;
            },
        }
    }

    /// Goes, with a word or without. In the middle of a request it can only drop its connection.
    async fn go(self, broker: SocketAddr, says_so: bool, ledger: &Mutex<Ledger>) {
        match self {
            Self::Classic(member) if says_so => {
                Member::with_id(broker, GROUP, member.id()).await.leave().await;
            }
            Self::Classic(_) => {}
            Self::Consumer(reader) => {
                ledger.lock().consumer.give_up_all(reader.id());
                if says_so {
                    reader.leave(broker).await;
                }
            }
        }
    }
}

// === impl Guest ===

impl Guest {
    fn start(protocol: Protocol, broker: SocketAddr, number: usize, ledger: &Arc<Mutex<Ledger>>) -> Self {
        let (go, mut is_to_go) = oneshot::channel();
        let ledger = Arc::clone(ledger);
        let task = tokio::spawn(async move {
            let mut seat = Seat::new(protocol, broker, number).await;
            let says_so = tokio::select! {
                () = seat.live(&ledger) => unreachable!("it lives until it is told to go"),
                says_so = &mut is_to_go => says_so.unwrap_or(false),
            };
            seat.go(broker, says_so, &ledger).await;
        });
        Self { go, task }
    }

    async fn end(self, says_so: bool) {
        let _ = self.go.send(says_so);
        self.task.await.unwrap();
    }
}

// === impl Crowd ===

impl Crowd {
    fn start(victim: &Victim, protocol: Protocol, members: usize) -> Self {
        let ledger = Arc::default();
        let mut crowd = Self {
            broker: victim.address,
            protocol,
            ledger,
            guests: Vec::new(),
            going: JoinSet::new(),
            arrived: 0,
        };
        (0..members).for_each(|_| crowd.arrive());
        crowd
    }

    fn arrive(&mut self) {
        self.guests.push(Guest::start(self.protocol, self.broker, self.arrived, &self.ledger));
        self.arrived += 1;
    }

    /// Somebody goes and somebody else comes, so often, for so long; how many did.
    async fn churn(&mut self, per_second: u32, length: Duration) -> usize {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second);
        let begun = Instant::now();
        let mut changes = 0;
        while begun.elapsed() < length {
            pace.tick().await;
            let guest = self.guests.swap_remove(changes * 7919 % self.guests.len());
            self.going.spawn(guest.end(changes % 3 != 0));
            self.arrive();
            changes += 1;
        }
        changes
    }

    /// How far the group has come, and how many partitions have an owner.
    fn standing(&self) -> (i32, usize) {
        let ledger = self.ledger.lock();
        match self.protocol {
            Protocol::Classic => ledger.classic.newest,
            Protocol::Consumer(_) => (ledger.consumer.moves, ledger.consumer.owners.len()),
        }
    }

    /// Waits until every partition has an owner, and nothing has moved for so long: not even when all sessions of those who
    /// have gone without a word are over. How long it took, and how far the group has come.
    async fn settled(&self, for_so_long: Duration) -> (Duration, i32) {
        let quiet = Instant::now();
        let mut stands = (self.standing(), Instant::now());
        while stands.1.elapsed() < for_so_long || stands.0.1 < usize::from(PARTITIONS) {
            tokio::time::sleep(PACE / 10).await;
            let now = self.standing();
            if now != stands.0 {
                stands = (now, Instant::now());
            }
            assert!(quiet.elapsed() < 6 * SETTLES, "{} of {PARTITIONS} partitions are owned", now.1);
        }
        (stands.1.duration_since(quiet), stands.0.0)
    }

    async fn end(mut self) {
        for guest in self.guests {
            self.going.spawn(guest.end(true));
        }
        self.going.join_all().await;
    }
}

#[expect(clippy::print_stdout, reason = "what was measured, for whoever runs it with --nocapture")]
async fn storm(victim: &Victim, protocol: Protocol, members: usize, per_second: u32, length: Duration) {
    let alone = GoodClient::start(victim.address, "alone");
    tokio::time::sleep(ALONE).await;
    let alone = alone.stop().ack_p99;
    let good = GoodClient::start(victim.address, "beside");
    let before = victim.memory().anonymous_bytes;
    let mut crowd = Crowd::start(victim, protocol, members);
    let changes = crowd.churn(per_second, length).await;
    let told = good.stop();
    let (settled, progress) = crowd.settled(STANDS).await;
    let grown = victim.memory().anonymous_bytes.saturating_sub(before);
    println!(
        "{changes} changes of {members} members; {progress} {}; settled after {settled:?}; memory grew by {} MiB; beside it \
         {} records, p99 {:?}, {alone:?} alone",
        if matches!(protocol, Protocol::Classic) { "generations" } else { "partitions handed over" },
        grown >> 20,
        told.records,
        told.ack_p99,
    );
    crowd.end().await;
    assert!(progress > 1, "no rebalance was ever done");
    assert!(grown <= GROWTH_BYTES, "memory grew by {grown} bytes");
    if is_timed() {
        assert!(settled <= SETTLES + SESSION, "{settled:?}");
        assert!(told.ack_p99 <= P99.max(2 * alone), "{:?}, alone {alone:?}", told.ack_p99);
    }
}

/// A broker that stands still for longer than every session, and goes on.
#[expect(clippy::print_stdout, reason = "what was measured, for whoever runs it with --nocapture")]
async fn pause(victim: &Victim, protocol: Protocol) {
    let mut crowd = Crowd::start(victim, protocol, 50);
    crowd.churn(10, Duration::from_secs(1)).await;
    let (_, before) = crowd.settled(Duration::ZERO).await;
    victim.signal("STOP");
    tokio::time::sleep(2 * SESSION).await;
    victim.signal("CONT");
    crowd.churn(10, Duration::from_secs(1)).await;
    let (settled, progress) = crowd.settled(STANDS).await;
    println!("settled {settled:?} after it went on");
    crowd.end().await;
    assert!(progress > before, "those who came later were never let in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_hundreds_of_classic_members_that_come_and_go_never_share_a_partition_and_settle() {
    let length = Duration::from_secs(if effort() > 1 { 60 } else { 5 });
    storm(&Victim::start(SETTINGS), Protocol::Classic, 500, 50, length).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_hundreds_of_consumer_members_that_come_and_go_never_share_a_partition_and_settle() {
    let (members, per_second, seconds) = if effort() > 1 { (500, 50, 10) } else { (100, 20, 4) };
    let victim = Victim::start(SETTINGS);
    let protocol = Protocol::consumer(&victim).await;
    storm(&victim, protocol, members, per_second, Duration::from_secs(seconds)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f29_after_a_standstill_no_two_classic_members_share_a_partition_and_the_group_settles() {
    pause(&Victim::start(SETTINGS), Protocol::Classic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f29_after_a_standstill_no_two_consumer_members_share_a_partition_and_the_group_settles() {
    let victim = Victim::start(SETTINGS);
    let protocol = Protocol::consumer(&victim).await;
    pause(&victim, protocol).await;
}
