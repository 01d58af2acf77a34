//! A broker, or a member, that stands still for longer than sessions last, as a machine does that is suspended, and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use millrace::client::{
    Admin, Client, ClientConfig, Consumer, ConsumerConfig, GroupConfig, GroupConsumer, GroupProtocol,
    NewTopic, Producer, ProducerConfig, ProducerRecord, RetryPolicy, StartAt,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::process::{Broker, signal};

const TOPIC: &str = "stopped";
const GROUP: &str = "readers";
const PARTITIONS: i32 = 4;
const SESSION: Duration = Duration::from_secs(1);
/// How long something stands still.
const PAUSE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: [&str; 6] = [
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=100",
    "group.consumer.min.session.timeout.ms=1000",
    "group.consumer.session.timeout.ms=1000",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.heartbeat.interval.ms=100",
];

/// The number at each partition's offset.
type Places = BTreeMap<(i32, i64), u64>;

/// What a member tells.
enum Told {
    /// What it owns now.
    Owns(usize, BTreeSet<i32>),
    /// A record that it has read.
    Read(usize, u64),
}

/// What the members have told so far.
#[derive(Debug, Default)]
struct Heard {
    owned: BTreeMap<usize, BTreeSet<i32>>,
    /// The numbers that each has read.
    read: BTreeMap<usize, BTreeSet<u64>>,
}

/// A producer that writes numbers, one every few milliseconds, to all partitions in turns.
struct Writer {
    written: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<(Places, u64)>,
}

/// A broker with the topic.
struct Scene {
    broker: Broker,
    client: Client,
    tells: mpsc::UnboundedReceiver<Told>,
    told: mpsc::UnboundedSender<Told>,
    heard: Heard,
    _dir: TempDir,
}

async fn connect(broker: &Broker, request_timeout: Duration) -> Client {
    let mut config = ClientConfig::new(&broker.address().to_string()).unwrap();
    config.retry = RetryPolicy { initial: Duration::from_millis(5), max: Duration::from_millis(50) };
    config.connect_timeout = request_timeout;
    config.request_timeout = request_timeout;
    Client::connect(config).await.unwrap()
}

// === impl Heard ===

impl Heard {
    fn note(&mut self, told: Told) {
        match told {
            Told::Owns(member, partitions) => _ = self.owned.insert(member, partitions),
            Told::Read(member, number) => _ = self.read.entry(member).or_default().insert(number),
        }
    }

    /// Whether those members share all partitions evenly.
    fn is_shared_by(&self, members: &[usize]) -> bool {
        let shares: Vec<_> = members.iter().filter_map(|member| self.owned.get(member)).collect();
        let all: BTreeSet<i32> = shares.iter().copied().flatten().copied().collect();
        let each = PARTITIONS as usize / members.len();
        shares.len() == members.len()
            && shares.iter().all(|share| share.len() == each)
            && all.len() == PARTITIONS as usize
    }

    /// Whether that member owns one half of the partitions.
    fn is_half(&self, member: usize) -> bool {
        self.owned.get(&member).is_some_and(|share| 2 * share.len() == PARTITIONS as usize)
    }

    fn has_read_all(&self, numbers: std::ops::Range<u64>) -> bool {
        let read: BTreeSet<u64> = self.read.values().flatten().copied().collect();
        numbers.into_iter().all(|number| read.contains(&number))
    }
}

// === impl Writer ===

impl Writer {
    fn start(client: &Client) -> Self {
        let (tell, written) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let client = client.clone();
        let task = tokio::spawn(async move {
            let config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
            let producer = Producer::new(&client, config).unwrap();
            let topic = producer.topic(TOPIC).await.unwrap();
            let mut deliveries = Vec::new();
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            while !*stopped.borrow() {
                pace.tick().await;
                let number = deliveries.len() as u64;
                let partition = Some(i32::try_from(number).unwrap() % PARTITIONS);
                let value = number.to_string();
                let record =
                    ProducerRecord { partition, value: Some(value.as_bytes()), ..Default::default() };
                deliveries.push(topic.send(&record).await.unwrap());
                tell.send_replace(number + 1);
            }
            let mut places = Places::new();
            for (number, delivery) in deliveries.into_iter().enumerate() {
                let told = delivery.wait().await.expect("what is tried long enough is acknowledged");
                let before = places.insert((told.partition, told.offset.unwrap()), number as u64);
                assert_eq!(before, None, "two records were acknowledged at one offset");
            }
            let retried = producer.stats().retried_batches;
            producer.close().await.unwrap();
            (places, retried)
        });
        Self { written, stop, task }
    }

    /// Waits until so many more are written.
    async fn go_on_for(&mut self, count: u64) {
        let goal = *self.written.borrow() + count;
        let waiting = self.written.wait_for(|written| *written >= goal);
        tokio::time::timeout(PATIENCE, waiting).await.expect("the producer goes on").unwrap();
    }

    /// Where each number is, and how many batches were sent again.
    async fn stop(self) -> (Places, u64) {
        self.stop.send_replace(true);
        self.task.await.unwrap()
    }
}

// === impl Scene ===

impl Scene {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let broker = Broker::start(dir.path(), "127.0.0.1:0", &SETTINGS);
        let client = connect(&broker, PATIENCE).await;
        let topic = NewTopic::new(TOPIC).partitions(PARTITIONS);
        Admin::new(&client).create_topics(&[topic], false).await.unwrap().remove(0).unwrap();
        let (told, tells) = mpsc::unbounded_channel();
        Self { broker, client, tells, told, heard: Heard::default(), _dir: dir }
    }

    /// A member on connections of its own, as another process has.
    async fn member(&self, member: usize, protocol: GroupProtocol) {
        let client = connect(&self.broker, PATIENCE).await;
        let mut config = GroupConfig::new(GROUP);
        config.protocol = protocol;
        config.session_timeout = SESSION;
        config.heartbeat_interval = SESSION / 10;
        config.auto_commit = Some(SESSION / 10);
        let mut consumer = GroupConsumer::new(&client, config);
        consumer.subscribe(&[TOPIC]);
        let told = self.told.clone();
        tokio::spawn(async move {
            let mut owned = BTreeSet::new();
            while !told.is_closed() {
                for record in consumer.poll(SESSION / 50).await.expect("a member lives through it") {
                    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                    let _ = told.send(Told::Read(member, value.parse().unwrap()));
                }
                let now: BTreeSet<i32> = consumer.assignment().into_iter().map(|place| place.1).collect();
                if now != owned {
                    owned.clone_from(&now);
                    let _ = told.send(Told::Owns(member, now));
                }
            }
        });
    }

    /// A member that is a process of its own.
    fn process(&self, member: usize, protocol: GroupProtocol) -> Child {
        let protocol = if protocol == GroupProtocol::Classic { "classic" } else { "consumer" };
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.args(["consume", TOPIC, "--group", GROUP, "--protocol", protocol, "--session-timeout", "1s"]);
        command.arg("--broker").arg(self.broker.address().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = self.told.clone();
        tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                let _ = told.send(Told::Read(member, line.parse().unwrap()));
            }
        });
        child
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&Heard) -> bool) {
        while !is_so(&self.heard) {
            let told = tokio::time::timeout(PATIENCE, self.tells.recv()).await;
            match told {
                Ok(Some(told)) => self.heard.note(told),
                _ => panic!("not in time: {what}; owned: {:?}", self.heard.owned),
            }
        }
    }
}

/// What is in the log, as somebody sees it who is in no group.
async fn read_log(client: &Client, count: usize) -> Places {
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    consumer.assign_topic(TOPIC, StartAt::Beginning).await.unwrap();
    let mut places = Places::new();
    loop {
        // When all is there, what should not be there may still come.
        let records = consumer.poll(if places.len() < count { PATIENCE } else { SESSION / 5 }).await.unwrap();
        if records.is_empty() {
            return places;
        }
        for record in records {
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            places.insert((record.partition, record.offset), value.parse().unwrap());
        }
    }
}

#[expect(clippy::print_stdout, reason = "what was measured, for whoever runs it with --nocapture")]
async fn the_broker_stops(protocol: GroupProtocol) {
    let mut scene = Scene::new().await;
    scene.member(0, protocol).await;
    scene.member(1, protocol).await;
    // A producer that does not wait for long, and sends again what is not answered.
    let mut writer = Writer::start(&connect(&scene.broker, SESSION / 2).await);
    writer.go_on_for(50).await;
    scene.until("the members share", |heard| heard.is_shared_by(&[0, 1])).await;

    scene.broker.signal("STOP");
    tokio::time::sleep(PAUSE).await;
    scene.broker.signal("CONT");

    writer.go_on_for(50).await;
    let (places, retried) = writer.stop().await;
    let numbers = 0..places.len() as u64;
    scene.until("the members share again", |heard| heard.is_shared_by(&[0, 1])).await;
    scene.until("everything is read", |heard| heard.has_read_all(numbers.clone())).await;
    println!("{} records, {retried} batches sent again", places.len());
    assert!(retried > 0, "nothing was sent again, so that nothing could be there twice");
    assert_eq!(read_log(&scene.client, places.len()).await, places, "the log is what was acknowledged");
}

async fn a_member_stops(protocol: GroupProtocol) {
    let mut scene = Scene::new().await;
    let mut child = scene.process(0, protocol);
    scene.member(1, protocol).await;
    let mut writer = Writer::start(&scene.client);
    let has_read =
        |heard: &Heard, from: u64| heard.read.get(&0).is_some_and(|read| read.range(from..).next().is_some());
    scene.until("the members share", |heard| heard.is_half(1) && has_read(heard, 0)).await;

    signal("STOP", child.id().unwrap());
    scene.until("the other takes over", |heard| heard.is_shared_by(&[1])).await;
    writer.go_on_for(50).await;
    signal("CONT", child.id().unwrap());

    scene.until("it is let in again", |heard| heard.is_half(1)).await;
    let mark = *writer.written.borrow();
    writer.go_on_for(50).await;
    let (places, _) = writer.stop().await;
    let numbers = 0..places.len() as u64;
    scene.until("everything is read", |heard| heard.has_read_all(numbers.clone())).await;
    scene.until("it reads again", |heard| has_read(heard, mark)).await;
    signal("TERM", child.id().unwrap());
    // It has committed and left, as one does that is told to stop.
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
}

#[tokio::test]
async fn f29_a_broker_that_stood_still_has_everything_once_and_its_classic_members_go_on() {
    the_broker_stops(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn f29_a_broker_that_stood_still_has_everything_once_and_its_consumer_members_go_on() {
    the_broker_stops(GroupProtocol::Consumer).await;
}

#[tokio::test]
async fn f29_a_classic_member_that_stood_still_for_longer_than_its_session_is_let_in_again() {
    a_member_stops(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn f29_a_consumer_member_that_stood_still_for_longer_than_its_session_is_let_in_again() {
    a_member_stops(GroupProtocol::Consumer).await;
}
