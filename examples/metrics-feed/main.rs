//! This host's metrics as a stream: one producer, two independent consumers, one group of workers, one topic.
//!
//! `producer` samples /proc at a steady rate; `table` shows the latest sample of each host; `chart` appends a CSV
//! and draws an SVG at the end. Each consumer reads at its own pace from its own position; neither knows of the
//! other. `workers` judge the samples as one group of several processes, which are killed and started again. With `--drill`
//! the example runs a broker of its own, kills it with `kill -9` in the middle, starts it again, and checks that both
//! consumers saw exactly what the producer was told is safe, and that the workers judged all of it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

mod chart;
mod drill;
mod feed;
mod producer;
mod sample;
mod table;
mod worker;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millrace::client::{Client, ClientConfig, GroupProtocol};

/// Samples this host's metrics into a topic and reads them back twice.
#[derive(Debug, Parser)]
struct Options {
    /// The broker.
    #[arg(long, default_value = "127.0.0.1:9092")]
    broker: String,
    /// The topic.
    #[arg(long, default_value = "metrics-feed")]
    topic: String,
    /// How long to sample, in seconds.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Samples a second.
    #[arg(long, default_value_t = 2.0)]
    rate: f64,
    /// How many workers share the samples.
    #[arg(long, default_value_t = 3, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=16))]
    workers: usize,
    /// How the workers divide the partitions: classic or consumer (KIP-848).
    #[arg(long, default_value = "classic", value_parser = ["classic", "consumer"])]
    protocol: String,
    /// How long the partitions of a worker that was killed wait, in seconds; the drill's broker takes less than others.
    #[arg(long, default_value_t = 6.0)]
    session: f64,
    /// Be one of the workers.
    #[arg(long, hide = true)]
    worker: bool,
    /// Where metrics.csv and metrics.svg go.
    #[arg(long, default_value = "target/metrics-feed")]
    out: PathBuf,
    /// Start this `millrace` binary on a directory of its own, kill it half-way, and check that nothing
    /// acknowledged is missing.
    #[arg(long, value_name = "BINARY")]
    drill: Option<PathBuf>,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("metrics-feed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Error> {
    let protocol =
        if options.protocol == "consumer" { GroupProtocol::Consumer } else { GroupProtocol::Classic };
    let plan = feed::Plan {
        broker: options.broker.clone(),
        workers: options.workers,
        protocol,
        session: Duration::from_secs_f64(options.session),
        topic: options.topic.clone(),
        duration: Duration::from_secs_f64(options.seconds),
        interval: Duration::from_secs_f64(1.0 / options.rate),
        out: options.out.clone(),
    };
    if options.worker {
        return worker::run(&plan).await;
    }
    if let Some(binary) = &options.drill {
        return drill::run(binary, &plan).await;
    }
    let client = Client::connect(ClientConfig::new(&options.broker)?).await?;
    let record = feed::run(&client, &plan).await?;
    record.check()?;
    println!("{}", record.workers.summary());
    println!("{} samples; chart in {}", record.acknowledged.len(), plan.out.join("metrics.svg").display());
    Ok(())
}
