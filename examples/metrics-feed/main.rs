//! This host's metrics as a stream: one producer, two independent consumers, one topic.
//!
//! `producer` samples /proc at a steady rate; `table` shows the latest sample of each host; `chart` appends a CSV
//! and draws an SVG at the end. Each consumer reads at its own pace from its own position; neither knows of the
//! other. With `--drill` the example runs a broker of its own, kills it with `kill -9` in the middle, starts it
//! again, and checks that both consumers saw exactly what the producer was told is safe.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

mod chart;
mod drill;
mod feed;
mod producer;
mod sample;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millrace::client::{Client, ClientConfig};

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
    let plan = feed::Plan {
        topic: options.topic.clone(),
        duration: Duration::from_secs_f64(options.seconds),
        interval: Duration::from_secs_f64(1.0 / options.rate),
        out: options.out.clone(),
    };
    if let Some(binary) = &options.drill {
        return drill::run(binary, &plan).await;
    }
    let client = Client::connect(ClientConfig::new(&options.broker)?).await?;
    let record = feed::run(&client, &plan).await?;
    record.check()?;
    println!("{} samples; chart in {}", record.acknowledged.len(), plan.out.join("metrics.svg").display());
    Ok(())
}
