//! Many connections, each with a fetch that waits: memory, processor time at rest, and the wake-up of those whose
//! partition gets a record. Spoken by hand, since no client library keeps 10,000 connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::Target;
use crate::measured::Meter;
use crate::process::Process;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Fetches, spread over the partitions.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// How long to look at the broker at rest.
    #[arg(long, default_value_t = 5.0)]
    rest_seconds: f64,
    /// How many records to send, one after the other, to partitions in turn.
    #[arg(long, default_value_t = 50)]
    wakes: usize,
}

/// How long each fetch may wait: longer than the bench.
const MAX_WAIT_MS: i32 = 600_000;

pub(crate) fn run(options: &Options) -> Value {
    let target = &options.target;
    target.create_topic();
    let process = Process(target.pid);
    let memory = process.anonymous_bytes();
    let mut connections: Vec<TcpStream> = (0..options.count).map(|_| connect(&target.broker)).collect();
    std::thread::sleep(Duration::from_secs(1));
    let connected = process.anonymous_bytes();
    let partitions = usize::try_from(target.partitions).unwrap();
    for (index, connection) in connections.iter_mut().enumerate() {
        ask(connection, &target.topic, index % partitions, 0);
    }
    // Until the last one is parked: a produce that follows finds it there.
    std::thread::sleep(Duration::from_secs(2));
    let parked = process.anonymous_bytes();
    let meter = Meter::start(target.pid);
    std::thread::sleep(Duration::from_secs_f64(options.rest_seconds));
    let idle_seconds = meter.cpu_seconds();

    let producer: BaseProducer = target.config().set("acks", "all").set("linger.ms", "0").create().unwrap();
    let mut micros = Histogram::<u64>::new(3).unwrap();
    let mut wrong = 0;
    for wake in 0..options.wakes.min(partitions) {
        let record = BaseRecord::<(), [u8]>::to(&target.topic).payload(b"wake").partition(wake as i32);
        let start = Instant::now();
        producer.send(record).map_err(|(error, _)| error).unwrap();
        for connection in connections.iter_mut().skip(wake).step_by(partitions) {
            answer(connection);
            micros.record(u64::try_from(start.elapsed().as_micros()).unwrap()).unwrap();
        }
        // `flush` would wait for 100 ms, and the next sync find a disk that has gone to rest: in a bare loop too, one sync in a
        // hundred takes 50 ms instead of 0.3 when there is such a pause before each.
        let since = Instant::now();
        while producer.in_flight_count() > 0 {
            assert!(since.elapsed() < Duration::from_secs(10), "no acknowledgement of what was fetched");
            producer.poll(Duration::from_millis(1));
        }
    }
    for (index, connection) in connections.iter().enumerate() {
        if index % partitions >= options.wakes {
            connection.set_nonblocking(true).unwrap();
            wrong += usize::from(connection.peek(&mut [0]).is_ok());
        }
    }
    let each = |bytes: u64| bytes as f64 / options.count as f64 / 1024.0;
    json!({
        "connection_kib": each(connected.saturating_sub(memory)),
        "parked_kib": each(parked.saturating_sub(connected)),
        "both_kib": each(parked.saturating_sub(memory)),
        "idle_core_share": idle_seconds / options.rest_seconds,
        "wake_ms": {
            "p50": micros.value_at_percentile(50.0) as f64 / 1e3,
            "p99": micros.value_at_percentile(99.0) as f64 / 1e3,
            "max": micros.max() as f64 / 1e3,
        },
        "woken": micros.len(),
        "wrongly_woken": wrong,
    })
}

fn connect(address: &str) -> TcpStream {
    let connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    connection
}

/// A Fetch of version 4, which every broker knows, for one partition.
fn ask(connection: &mut TcpStream, topic: &str, partition: usize, offset: i64) {
    let mut body = Vec::new();
    body.extend(1i16.to_be_bytes());
    body.extend(4i16.to_be_bytes());
    body.extend(7i32.to_be_bytes());
    body.extend((-1i16).to_be_bytes());
    body.extend((-1i32).to_be_bytes());
    body.extend(MAX_WAIT_MS.to_be_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend((1i32 << 20).to_be_bytes());
    body.push(0);
    body.extend(1i32.to_be_bytes());
    body.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend(i32::try_from(partition).unwrap().to_be_bytes());
    body.extend(offset.to_be_bytes());
    body.extend((1i32 << 20).to_be_bytes());
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(body);
    connection.write_all(&frame).unwrap();
}

fn answer(connection: &mut TcpStream) {
    let mut size = [0; 4];
    connection.read_exact(&mut size).unwrap();
    let mut body = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    connection.read_exact(&mut body).unwrap();
    assert_eq!(body[..4], 7i32.to_be_bytes(), "an answer to something else");
}
