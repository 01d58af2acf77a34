//! Consumers that wait, thousands of them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use millrace::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use millrace::wire::messages::metadata::MetadataRequest;
use millrace::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millrace::wire::{decode_response, encode_request};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::effort;
use super::text;
use crate::fixture::{Client, PATIENCE, batch, only};
use crate::hostile::is_timed;
use crate::hostile::victim::Victim;

const TOPIC: &str = "idle";
const PARTITIONS: usize = 100;
/// What a consumer that waits may cost: its connection's task, its buffers and its place in the waiting room.
const EACH_BYTES: u64 = 20 << 10;
/// How long the processor is watched.
const WATCH: Duration = Duration::from_secs(3);
/// How many ticks of 10 ms an idle broker may use meanwhile: a hundredth of a core in a build made for speed.
const WATCH_TICKS: u64 = 3;
/// How often it is measured how long an acknowledgement takes.
const ACKS: usize = 300;

/// As many as were promised to wait, or as many as the broker's descriptors let in.
fn count() -> usize {
    if effort() == 1 {
        return 2_000;
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors / 2 - 8).unwrap().min(10_000)
}

async fn make_topic(client: &mut Client) {
    let topic = CreatableTopic {
        name: text(TOPIC),
        num_partitions: i32::try_from(PARTITIONS).unwrap(),
        replication_factor: 1,
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic].into(), timeout_ms: 10_000, validate_only: false };
    client.ask(&request, 5).await;
}

/// Sends a fetch that waits for ten minutes. A thousand connections come from one address.
async fn park(broker: SocketAddr, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let address = [127, 0, 1, u8::try_from(1 + number / 1000).unwrap()];
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    let mut stream = socket.connect(broker).await.unwrap();
    let partition = FetchPartition {
        partition: i32::try_from(number % PARTITIONS).unwrap(),
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = FetchTopic { topic: text(TOPIC), partitions: vec![partition].into(), ..Default::default() };
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: 600_000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic].into(),
        ..Default::default()
    };
    stream.write_all(&encode_request(&request, 4, 1, None).unwrap().into_bytes()).await.unwrap();
    stream
}

/// The partition that a parked fetch was answered with, and its high watermark.
async fn woken(stream: &mut TcpStream) -> (i32, i64) {
    let answer = async {
        let size = stream.read_i32().await.unwrap();
        let mut frame = vec![0; usize::try_from(size).unwrap()];
        stream.read_exact(&mut frame).await.unwrap();
        frame
    };
    let frame = tokio::time::timeout(PATIENCE, answer).await.expect("a fetch that has news is answered");
    let (_, answer): (_, FetchResponse) = decode_response(&frame.into(), 4).unwrap();
    let topic = answer.responses.iter().next().unwrap();
    let partition = topic.partitions.iter().next().unwrap();
    (partition.partition_index, partition.high_watermark)
}

async fn produce(client: &mut Client, topic: &'static str, partition: usize) {
    let partition =
        PartitionProduceData { index: i32::try_from(partition).unwrap(), records: Some(batch(&[b"wake"])) };
    let topic =
        TopicProduceData { name: text(topic), partition_data: vec![partition].into(), ..Default::default() };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic].into(), ..Default::default() };
    let answer = client.ask(&request, 9).await;
    assert!(only(&answer).error_code.is_none());
}

/// The 99th percentile of how long an acknowledgement takes.
async fn ack_p99(client: &mut Client) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ACKS {
        let begun = Instant::now();
        produce(client, "busy", 0).await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[ACKS * 99 / 100]
}

#[tokio::test]
async fn f18_thousands_of_idle_consumers_cost_little_and_a_record_wakes_only_its_own() {
    millrace::server::process::raise_descriptor_limit();
    let count = count();
    let victim = Victim::start(&["max.connections=20000"]);
    let mut good = Client::connect(victim.address).await;
    make_topic(&mut good).await;
    good.make_topic("busy").await;
    let alone = ack_p99(&mut good).await;
    let before = victim.memory().anonymous_bytes;
    let mut idle = Vec::new();
    for number in 0..count {
        idle.push(park(victim.address, number).await);
    }
    good.ask(&MetadataRequest::default(), 1).await;
    let beside = ack_p99(&mut good).await;
    let each = victim.memory().anonymous_bytes.saturating_sub(before) / count as u64;

    // One record, for one consumer of a hundred.
    let begun = victim.cpu_ticks();
    let woke = Instant::now();
    produce(&mut good, TOPIC, 7).await;
    for number in (7..count).step_by(PARTITIONS) {
        assert_eq!(woken(&mut idle[number]).await, (7, 1));
    }
    let (woke, wake_ticks) = (woke.elapsed(), victim.cpu_ticks() - begun);

    let begun = victim.cpu_ticks();
    tokio::time::sleep(WATCH).await;
    let idle_ticks = victim.cpu_ticks() - begun;
    println!(
        "{count} idle: {each} bytes each, {idle_ticks}0 ms of processor time in {WATCH:?}; {woke:?} and {wake_ticks}0 ms \
         of processor time to wake {}; others' p99 {beside:?}, {alone:?} without them",
        count / PARTITIONS
    );
    // Asked of the kernel, after a time in which a wrong answer would have come.
    for (number, stream) in idle.into_iter().enumerate().filter(|(number, _)| number % PARTITIONS != 7) {
        let peeked = stream.into_std().unwrap().peek(&mut [0]);
        assert!(peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{number} was woken");
    }
    assert!(each <= EACH_BYTES, "{each} bytes each");
    assert!(wake_ticks <= 30, "{wake_ticks}0 ms of processor time to wake {}", count / PARTITIONS);
    if is_timed() {
        assert!(
            idle_ticks <= WATCH_TICKS,
            "{idle_ticks}0 ms of processor time in {WATCH:?} of nothing to do"
        );
        assert!(beside <= 2 * alone.max(Duration::from_millis(10)), "{beside:?}, {alone:?} without them");
    } else {
        assert!(idle_ticks <= 10 * WATCH_TICKS, "{idle_ticks}0 ms of processor time in {WATCH:?}");
    }
}
