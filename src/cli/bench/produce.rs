//! `millrace bench produce`: as many records as the broker takes.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::report::Latencies;
use super::{CommonArgs, SendArgs, micros_since, payload};
use crate::cli::failure::Failure;
use crate::cli::time::parse_duration;
use crate::client::{Delivery, ProducerRecord};

/// How often the time is looked at and a record's latency is measured.
const SAMPLE_EVERY: u64 = 512;

/// Options of `millrace bench produce`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    send: SendArgs,
    /// How long a batch that is not full waits for more.
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = parse_duration)]
    linger: Duration,
}

/// Runs the bench.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let target = args.common.prepare().await?;
    let (producer, topic) = args.send.producer(&args.common, &target, args.linger).await?;
    let value = payload(args.common.size);
    let record = ProducerRecord { value: Some(&value), ..ProducerRecord::default() };

    let (samples, collected) = mpsc::unbounded_channel();
    let collector = tokio::spawn(collect(collected));
    let begin = Instant::now();
    let (measure_from, end) = (begin + args.send.warmup, begin + args.send.warmup + args.send.duration);
    let mut before = None;
    let mut sent = 0_u64;
    let after = loop {
        if sent.is_multiple_of(SAMPLE_EVERY) {
            let now = Instant::now();
            if before.is_none() && now >= measure_from {
                before = Some((now, producer.stats()));
            }
            if now >= end {
                break (now, producer.stats());
            }
            let delivery = topic.send(&record).await?;
            if before.is_some() {
                // The collector lives as long as this sender.
                let _sent = samples.send((now, delivery));
            }
        } else {
            drop(topic.send(&record).await?);
        }
        sent += 1;
    };
    drop(samples);
    let closed = producer.close().await;
    let latencies = collector.await.unwrap_or_else(|_| Latencies::new());
    args.common.clean_up(&target).await;
    closed?;

    let (from, stats_before) = before.unwrap_or((begin, crate::client::ProducerStats::default()));
    let (until, stats_after) = after;
    let records = stats_after.delivered_records - stats_before.delivered_records;
    let mut report = args.send.report("produce", &args.common, &target);
    report.fact("value_bytes", args.common.size);
    report.fact("batch_bytes", args.send.batch_bytes);
    report.throughput(records, records * args.common.size as u64, until - from);
    report.fact("failed", stats_after.failed_records);
    report.fact("retried", stats_after.retried_batches);
    report.latencies("ack", &latencies);
    if latencies.count() > 0 {
        report.remark(format!(
            "One record in {SAMPLE_EVERY} was timed, from send to ack, at full load; `bench latency` measures at a rate."
        ));
    }
    Ok(report.print(args.common.json)?)
}

async fn collect(mut samples: mpsc::UnboundedReceiver<(Instant, Delivery)>) -> Latencies {
    let mut latencies = Latencies::new();
    while let Some((sent, delivery)) = samples.recv().await {
        if let Ok(delivered) = delivery.wait().await {
            latencies.record(micros_since(sent, delivered.at));
        }
    }
    latencies
}
