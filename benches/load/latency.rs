//! At a fixed rate: from the moment a record was due until it is acknowledged, and until a reader has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::Target;
use crate::measured::Meter;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Records a second.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Bytes of each record's value, 8 at least.
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// 0, 1 or all.
    #[arg(long, default_value = "all")]
    acks: String,
    #[arg(long, default_value_t = 0.0)]
    linger_ms: f64,
    #[arg(long, default_value_t = 2.0)]
    warmup_seconds: f64,
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Measure only until acknowledged, without a reader.
    #[arg(long)]
    no_read: bool,
}

/// Records are sent in such steps; each counts from its step's beginning.
const STEP: Duration = Duration::from_micros(500);

/// Where times are taken from, and since when they count.
#[derive(Clone)]
struct Watch {
    epoch: Instant,
    counts_from: Duration,
    micros: Arc<Mutex<Histogram<u64>>>,
}

impl Watch {
    fn new(epoch: Instant, warmup_seconds: f64) -> Self {
        let micros = Arc::new(Mutex::new(Histogram::new(3).unwrap()));
        Self { epoch, counts_from: Duration::from_secs_f64(warmup_seconds), micros }
    }

    fn note(&self, due: Duration) {
        if due >= self.counts_from {
            let took = self.epoch.elapsed().saturating_sub(due);
            self.micros.lock().record(u64::try_from(took.as_micros()).unwrap()).unwrap();
        }
    }

    fn told(&self) -> Value {
        let micros = self.micros.lock();
        let at = |percentile: f64| micros.value_at_percentile(percentile) as f64 / 1e3;
        json!({
            "p50": at(50.0), "p90": at(90.0), "p99": at(99.0), "p99.9": at(99.9),
            "max": micros.max() as f64 / 1e3, "count": micros.len(),
        })
    }
}

/// Told of each acknowledgement; the opaque value is when the record was due, in microseconds.
struct Acknowledged(Watch);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, due: usize) {
        if let Err((error, _)) = delivered {
            crate::fail(&format!("a record was not taken: {error}"));
        }
        self.0.note(Duration::from_micros(due as u64));
    }
}

pub(crate) fn run(options: &Options) -> Value {
    options.target.create_topic();
    let epoch = Instant::now() + Duration::from_millis(200);
    let (acknowledged, read) =
        (Watch::new(epoch, options.warmup_seconds), Watch::new(epoch, options.warmup_seconds));
    let done = Arc::new(AtomicBool::new(false));
    let reader = (!options.no_read).then(|| {
        let consumer = reader(&options.target);
        let (read, done) = (read.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                    let due =
                        u64::from_be_bytes(message.unwrap().payload().unwrap()[..8].try_into().unwrap());
                    read.note(Duration::from_micros(due));
                }
            }
        })
    });
    let producer: ThreadedProducer<Acknowledged> = options
        .target
        .config()
        .set("acks", &options.acks)
        .set("linger.ms", options.linger_ms.to_string())
        .set("queue.buffering.max.messages", "1000000")
        .create_with_context(Acknowledged(acknowledged.clone()))
        .unwrap();
    let meter = Meter::start(options.target.pid);
    let all = Duration::from_secs_f64(options.warmup_seconds + options.seconds);
    let (mut value, mut sent, mut due) = (vec![b'v'; options.size.max(8)], 0u64, Duration::ZERO);
    while due < all {
        due += STEP;
        if let Some(ahead) = (epoch + due).checked_duration_since(Instant::now()) {
            std::thread::sleep(ahead);
        }
        let micros = u64::try_from(due.as_micros()).unwrap();
        while sent < options.rate * micros / 1_000_000 {
            value[..8].copy_from_slice(&micros.to_be_bytes());
            let partition = i32::try_from(sent % options.target.partitions as u64).unwrap();
            let record =
                BaseRecord::<(), [u8], usize>::with_opaque_to(&options.target.topic, micros as usize)
                    .payload(&value[..])
                    .partition(partition);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            sent += 1;
        }
    }
    let cpu_seconds = meter.cpu_seconds();
    producer.flush(Duration::from_secs(30)).unwrap();
    if let Some(reader) = reader {
        let since = Instant::now();
        while read.micros.lock().len() < acknowledged.micros.lock().len() {
            assert!(since.elapsed() < Duration::from_secs(30), "some records were not read within 30 s");
            std::thread::sleep(Duration::from_millis(20));
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    }
    json!({
        "ack_ms": acknowledged.told(),
        "read_ms": read.told(),
        "cpu_share": cpu_seconds / all.as_secs_f64(),
    })
}

fn reader(target: &Target) -> BaseConsumer {
    let consumer: BaseConsumer = target
        .config()
        .set("group.id", "load")
        .set("enable.auto.commit", "false")
        .set("fetch.min.bytes", "1")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..target.partitions {
        let (_, end) = consumer.fetch_watermarks(&target.topic, partition, Duration::from_secs(10)).unwrap();
        assignment.add_partition_offset(&target.topic, partition, Offset::Offset(end)).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    consumer
}
