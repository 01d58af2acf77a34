//! `millrace bench consume`: reads as fast as the broker gives, after filling the topic as far as needed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{CommonArgs, Target, payload};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::client::{
    Admin, Consumer, ConsumerConfig, OffsetQuery, OffsetSpec, Producer, ProducerConfig, ProducerRecord,
    StartAt,
};
use crate::types::Isolation;

/// How long nothing may come before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options of `millrace bench consume`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: CommonArgs,
    /// How many records to read; the topic is filled up to as many first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1_000_000)]
    records: u64,
    /// How much one response may bring of one partition.
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024)]
    fetch_bytes: usize,
}

/// Runs the bench.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let target = args.common.prepare().await?;
    let read = fill_and_read(args, &target).await;
    args.common.clean_up(&target).await;
    let (records, value_bytes, elapsed) = read?;
    let mut report = args.common.report("consume", &target);
    report.fact("fetch_bytes", args.fetch_bytes);
    report.throughput(records, value_bytes, elapsed);
    Ok(report.print(args.common.json)?)
}

async fn fill_and_read(args: &Args, target: &Target) -> Result<(u64, u64, Duration), Failure> {
    let present = present(args, target).await?;
    if present < args.records {
        fill(args, target, args.records - present).await?;
    }
    let config = ConsumerConfig {
        max_partition_bytes: args.fetch_bytes,
        buffer_bytes: args.fetch_bytes.saturating_mul(4),
        max_poll_records: 100_000,
        ..ConsumerConfig::default()
    };
    let mut consumer = Consumer::new(&target.client, config);
    consumer.assign_topic(&args.common.topic, StartAt::Beginning).await?;
    let begin = Instant::now();
    let (mut records, mut value_bytes) = (0_u64, 0_u64);
    while records < args.records {
        let polled = consumer.poll(PATIENCE).await?;
        if polled.is_empty() {
            let message =
                format!("nothing came for {PATIENCE:?} after {records} of {} records", args.records);
            return Err(Failure::new(exit::FAILED, message));
        }
        records += polled.len() as u64;
        value_bytes += polled
            .iter()
            .map(|record| record.value.as_ref().map_or(0, |value| value.len() as u64))
            .sum::<u64>();
    }
    Ok((records, value_bytes, begin.elapsed()))
}

/// How many records the topic has.
async fn present(args: &Args, target: &Target) -> Result<u64, Failure> {
    let admin = Admin::new(&target.client);
    let topic: Arc<str> = args.common.topic.as_str().into();
    let mut total = 0;
    for (spec, sign) in [(OffsetSpec::Latest, 1), (OffsetSpec::Earliest, -1)] {
        let query = |partition| -> OffsetQuery { (Arc::clone(&topic), partition, spec) };
        let queries: Vec<OffsetQuery> =
            target.topic.partitions.iter().map(|found| query(found.partition)).collect();
        for listed in admin.list_offsets(&queries, Isolation::ReadUncommitted).await {
            total += sign * listed?.offset.unwrap_or_default();
        }
    }
    Ok(u64::try_from(total).unwrap_or_default())
}

async fn fill(args: &Args, target: &Target, count: u64) -> Result<(), Failure> {
    let config = ProducerConfig {
        batch_bytes: 256 * 1024,
        max_record_bytes: 64 * 1024 * 1024,
        buffer_bytes: 256 * 1024 * 1024,
        auto_create_topics: false,
        ..ProducerConfig::default()
    };
    let producer = Producer::new(&target.client, config)?;
    let topic = producer.topic(&args.common.topic).await?;
    let value = payload(args.common.size);
    for _ in 0..count {
        drop(topic.send(&ProducerRecord { value: Some(&value), ..ProducerRecord::default() }).await?);
    }
    producer.close().await?;
    match producer.stats().failed_records {
        0 => Ok(()),
        failed => Err(Failure::new(
            exit::FAILED,
            format!("{failed} records could not be written to fill the topic"),
        )),
    }
}
