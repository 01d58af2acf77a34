//! As fast as the broker takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use serde_json::{Value, json};

use crate::Target;
use crate::process::Process;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Bytes of each record's value.
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// 0, 1 or all.
    #[arg(long, default_value = "all")]
    acks: String,
    #[arg(long, default_value_t = 5.0)]
    linger_ms: f64,
    #[arg(long, default_value_t = 1_000_000)]
    batch_bytes: usize,
    /// Records a second at most; as many as the broker takes, if it is 0.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    #[arg(long, default_value_t = 1.0)]
    warmup_seconds: f64,
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
}

/// Counts what is acknowledged.
struct Acknowledged(Arc<AtomicU64>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        match delivered {
            Ok(_) => _ = self.0.fetch_add(1, Ordering::Relaxed),
            Err((
                KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight),
                _,
            )) => {}
            Err((error, _)) => crate::fail(&format!("a record was not taken: {error}")),
        }
    }
}

pub(crate) fn run(options: &Options) -> Value {
    options.target.create_topic();
    let count = Arc::new(AtomicU64::new(0));
    let producer: ThreadedProducer<Acknowledged> = options
        .target
        .config()
        .set("acks", &options.acks)
        .set("linger.ms", options.linger_ms.to_string())
        .set("batch.size", options.batch_bytes.to_string())
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "131072")
        .create_with_context(Acknowledged(Arc::clone(&count)))
        .unwrap();
    let value = vec![b'v'; options.size];
    let process = Process(options.target.pid);
    let mut partition = 0;
    let mut send_for = |seconds: f64| {
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < Duration::from_secs_f64(seconds) {
            let due = match options.rate {
                0 => sent + 64,
                rate => (start.elapsed().as_secs_f64() * rate as f64) as u64,
            };
            if due <= sent {
                std::thread::sleep(Duration::from_millis(1));
            }
            while sent < due {
                let record = BaseRecord::<(), [u8]>::to(&options.target.topic)
                    .payload(&value[..])
                    .partition(partition);
                match producer.send(record) {
                    Ok(()) => {
                        partition = (partition + 1) % options.target.partitions;
                        sent += 1;
                    }
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        std::thread::sleep(Duration::from_millis(1));
                        break;
                    }
                    Err((error, _)) => panic!("cannot send: {error}"),
                }
            }
        }
    };
    send_for(options.warmup_seconds);
    let (start, before, used) = (Instant::now(), count.load(Ordering::Relaxed), process.cpu_seconds());
    send_for(options.seconds);
    let (records, now_used) = (count.load(Ordering::Relaxed) - before, process.cpu_seconds());
    let seconds = start.elapsed().as_secs_f64();
    producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
    let gigabytes = records as f64 * options.size as f64 / 1e9;
    json!({
        "megabytes_per_second": gigabytes * 1e3 / seconds,
        "records_per_second": records as f64 / seconds,
        "user_seconds_per_gb": (now_used.0 - used.0) / gigabytes,
        "system_seconds_per_gb": (now_used.1 - used.1) / gigabytes,
        "cpu_seconds_per_gb": (now_used.0 + now_used.1 - used.0 - used.1) / gigabytes,
    })
}
