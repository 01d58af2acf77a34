//! `millrace bench`: throughput and latency of a running broker, with the durability they were measured at.
//!
//! What always holds: nothing counts before the warm-up is over; a record counts when it is acknowledged, not when it is
//! sent; latencies at a fixed rate count from the moment a record was to be sent, so that a broker that stalls cannot
//! hide its stall by slowing the sender down (no coordinated omission).

mod consume;
mod latency;
mod produce;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use tokio::time::Instant;

use self::report::Report;
use super::broker::{self, BrokerArgs};
use super::failure::{Failure, complain};
use super::produce::parse_acks;
use super::time::parse_duration;
use crate::client::{
    Acks, Admin, Client, Compression, ConfigResource, ErrorCode, NewTopic, Producer, ProducerConfig,
    ProducerTopic, TopicMetadata,
};

/// The topic config by which a Millrace broker tells what an ack means.
const DURABILITY_CONFIG: &str = "write.caching";

/// Options of `millrace bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  millrace bench produce --size 100 --duration 10s
  millrace bench consume --records 1000000
  millrace bench latency --rate 5000 --size 1024 --json
  millrace bench produce -c write.caching=true       without waiting for the disk")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send as fast as the broker takes it.
    Produce(produce::Args),
    /// Read as fast as the broker gives it.
    Consume(consume::Args),
    /// Send at a fixed rate and measure until acknowledged and until read.
    Latency(latency::Args),
}

/// Options that all benches share.
#[derive(Debug, clap::Args)]
struct CommonArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    /// The topic; created when it does not exist, and deleted at the end in that case.
    #[arg(long, default_value = "millrace-bench")]
    topic: String,
    /// How many partitions, when it is created.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// A config of the topic, when it is created; may be given several times.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = super::topic::parse_config)]
    configs: Vec<(String, String)>,
    /// Keep the topic.
    #[arg(long)]
    keep: bool,
    /// Bytes of each record's value.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: usize,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Options of the benches that send.
#[derive(Debug, clap::Args)]
struct SendArgs {
    /// When a record counts: all (committed, on disk), 1 (appended), 0 (sent).
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = parse_acks)]
    acks: Acks,
    /// Compress batches: none, gzip, snappy, lz4 or zstd.
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none")]
    compression: Compression,
    /// A batch is sent when it has this many bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024)]
    batch_bytes: usize,
    /// How long to measure.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// How long to run before measuring.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    warmup: Duration,
}

/// A bench's topic, and what is known of it.
struct Target {
    client: Client,
    topic: std::sync::Arc<TopicMetadata>,
    was_created: bool,
    durability: String,
}

/// Runs `millrace bench`.
pub(super) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Produce(args) => broker::run(produce::run(args)),
        Command::Consume(args) => broker::run(consume::run(args)),
        Command::Latency(args) => broker::run(latency::run(args)),
    }
}

// === impl CommonArgs ===

impl CommonArgs {
    /// Connects and makes sure that the topic is there.
    async fn prepare(&self) -> Result<Target, Failure> {
        let client = self.broker.connect().await?;
        let admin = Admin::new(&client);
        let configs = self.configs.clone();
        let topic = NewTopic { configs, ..NewTopic::new(&self.topic).partitions(self.partitions) };
        let created = admin.create_topics(&[topic], false).await?.into_iter().next();
        let was_created = match created {
            Some(Err(error)) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => false,
            Some(Err(error)) => return Err(error.into()),
            _ => true,
        };
        let topic = admin.describe_topic(&self.topic).await?;
        let durability = durability(&admin, &self.topic).await;
        Ok(Target { client, topic, was_created, durability })
    }

    /// A report that says what was measured, and where.
    fn report(&self, bench: &str, target: &Target) -> Report {
        let mut report = Report::default();
        report.fact("bench", bench);
        report.fact("topic", self.topic.clone());
        report.fact("partitions", target.topic.partitions.len());
        report.fact("durability", target.durability.clone());
        report
    }

    /// Deletes the topic, if it was made for this bench.
    async fn clean_up(&self, target: &Target) {
        if !target.was_created || self.keep {
            return;
        }
        let deleted = Admin::new(&target.client).delete_topics(&[&self.topic]).await;
        if let Some(error) = deleted.map_or_else(Some, |results| results.into_iter().find_map(Result::err)) {
            complain(error);
        }
    }
}

// === impl SendArgs ===

impl SendArgs {
    /// A report that says also how it was sent.
    fn report(&self, bench: &str, common: &CommonArgs, target: &Target) -> Report {
        let mut report = common.report(bench, target);
        report.fact("acks", acks_name(self.acks));
        report.fact("compression", self.compression.name());
        report
    }

    async fn producer(
        &self,
        common: &CommonArgs,
        target: &Target,
        linger: Duration,
    ) -> Result<(Producer, ProducerTopic), Failure> {
        let config = ProducerConfig {
            acks: self.acks,
            compression: self.compression,
            idempotence: self.acks == Acks::All,
            batch_bytes: self.batch_bytes.clamp(1, 64 * 1024 * 1024),
            max_record_bytes: 64 * 1024 * 1024,
            buffer_bytes: 256 * 1024 * 1024,
            linger,
            auto_create_topics: false,
            ..ProducerConfig::default()
        };
        let producer = Producer::new(&target.client, config)?;
        let topic = producer.topic(&common.topic).await?;
        Ok((producer, topic))
    }
}

/// What an ack of all means on this topic, as far as the broker tells.
async fn durability(admin: &Admin, topic: &str) -> String {
    let configs =
        admin.describe_configs(&ConfigResource::Topic(topic.to_owned()), &[DURABILITY_CONFIG]).await;
    let found = configs.into_iter().flatten().find(|config| config.name == DURABILITY_CONFIG);
    match found.and_then(|config| config.value).as_deref() {
        Some("true") => "page cache (write.caching=true)".to_owned(),
        Some("false") => "disk (write.caching=false)".to_owned(),
        Some(other) => format!("{DURABILITY_CONFIG}={other}"),
        None => "unknown (not a Millrace broker)".to_owned(),
    }
}

/// Acks in words, as `--acks` takes them.
fn acks_name(acks: Acks) -> &'static str {
    match acks {
        Acks::All => "all",
        Acks::Leader => "1",
        Acks::None => "0",
    }
}

/// Bytes that look random to a codec but repeat from run to run: half of each value compresses.
fn payload(size_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..size_bytes)
        .map(|index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if index % 2 == 0 { b'a' + (index % 26) as u8 } else { (state >> 24) as u8 }
        })
        .collect()
}

/// Whole microseconds since `earlier`.
fn micros_since(earlier: Instant, later: Instant) -> u64 {
    u64::try_from(later.saturating_duration_since(earlier).as_micros()).unwrap_or(u64::MAX)
}
