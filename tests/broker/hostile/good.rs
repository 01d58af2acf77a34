//! The good client: the bundled one, on a thread of its own, producing with `acks=all` and reading what it has produced.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace::client::{
    Admin, Client, ClientConfig, Consumer, ConsumerConfig, NewTopic, Producer, ProducerConfig,
    ProducerRecord, StartAt,
};
use tokio::time::Instant;

/// One record every so often.
pub(crate) const PACE: Duration = Duration::from_millis(4);
/// A fresh client, with connections of its own, after so many records.
const RECORDS_PER_CLIENT: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(30);

/// A good client at work.
pub(crate) struct GoodClient {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Told>,
}

/// What it has seen.
#[derive(Debug)]
pub(crate) struct Told {
    /// Records acknowledged, each of them read back once at its offset.
    pub(crate) records: u64,
    /// How long an acknowledgement took. One is waited for at a time, so that a broker that stands still for a second
    /// delays a single one: see `slowest`.
    pub(crate) ack_p99: Duration,
    /// How long it took from the send until the record was read.
    pub(crate) read_p99: Duration,
    /// When the slowest acknowledgements came, and how long they took, the slowest first: to see which attack was felt.
    pub(crate) slowest: Vec<(Instant, Duration)>,
}

impl GoodClient {
    /// Begins, on a topic of its own. Any error it meets shows when it is stopped.
    pub(crate) fn start(broker: SocketAddr, topic: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work(broker, topic, &stopped))
        });
        Self { stop, thread }
    }

    /// Ends, and checks that nothing was lost.
    pub(crate) fn stop(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the good client met no error")
    }
}

async fn client(broker: SocketAddr) -> Client {
    Client::connect(ClientConfig::new(&broker.to_string()).unwrap()).await.unwrap()
}

async fn work(broker: SocketAddr, name: &str, stop: &AtomicBool) -> Told {
    let first = client(broker).await;
    for created in
        Admin::new(&first).create_topics(&[NewTopic::new(name).partitions(1)], false).await.unwrap()
    {
        created.unwrap();
    }
    let begun = Instant::now();
    let (acknowledged, read) = tokio::join!(produce(broker, name, stop, begun), consume(&first, name, begun));
    // The oracle: what was acknowledged is there, once, in order, where it was said to be.
    let (offsets, acks) = acknowledged;
    let mut slowest = acks.clone();
    slowest.sort_unstable_by_key(|&(_, took)| std::cmp::Reverse(took));
    slowest.truncate(10);
    let mut acks: Vec<Duration> = acks.into_iter().map(|(_, took)| took).collect();
    let (found, mut reads) = read;
    assert_eq!(found, offsets, "read and acknowledged differ");
    Told {
        records: offsets.len() as u64,
        ack_p99: percentile(&mut acks, 99),
        read_p99: percentile(&mut reads, 99),
        slowest,
    }
}

/// Offset and number of every acknowledged record, and how long each took.
async fn produce(
    broker: SocketAddr,
    name: &str,
    stop: &AtomicBool,
    begun: Instant,
) -> (Vec<(i64, u64)>, Vec<(Instant, Duration)>) {
    let (mut offsets, mut times) = (Vec::new(), Vec::new());
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut number = 0u64;
    // Once at least, however late this thread has come to it.
    while number == 0 || !stop.load(Ordering::Relaxed) {
        let client = client(broker).await;
        let config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
        let producer = Producer::new(&client, config).unwrap();
        let topic = producer.topic(name).await.unwrap();
        for _ in 0..RECORDS_PER_CLIENT {
            pace.tick().await;
            let sent = Instant::now();
            let value = format!("{number} {}", sent.duration_since(begun).as_micros());
            let record =
                ProducerRecord { partition: Some(0), value: Some(value.as_bytes()), ..Default::default() };
            let delivered = topic.send(&record).await.unwrap().wait().await.unwrap();
            times.push((Instant::now(), sent.elapsed()));
            offsets.push((delivered.offset.unwrap(), number));
            number += 1;
        }
        producer.close().await.unwrap();
    }
    // The last one, which tells the consumer that it has all.
    let client = client(broker).await;
    let producer = Producer::new(&client, ProducerConfig::default()).unwrap();
    let topic = producer.topic(name).await.unwrap();
    let last = ProducerRecord { partition: Some(0), value: Some(b"end"), ..Default::default() };
    topic.send(&last).await.unwrap().wait().await.unwrap();
    (offsets, times)
}

/// Offset and number of every record up to the end, and how old each was.
async fn consume(client: &Client, name: &str, begun: Instant) -> (Vec<(i64, u64)>, Vec<Duration>) {
    let (mut found, mut ages) = (Vec::new(), Vec::new());
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    consumer.assign_topic(name, StartAt::Beginning).await.unwrap();
    loop {
        let records = consumer.poll(PATIENCE).await.unwrap();
        assert!(!records.is_empty(), "nothing to read for {PATIENCE:?}");
        let now = begun.elapsed();
        for record in records {
            let value = record.value.unwrap();
            if &value[..] == b"end" {
                return (found, ages);
            }
            let text = std::str::from_utf8(&value).unwrap();
            let (number, sent_us) = text.split_once(' ').unwrap();
            found.push((record.offset, number.parse().unwrap()));
            ages.push(now.saturating_sub(Duration::from_micros(sent_us.parse().unwrap())));
        }
    }
}

pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}
