//! As fast as the broker takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use serde_json::Value;

use crate::Target;
use crate::measured::{Meter, Window};

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
    #[command(flatten)]
    window: Window,
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
    send_for(options.window.warmup_seconds);
    let (before, meter) = (count.load(Ordering::Relaxed), Meter::start(options.target.pid));
    send_for(options.window.seconds);
    let records = count.load(Ordering::Relaxed) - before;
    let told = meter.told(records, records * options.size as u64);
    producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
    told
}
