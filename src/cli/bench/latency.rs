//! `millrace bench latency`: records at a fixed rate, timed until acknowledged and until read.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::report::Latencies;
use super::{CommonArgs, SendArgs, Target, micros_since, payload};
use crate::cli::failure::Failure;
use crate::cli::time::parse_duration;
use crate::client::{Consumer, ConsumerConfig, Delivery, ProducerRecord, StartAt};

/// Each value begins with the microseconds from the bench's start to when it was to be sent.
const STAMP_BYTES: usize = 8;

/// How long records are waited for after the last was sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options of `millrace bench latency`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    send: SendArgs,
    /// Records per second.
    #[arg(short, long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,
    /// How long a batch that is not full waits for more.
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = parse_duration)]
    linger: Duration,
    /// Measure only until acknowledged, without a reader.
    #[arg(long)]
    no_read: bool,
}

/// When a bench began, and from when on its records count.
#[derive(Clone, Copy)]
struct Schedule {
    begin: Instant,
    measure_from: Instant,
}

/// Runs the bench.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let size_bytes = args.common.size.max(STAMP_BYTES);
    let target = args.common.prepare().await?;
    let (producer, topic) = args.send.producer(&args.common, &target, args.linger).await?;
    let consumer = if args.no_read { None } else { Some(reader(args, &target).await?) };
    let begin = Instant::now();
    let schedule = Schedule { begin, measure_from: begin + args.send.warmup };
    let total = args.send.warmup + args.send.duration;

    let (acks, collected) = mpsc::unbounded_channel();
    let collector = tokio::spawn(collect(collected, schedule));
    let (done, is_done) = watch::channel(None);
    let reading = consumer.map(|consumer| tokio::spawn(read(consumer, schedule, is_done)));

    let mut value = payload(size_bytes);
    let mut sent = 0_u64;
    let mut last_late = Duration::ZERO;
    loop {
        // Nanoseconds would overflow after centuries at the highest rate.
        let due = Duration::from_nanos(
            u64::try_from(u128::from(sent) * 1_000_000_000 / u128::from(args.rate)).unwrap_or(u64::MAX),
        );
        if due >= total {
            break;
        }
        let intended = begin + due;
        let now = Instant::now();
        if intended > now {
            tokio::time::sleep_until(intended).await;
        } else {
            last_late = now - intended;
        }
        let stamp = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
        value[..STAMP_BYTES].copy_from_slice(&stamp.to_be_bytes());
        let record = ProducerRecord { value: Some(&value), ..ProducerRecord::default() };
        let delivery = topic.send(&record).await?;
        // The collector lives as long as this sender.
        let _sent = acks.send((intended, delivery));
        sent += 1;
    }
    let elapsed = begin.elapsed();
    drop(acks);
    let closed = producer.close().await;
    let acked = collector.await.unwrap_or_else(|_| Latencies::new());
    let _nobody_reads = done.send(Some(sent));
    let read = match reading {
        Some(reading) => Some(reading.await.unwrap_or_else(|_| Ok(Latencies::new()))),
        None => None,
    };
    args.common.clean_up(&target).await;
    closed?;

    let mut report = args.send.report("latency", &args.common, &target);
    report.fact("value_bytes", size_bytes);
    report.fact("rate", args.rate);
    report.throughput(sent, sent * size_bytes as u64, elapsed);
    report.fact("failed", producer.stats().failed_records);
    report.latencies("ack", &acked);
    if let Some(read) = read {
        report.latencies("read", &read?);
    }
    report.remark("From the moment each record was to be sent, warm-up left out.");
    if last_late > Duration::from_millis(100) {
        report.remark(format!("The rate was not reached: the last record was sent {last_late:.1?} late."));
    }
    Ok(report.print(args.common.json)?)
}

async fn collect(mut acks: mpsc::UnboundedReceiver<(Instant, Delivery)>, schedule: Schedule) -> Latencies {
    let mut latencies = Latencies::new();
    while let Some((intended, delivery)) = acks.recv().await {
        // The delivery knows when its answer came, so waiting for them in order distorts nothing.
        if let Ok(delivered) = delivery.wait().await
            && intended >= schedule.measure_from
        {
            latencies.record(micros_since(intended, delivered.at));
        }
    }
    latencies
}

async fn reader(args: &Args, target: &Target) -> Result<Consumer, Failure> {
    let config = ConsumerConfig { max_poll_records: 100_000, ..ConsumerConfig::default() };
    let mut consumer = Consumer::new(&target.client, config);
    consumer.assign_topic(&args.common.topic, StartAt::End).await?;
    Ok(consumer)
}

/// Reads until as many records came as were sent, or none came for a while after the last.
async fn read(
    mut consumer: Consumer,
    schedule: Schedule,
    is_done: watch::Receiver<Option<u64>>,
) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::new();
    let mut count = 0_u64;
    let mut last_came = Instant::now();
    loop {
        let records = consumer.poll(Duration::from_millis(100)).await?;
        let now = Instant::now();
        for record in &records {
            let Some(stamp) = record.value.as_deref().and_then(<[u8]>::first_chunk) else { continue };
            let intended = schedule.begin + Duration::from_micros(u64::from_be_bytes(*stamp));
            if intended >= schedule.measure_from {
                latencies.record(micros_since(intended, now));
            }
        }
        count += records.len() as u64;
        if !records.is_empty() {
            last_came = now;
        }
        let sent = *is_done.borrow();
        if sent.is_some_and(|sent| count >= sent || now - last_came > PATIENCE) {
            return Ok(latencies);
        }
    }
}
